//! Key files: which records carry a key, by the key's hash. One is written per checkpoint, a few
//! are merged into one that covers about a gigabyte of log, and it dies with the log below it.
//!
//! ```text
//! magic u32 "APK1" | version u32
//! block    ( hash u64 | lsn u64 | time_ms i64 ) ... | crc32c u32     170 entries, the last fewer
//! ```
//!
//! Entries are sorted by (hash, lsn) and hashes are spread evenly, so the place of one is guessed
//! from its value: a lookup reads about two blocks and nothing has to stay in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, DiskFile, OpenMode};
use model::Lsn;

use super::live_objects::KeyEntry;
use crate::codec::{Put, Take, seal, unseal};
use crate::error::{IoFault, ReadError, at};
use crate::limits::{SCAN_BYTES, SYNC_STEP_BYTES};

const MAGIC: u32 = u32::from_le_bytes(*b"APK1");
const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 8;
const KEY_BYTES: usize = 24;
const BLOCK_KEYS: usize = 170;
const BLOCK_BYTES: u64 = (BLOCK_KEYS * KEY_BYTES + 4) as u64;

/// What the manifest says of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyFileMeta {
    pub(crate) id: u64,
    pub(crate) level: u8,
    pub(crate) entries: u64,
    pub(crate) min_lsn: Lsn,
    pub(crate) max_lsn: Lsn,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

pub(crate) fn key_file_name(id: u64) -> String {
    format!("{id:016}.keys")
}

pub(crate) fn parse_key_file_name(name: &str) -> Option<u64> {
    name.strip_suffix(".keys").filter(|d| d.len() == 16)?.parse().ok()
}

/// Writes a key file from front to back.
pub(crate) struct KeyWriter {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    out: Vec<u8>,
    written: u64,
    block: Vec<u8>,
    meta: KeyFileMeta,
}

impl KeyWriter {
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, id: u64, level: u8) -> Result<Self, IoFault> {
        let path = dir.join(key_file_name(id));
        let file = disk.open(&path, OpenMode::Create).map_err(at(&path))?;
        let mut out = Vec::with_capacity(SCAN_BYTES);
        out.put_u32(MAGIC);
        out.put_u32(VERSION);
        let (min_lsn, max_lsn) = (Lsn(u64::MAX), Lsn::ZERO);
        let meta =
            KeyFileMeta { id, level, entries: 0, min_lsn, max_lsn, min_ms: i64::MAX, max_ms: i64::MIN };
        Ok(Self { path, file, out, written: 0, block: Vec::new(), meta })
    }

    /// Entries must ascend.
    pub(crate) fn push(&mut self, entry: KeyEntry) -> Result<(), IoFault> {
        self.block.put_u64(entry.hash);
        self.block.put_u64(entry.lsn.get());
        self.block.put_i64(entry.time_ms);
        let meta = &mut self.meta;
        meta.entries += 1;
        meta.min_lsn = meta.min_lsn.min(entry.lsn);
        meta.max_lsn = meta.max_lsn.max(entry.lsn);
        meta.min_ms = meta.min_ms.min(entry.time_ms);
        meta.max_ms = meta.max_ms.max(entry.time_ms);
        if self.block.len() >= BLOCK_KEYS * KEY_BYTES {
            self.close_block();
        }
        if self.out.len() >= SCAN_BYTES { self.write_out() } else { Ok(()) }
    }

    fn close_block(&mut self) {
        if !self.block.is_empty() {
            seal(&mut self.block);
            self.out.append(&mut self.block);
        }
    }

    fn write_out(&mut self) -> Result<(), IoFault> {
        self.file.write_at(&self.out, self.written).map_err(at(&self.path))?;
        let before = self.written;
        self.written += self.out.len() as u64;
        self.out.clear();
        if before / SYNC_STEP_BYTES != self.written / SYNC_STEP_BYTES {
            self.file.sync().map_err(at(&self.path))?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(KeyFileMeta, u64), IoFault> {
        self.close_block();
        self.write_out()?;
        self.file.sync().map_err(at(&self.path))?;
        Ok((self.meta, self.written))
    }
}

/// An open key file.
pub(crate) struct KeyFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    entries: u64,
}

impl KeyFile {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, meta: &KeyFileMeta) -> Result<Self, ReadError> {
        let path = dir.join(key_file_name(meta.id));
        let file = disk.open(&path, OpenMode::Read).map_err(at(&path))?;
        Ok(Self { path, file, entries: meta.entries })
    }

    fn blocks(&self) -> u64 {
        self.entries.div_ceil(BLOCK_KEYS as u64)
    }

    pub(crate) fn check_header(&self) -> Result<(), ReadError> {
        let mut head = [0; HEADER_BYTES as usize];
        self.file.read_exact_at(&mut head, 0).map_err(at(&self.path))?;
        let mut take = Take::new(&head);
        match (take.u32(), take.u32()) {
            (Some(MAGIC), Some(VERSION)) => Ok(()),
            _ => Err(ReadError::corrupt_in(&self.path, "the key file's header")),
        }
    }

    fn block(&self, i: u64) -> Result<Vec<KeyEntry>, ReadError> {
        let keys = (self.entries - i * BLOCK_KEYS as u64).min(BLOCK_KEYS as u64);
        let len = usize::try_from(keys).unwrap_or(BLOCK_KEYS) * KEY_BYTES + 4;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, HEADER_BYTES + i * BLOCK_BYTES).map_err(at(&self.path))?;
        let content = unseal(&bytes);
        let content = content.ok_or_else(|| ReadError::corrupt_in(&self.path, "a key block's checksum"))?;
        let mut take = Take::new(content);
        let mut read = || Some(KeyEntry { hash: take.u64()?, lsn: Lsn(take.u64()?), time_ms: take.i64()? });
        Ok(std::iter::from_fn(&mut read).collect())
    }

    /// Appends the entries with a hash, oldest first.
    pub(crate) fn find(&self, hash: u64, out: &mut Vec<KeyEntry>) -> Result<(), ReadError> {
        let Some(mut i) = self.first_block_with(hash)? else { return Ok(()) };
        while i < self.blocks() {
            let block = self.block(i)?;
            out.extend(block.iter().filter(|e| e.hash == hash));
            if block.last().is_none_or(|e| e.hash > hash) {
                break;
            }
            i += 1;
        }
        Ok(())
    }

    /// The first block whose last hash is not below `hash`: guesses its place, and halves what is
    /// left if a few guesses miss.
    fn first_block_with(&self, hash: u64) -> Result<Option<u64>, ReadError> {
        let blocks = self.blocks();
        let (mut low, mut high) = (0, blocks);
        let mut guess = u64::try_from((u128::from(hash) * u128::from(blocks)) >> 64).unwrap_or_default();
        for tries in 0_u32.. {
            if low >= high {
                break;
            }
            let i = if tries < 4 { guess.clamp(low, high - 1) } else { low + (high - low) / 2 };
            let block = self.block(i)?;
            let (Some(first), Some(last)) = (block.first(), block.last()) else { return Ok(None) };
            if last.hash < hash {
                low = i + 1;
                guess = low;
            } else if first.hash < hash {
                return Ok(Some(i));
            } else {
                high = i;
                guess = i.saturating_sub(1);
            }
        }
        Ok((low < blocks).then_some(low))
    }

    /// All entries in order.
    pub(crate) fn scan(self) -> KeyScan {
        KeyScan { file: self, next_block: 0, block: Vec::new() }
    }
}

/// Walks over a key file.
pub(crate) struct KeyScan {
    file: KeyFile,
    next_block: u64,
    /// Last first.
    block: Vec<KeyEntry>,
}

impl KeyScan {
    pub(crate) fn peek(&mut self) -> Result<Option<KeyEntry>, ReadError> {
        if self.block.is_empty() && self.next_block < self.file.blocks() {
            self.block = self.file.block(self.next_block)?;
            self.block.reverse();
            self.next_block += 1;
        }
        Ok(self.block.last().copied())
    }

    pub(crate) fn pop(&mut self) {
        self.block.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemDisk;
    use proptest::prelude::*;

    fn write(dir: &Path, keys: &[KeyEntry]) -> KeyFileMeta {
        let mut writer = KeyWriter::create(&SystemDisk, dir, 1, 0).expect("create");
        keys.iter().for_each(|k| writer.push(*k).expect("write"));
        writer.finish().expect("finish").0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn finds_what_a_list_finds(spread: bool, hashes in proptest::collection::vec(0..500_u64, 0..2000)) {
            let dir = tempfile::tempdir().expect("tempdir");
            let place = |h: u64| if spread { super::super::filter::mix(h) } else { h };
            let mut keys: Vec<KeyEntry> = (0_u64..)
                .zip(&hashes)
                .map(|(i, h)| KeyEntry { hash: place(*h), lsn: Lsn(i), time_ms: 5 })
                .collect();
            keys.sort_unstable();
            let meta = write(dir.path(), &keys);
            let file = KeyFile::open(&SystemDisk, dir.path(), &meta).expect("open");
            file.check_header().expect("header");
            for h in 0..510 {
                let mut found = Vec::new();
                file.find(place(h), &mut found).expect("find");
                let expected: Vec<KeyEntry> = keys.iter().filter(|k| k.hash == place(h)).copied().collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
