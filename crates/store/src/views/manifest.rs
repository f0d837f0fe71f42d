//! The file `MANIFEST`: which run and key files there are, and the log position that they stand
//! at. Replacing it is the one step by which a checkpoint or a merge becomes real.
//!
//! ```text
//! magic u32 "APM1" | version u32
//! checkpoint u64 | chained u8 | chain_crc u32 | chain_epoch u32 | log_start u64 | next_id u64
//! runs   count u32 ( id u64 | level u8 ) ...                       oldest first
//! keys   count u32 ( id u64 | level u8 | entries u64 | min_lsn u64 | max_lsn u64 |
//!                    min_ms i64 | max_ms i64 ) ...                 oldest first
//! sealed count u32 ( base u64 | ms i64 ) ...                       when segments were sealed
//! crc32c u32
//! ```

use std::io;
use std::path::Path;

use base::Doors;
use base::disk::{read_whole, replace_file};
use model::{Epoch, Lsn};

use super::key_file::KeyFileMeta;
use crate::codec::{Put, Take, seal, unseal};
use crate::error::{OpenError, at};
use crate::limits::MANIFEST_ITEMS_MAX;
use crate::log::tail::Chain;

const MAGIC: u32 = u32::from_le_bytes(*b"APM1");
const VERSION: u32 = 1;
const NAME: &str = "MANIFEST";

/// A run file by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunMeta {
    pub(crate) id: u64,
    pub(crate) level: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manifest {
    /// Everything below is in the run files.
    pub(crate) checkpoint: Lsn,
    /// The frame that ends at the checkpoint, where it was known.
    pub(crate) chain: Option<Chain>,
    pub(crate) log_start: Lsn,
    pub(crate) next_id: u64,
    pub(crate) runs: Vec<RunMeta>,
    pub(crate) keys: Vec<KeyFileMeta>,
    pub(crate) sealed_ms: Vec<(Lsn, i64)>,
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.put_u32(u32::try_from(n).expect("bounded by the number of files"));
}

fn encode(m: &Manifest) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(MAGIC);
    out.put_u32(VERSION);
    out.put_u64(m.checkpoint.get());
    out.put_u8(u8::from(m.chain.is_some()));
    out.put_u32(m.chain.map_or(0, |c| c.crc));
    out.put_u32(m.chain.map_or(0, |c| c.epoch.get()));
    out.put_u64(m.log_start.get());
    out.put_u64(m.next_id);
    put_count(&mut out, m.runs.len());
    for run in &m.runs {
        out.put_u64(run.id);
        out.put_u8(run.level);
    }
    put_count(&mut out, m.keys.len());
    for k in &m.keys {
        out.put_u64(k.id);
        out.put_u8(k.level);
        out.put_u64(k.entries);
        out.put_u64(k.min_lsn.get());
        out.put_u64(k.max_lsn.get());
        out.put_i64(k.min_ms);
        out.put_i64(k.max_ms);
    }
    put_count(&mut out, m.sealed_ms.len());
    for (base, ms) in &m.sealed_ms {
        out.put_u64(base.get());
        out.put_i64(*ms);
    }
    seal(&mut out);
    out
}

fn decode(bytes: &[u8]) -> Option<Manifest> {
    let mut take = Take::new(unseal(bytes)?);
    if (take.u32()?, take.u32()?) != (MAGIC, VERSION) {
        return None;
    }
    let checkpoint = Lsn(take.u64()?);
    let chained = take.u8()? == 1;
    let chain = Chain { crc: take.u32()?, epoch: Epoch(take.u32()?) };
    let (log_start, next_id) = (Lsn(take.u64()?), take.u64()?);
    let runs = items(&mut take, |take| Some(RunMeta { id: take.u64()?, level: take.u8()? }))?;
    let keys = items(&mut take, |take| {
        Some(KeyFileMeta {
            id: take.u64()?,
            level: take.u8()?,
            entries: take.u64()?,
            min_lsn: Lsn(take.u64()?),
            max_lsn: Lsn(take.u64()?),
            min_ms: take.i64()?,
            max_ms: take.i64()?,
        })
    })?;
    let sealed_ms = items(&mut take, |take| Some((Lsn(take.u64()?), take.i64()?)))?;
    let chain = chained.then_some(chain);
    Some(Manifest { checkpoint, chain, log_start, next_id, runs, keys, sealed_ms })
}

fn items<T>(take: &mut Take<'_>, item: impl Fn(&mut Take<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = take.u32()?;
    if count as usize > MANIFEST_ITEMS_MAX {
        return None;
    }
    (0..count).map(|_| item(take)).collect()
}

/// `None` if there is none yet. A damaged one is an error: it is replaced as a whole, so no crash
/// can leave half of one.
pub(crate) fn load(doors: &Doors, dir: &Path) -> Result<Option<Manifest>, OpenError> {
    let path = dir.join(NAME);
    if !doors.disk.exists(&path) {
        return Ok(None);
    }
    let bytes = read_whole(&*doors.disk, &path).map_err(at(&path))?;
    match decode(&bytes) {
        Some(manifest) => Ok(Some(manifest)),
        None => Err(OpenError::BadFile { path, what: "its checksum or version does not match".to_owned() }),
    }
}

pub(crate) fn save(doors: &Doors, dir: &Path, manifest: &Manifest) -> io::Result<()> {
    replace_file(&*doors.disk, dir, NAME, &encode(manifest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Manifest {
        Manifest {
            checkpoint: Lsn(0x1122),
            chain: Some(Chain { crc: 9, epoch: Epoch(3) }),
            log_start: Lsn(5),
            next_id: 4,
            runs: vec![RunMeta { id: 2, level: 1 }],
            keys: vec![KeyFileMeta {
                id: 3,
                level: 0,
                entries: 10,
                min_lsn: Lsn(1),
                max_lsn: Lsn(2),
                min_ms: -1,
                max_ms: 7,
            }],
            sealed_ms: vec![(Lsn(0), 1000)],
        }
    }

    #[test]
    fn golden() {
        let bytes = encode(&sample());
        assert_eq!(bytes[..25], *b"APM1\x01\0\0\0\x22\x11\0\0\0\0\0\0\x01\x09\0\0\0\x03\0\0\0");
        assert_eq!(bytes.len(), 41 + 4 + 9 + 4 + 49 + 4 + 16 + 4);
        assert_eq!(decode(&bytes), Some(sample()));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes: Vec<u8>, flip in 0..100_usize) {
            decode(&bytes);
            seal(&mut bytes);
            decode(&bytes);
            let mut good = encode(&sample());
            good[flip] ^= 0x80;
            prop_assert_eq!(decode(&good), None);
        }
    }
}
