//! Where things stand in the repository.
use std::path::{Path, PathBuf};

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
