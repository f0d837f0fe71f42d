//! The file `STATE`: whether the store was closed in order, and in which start of the machine it
//! was last open. Replaced by rename at every open and close.
//!
//! ```text
//! magic u32 "APS1" | clean u8 | clean_end u64 | boot_id_len u8 | boot_id | crc32c u32
//! ```

use std::io;
use std::path::Path;

use base::Doors;
use base::disk::{read_whole, replace_file};
use model::Lsn;

use crate::codec::{Put, Take, seal, unseal};
use crate::error::{OpenError, at};

const MAGIC: u32 = u32::from_le_bytes(*b"APS1");
const NAME: &str = "STATE";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateFile {
    pub(crate) boot_id: Option<String>,
    /// The end of the log at an orderly close; everything below is durable.
    pub(crate) clean_end: Option<Lsn>,
}

fn encode(state: &StateFile) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(MAGIC);
    out.put_u8(u8::from(state.clean_end.is_some()));
    out.put_u64(state.clean_end.unwrap_or_default().get());
    let boot_id = state.boot_id.as_deref().unwrap_or_default().as_bytes();
    let boot_id = &boot_id[..boot_id.len().min(usize::from(u8::MAX))];
    out.put_u8(u8::try_from(boot_id.len()).expect("just cut"));
    out.put(boot_id);
    seal(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Option<StateFile> {
    let mut take = Take::new(unseal(bytes)?);
    if take.u32()? != MAGIC {
        return None;
    }
    let clean = take.u8()? == 1;
    let end = Lsn(take.u64()?);
    let len = take.u8()?;
    let boot_id = std::str::from_utf8(take.bytes(usize::from(len))?).ok()?;
    let boot_id = (!boot_id.is_empty()).then(|| boot_id.to_owned());
    Some(StateFile { boot_id, clean_end: clean.then_some(end) })
}

/// `None` if there is no such file, or if it is damaged: both mean that nothing is known.
pub(crate) fn read_state(doors: &Doors, dir: &Path) -> Result<Option<StateFile>, OpenError> {
    let path = dir.join(NAME);
    if !doors.disk.exists(&path) {
        return Ok(None);
    }
    let bytes = read_whole(&*doors.disk, &path).map_err(at(&path))?;
    let state = decode(&bytes);
    if state.is_none() {
        tracing::warn!(path = %path.display(), "unreadable state file; the last shutdown counts as unclean");
    }
    Ok(state)
}

pub(crate) fn write_state(doors: &Doors, dir: &Path, state: &StateFile) -> io::Result<()> {
    replace_file(&*doors.disk, dir, NAME, &encode(state))
}

/// Reads a whole file that is known to be small.
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden() {
        let state = StateFile { boot_id: Some("ab".to_owned()), clean_end: Some(Lsn(0x1234)) };
        let bytes = encode(&state);
        assert_eq!(bytes[..16], *b"APS1\x01\x34\x12\0\0\0\0\0\0\x02ab");
        assert_eq!(decode(&bytes), Some(state));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes: Vec<u8>) {
            decode(&bytes);
            seal(&mut bytes);
            decode(&bytes);
        }
    }
}
