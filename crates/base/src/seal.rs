//! Secrets under a key of the node, so that neither the log nor a copy of it tells them.
//!
//! ChaCha20-Poly1305. A sealed text is base64 of `1 | nonce 12 bytes | ciphertext and tag`; what it is
//! for (the user's name) is bound to it, so that one cannot be put in another's place. The key is a file
//! of 32 bytes that only its owner may read: who has the folder has the secrets, who has the log alone
//! has not.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 32;
const FORMAT: u8 = 1;
/// What only the owner may do.
const OWNER_ONLY: u32 = 0o600;

/// A key that seals and opens.
pub struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A key that ends with the process.
    ///
    /// # Errors
    /// If the operating system has no chance to give.
    pub fn passing() -> io::Result<Self> {
        let random = SystemRandom::new();
        let mut bytes = [0; KEY_BYTES];
        random.fill(&mut bytes).map_err(|_| io::Error::other("no random numbers can be had"))?;
        Ok(Self::of(&bytes, random))
    }

    /// The key in a file, which is made if it is not there.
    ///
    /// # Errors
    /// If the file cannot be read or made, holds no key, or others may read it and that cannot be changed.
    pub fn load(path: &Path) -> io::Result<Self> {
        let random = SystemRandom::new();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => {
                narrow(path)?;
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, &random)?,
            Err(error) => return Err(error),
        };
        let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| {
            io::Error::other(format!("it does not hold a key of {KEY_BYTES} bytes: bring the right one back"))
        })?;
        Ok(Self::of(&bytes, random))
    }

    fn of(bytes: &[u8; KEY_BYTES], random: SystemRandom) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("the key has the cipher's length");
        Self { key: LessSafeKey::new(key), random }
    }

    /// A text that only [`Self::open`] with the same `owner` makes readable.
    ///
    /// # Errors
    /// If the operating system has no chance to give.
    pub fn seal(&self, owner: &str, secret: &str) -> io::Result<String> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| io::Error::other("no random numbers can be had"))?;
        let mut inside = secret.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut inside,
            )
            .map_err(|_| io::Error::other("the secret is too long"))?;
        Ok(STANDARD.encode([&[FORMAT][..], &nonce, &inside].concat()))
    }

    /// The secret; `None` if it was sealed with another key or for another owner.
    #[must_use]
    pub fn open(&self, owner: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (format, rest) = bytes.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let (nonce, inside) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut inside = inside.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut inside).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

fn make(path: &Path, random: &SystemRandom) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; KEY_BYTES];
    random.fill(&mut bytes).map_err(|_| io::Error::other("no random numbers can be had"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::File::open(dir)?.sync_all()?;
    }
    Ok(bytes)
}

/// What mounts a folder may widen the modes of what is in it: they are narrowed again.
fn narrow(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & !OWNER_ONLY == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "others could read the key (mode {mode:o}): only its owner can from now on");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(OWNER_ONLY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_for_the_same_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("auth.key");
        let seal = Seal::load(&path).expect("made");
        let sealed = seal.seal("alice", "secret").expect("sealed");
        assert!(!sealed.contains("secret") && sealed != seal.seal("alice", "secret").expect("sealed"));
        let again = Seal::load(&path).expect("read");
        assert_eq!(again.open("alice", &sealed).as_deref(), Some("secret"));
        assert_eq!(again.open("bob", &sealed), None);
        assert_eq!(Seal::passing().expect("made").open("alice", &sealed), None);
        for damaged in ["", "x", "AAAA", &sealed[4..]] {
            assert_eq!(again.open("alice", damaged), None);
        }
    }

    #[test]
    fn only_the_owner_can_read_the_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("auth.key");
        let mode = || std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        Seal::load(&path).expect("made");
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).expect("ours");
        Seal::load(&path).expect("read");
        assert_eq!(mode(), 0o600);
        std::fs::write(&path, "short").expect("ours");
        assert!(Seal::load(&path).is_err());
    }
}
