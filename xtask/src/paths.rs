//! Where things stand in the repository, and what they take of the disk.
use anyhow::Result;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

pub(crate) fn e2e() -> PathBuf {
    repository().join("e2e")
}

/// Installed clients and built programs; ignored by git, safe to delete.
pub(crate) fn cache(name: &str) -> PathBuf {
    e2e().join(".cache").join(name)
}

/// Of all files below the folder. Servers make files with holes, and take files away at any time.
pub(crate) fn allocated_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Ok(facts) = std::fs::symlink_metadata(&path) else { continue };
        sum += if facts.is_dir() { allocated_bytes(&path)? } else { facts.blocks() * BLOCK_BYTES };
    }
    Ok(sum)
}
