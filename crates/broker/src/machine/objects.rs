//! Checkpoints: the machine's state as objects, and back.
//!
//! ```text
//! t/<name>                    JSON {id, config}
//! g/<name>                    JSON {id, config}
//! c/<group u32 BE><stream u64 BE>   cursor, see `Cursor::encode`
//! l/, q/, y/lite              lite topics, see `lite`
//! u/<scope>/<name>            a quota, JSON
//! a/<user>                    JSON {config, policies}
//! k/<namespace>\0<key>        value
//! h/<position u64 BE>         an undecided half message, see `Half::encode`
//! n/halves                    number of the next half message u64
//! r/<name>                    number of a deleted group whose progress is kept, u32
//! d/<topic u32 BE><minute u64 BE><split u8>   identities whose window ends in the minute, see `dedup`
//! w/<day i64 BE>              what is due in the minutes of a day, see `Due::encode_day`
//! m/machine                   next topic id u32, next group id u32, format u32
//! ```

use model::{GroupConfig, GroupName, Lsn, StreamId, TopicConfig, TopicName};
use replica::ApplyError;
use serde::{Deserialize, Serialize};
use store::{Views, ViewsReader};

use super::BrokerMachine;
use super::bytes::{Reader, Short, Writer};
use super::cursor::Cursor;
use super::halves::Half;
use super::state::CursorKey;

const MACHINE: &[u8] = b"m/machine";
/// What the objects and records of the machine look like. To be raised with every change after which
/// older data cannot be read as it stands.
const FORMAT: u32 = 3;
const NEXT_HALF: &[u8] = b"n/halves";

#[derive(Serialize, Deserialize)]
struct Numbered<C> {
    id: u32,
    config: C,
}

pub(super) fn topic_key(name: &TopicName) -> Vec<u8> {
    [b"t/", name.as_str().as_bytes()].concat()
}

pub(super) fn group_key(name: &GroupName) -> Vec<u8> {
    [b"g/", name.as_str().as_bytes()].concat()
}

pub(super) fn cursor_key(key: CursorKey) -> Vec<u8> {
    if crate::streams::is_lite(key.stream) {
        return super::lite::cursor_key(key);
    }
    [&b"c/"[..], &key.group_id.to_be_bytes(), &key.stream.get().to_be_bytes()].concat()
}

pub(super) fn half_key(lsn: Lsn) -> Vec<u8> {
    [&b"h/"[..], &lsn.get().to_be_bytes()].concat()
}

pub(super) fn retired_group_key(name: &GroupName) -> Vec<u8> {
    [b"r/", name.as_str().as_bytes()].concat()
}

fn day_key(day: i64) -> Vec<u8> {
    [&b"w/"[..], &day.to_be_bytes()].concat()
}

fn parse_day_key(key: &[u8]) -> Result<i64, Short> {
    let day = key.get(2..).ok_or(Short)?.try_into().map_err(|_| Short)?;
    Ok(i64::from_be_bytes(day))
}

fn key_value_key(namespace: &str, key: &str) -> Vec<u8> {
    [b"k/", namespace.as_bytes(), b"\0", key.as_bytes()].concat()
}

fn parse_cursor_key(key: &[u8]) -> Result<CursorKey, Short> {
    let (group, stream) = key.get(2..).ok_or(Short)?.split_at_checked(4).ok_or(Short)?;
    Ok(CursorKey {
        group_id: u32::from_be_bytes(group.try_into().map_err(|_| Short)?),
        stream: StreamId(u64::from_be_bytes(stream.try_into().map_err(|_| Short)?)),
    })
}

fn damaged(key: &[u8], reason: impl ToString) -> ApplyError {
    let reason = format!("object {}: {}", String::from_utf8_lossy(key), reason.to_string());
    ApplyError { lsn: Lsn::ZERO, kind: 0, reason }
}

/// Read before all else: other data must not be taken for damaged data.
fn check_format(key: &[u8], format: u32) -> Result<(), ApplyError> {
    if format == FORMAT {
        return Ok(());
    }
    let other = format!("the data is of format {format}, this version of Apogee reads format {FORMAT}");
    Err(damaged(key, other))
}

/// Writes a topic at once: a checkpoint that had to write very many would stop the group's thread.
pub(super) fn store_topic(id: u32, config: &TopicConfig, views: &mut Views) {
    let value = serde_json::to_vec(&Numbered { id, config }).expect("a topic's configuration is plain data");
    views.put_object(&topic_key(&config.name), &value);
}

impl BrokerMachine {
    pub(super) fn store_objects(&mut self, views: &mut Views) {
        for id in std::mem::take(&mut self.dirty.groups) {
            let Some(group) = self.state.group_by_id(id) else { continue };
            let numbered = Numbered { id, config: &group.config };
            let value = serde_json::to_vec(&numbered).expect("a group's configuration is plain data");
            views.put_object(&group_key(&group.config.name), &value);
        }
        self.store_cursors(0, usize::MAX, views);
        let mut bytes = Vec::new();
        for (namespace, key) in std::mem::take(&mut self.dirty.key_values) {
            match self.state.key_value(&namespace, &key) {
                Some(value) => views.put_object(&key_value_key(&namespace, &key), value.as_bytes()),
                None => views.remove_object(&key_value_key(&namespace, &key)),
            }
        }
        self.store_halves(views);
        for (bucket, object) in self.dedup.take_dirty() {
            match object {
                Some(object) => views.put_object(&bucket.key(), &object),
                None => views.remove_object(&bucket.key()),
            }
        }
        self.store_lite(views);
        bytes.clear();
        let mut writer = Writer(&mut bytes);
        writer.u32(self.next_topic_id);
        writer.u32(self.next_group_id);
        writer.u32(FORMAT);
        views.put_object(MACHINE, &bytes);
        for day in self.due.take_dirty_days() {
            bytes.clear();
            if self.due.encode_day(day, &mut Writer(&mut bytes)) {
                views.put_object(&day_key(day), &bytes);
            } else {
                views.remove_object(&day_key(day));
            }
        }
    }

    /// Writes changed cursors until only `kept` are left to write, at most `max`. What is written before
    /// its checkpoint and changes again is written again.
    pub(super) fn store_cursors(&mut self, kept: usize, max: usize, views: &mut Views) {
        let mut bytes = Vec::new();
        for _ in 0..self.dirty.cursors.len().saturating_sub(kept).min(max) {
            let Some(key) = self.dirty.cursors.pop_first() else { return };
            let Some(cell) = self.state.cursor(key) else { continue };
            bytes.clear();
            cell.cursor.lock().encode(&mut Writer(&mut bytes));
            views.put_object(&cursor_key(key), &bytes);
        }
    }

    fn store_halves(&mut self, views: &mut Views) {
        let mut halves = self.state.halves.lock();
        let mut bytes = Vec::new();
        for lsn in std::mem::take(&mut self.dirty.halves) {
            let Some(half) = halves.get_mut(lsn) else { continue };
            half.has_object = true;
            bytes.clear();
            half.encode(&mut Writer(&mut bytes));
            views.put_object(&half_key(lsn), &bytes);
        }
        if halves.next_offset() > 0 {
            views.put_object(NEXT_HALF, &halves.next_offset().to_le_bytes());
        }
    }

    pub(super) fn load_objects(&mut self, objects: &ViewsReader) -> Result<(), ApplyError> {
        let mut failed = None;
        for prefix in [
            &b"m/"[..],
            b"t/",
            b"g/",
            b"r/",
            b"d/",
            b"c/",
            b"q/",
            b"y/",
            b"k/",
            b"u/",
            b"a/",
            b"h/",
            b"n/",
            b"w/",
        ] {
            let scanned = objects.scan_objects(prefix, &mut |key, value| {
                if failed.is_none() {
                    failed = self.load_object(key, value).err();
                }
            });
            scanned.map_err(|error| damaged(prefix, error))?;
        }
        failed.map_or(Ok(()), Err)
    }

    fn load_object(&mut self, key: &[u8], value: &[u8]) -> Result<(), ApplyError> {
        let bad = |error: Short| damaged(key, error);
        let bad_json = |error: serde_json::Error| damaged(key, error);
        match key.first() {
            Some(b'm') => {
                let mut from = Reader(value);
                self.next_topic_id = from.u32().map_err(bad)?;
                self.next_group_id = from.u32().map_err(bad)?;
                check_format(key, from.u32().unwrap_or(1))?;
            }
            Some(b't') => {
                let Numbered::<TopicConfig> { id, config } =
                    serde_json::from_slice(value).map_err(bad_json)?;
                self.state.put_topic(id, config);
            }
            Some(b'g') => {
                let Numbered::<GroupConfig> { id, config } =
                    serde_json::from_slice(value).map_err(bad_json)?;
                self.state.put_group(id, config);
            }
            Some(b'r') => {
                let name = String::from_utf8_lossy(key.get(2..).unwrap_or_default()).into_owned();
                let name = GroupName::new(&name).map_err(|error| damaged(key, error))?;
                self.state.retire_group(name, Reader(value).u32().map_err(bad)?);
            }
            Some(b'd') => self.dedup.load(value).map_err(bad)?,
            Some(b'q') => self.load_lite_cursor(key, value).map_err(bad)?,
            Some(b'y') => self.load_lite_counts(value).map_err(bad)?,
            Some(b'c') => {
                let key = parse_cursor_key(key).map_err(bad)?;
                let cursor = Cursor::decode(&mut Reader(value)).map_err(bad)?;
                self.watch_deadline(key, cursor.first_deadline_ms());
                *self.state.cursor_or_new(key).cursor.lock() = cursor;
            }
            Some(b'h') => {
                let lsn = key.get(2..).and_then(|lsn| lsn.try_into().ok()).ok_or_else(|| bad(Short))?;
                let half = Half::decode(&mut Reader(value)).map_err(bad)?;
                self.state.halves.lock().on_arrived(Lsn(u64::from_be_bytes(lsn)), half);
            }
            Some(b'n') => {
                let next = Reader(value).u64().map_err(bad)?;
                self.state.halves.lock().restore_offset(next);
            }
            Some(b'w') => {
                let day = parse_day_key(key).map_err(bad)?;
                self.due.decode_day(day, &mut Reader(value)).map_err(bad)?;
            }
            Some(b'u') => {
                self.state.quotas.put(serde_json::from_slice(value).map_err(bad_json)?);
            }
            Some(b'a') => self.load_account(key, value).map_err(|why| damaged(key, why))?,
            _ => {
                let text = String::from_utf8_lossy(key.get(2..).unwrap_or_default()).into_owned();
                let (namespace, name) = text.split_once('\0').ok_or_else(|| bad(Short))?;
                let value = String::from_utf8_lossy(value).into_owned();
                self.state.put_key_value(namespace.to_owned(), name.to_owned(), Some(value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_format_is_refused_by_its_name() {
        assert!(check_format(MACHINE, FORMAT).is_ok());
        let refused = check_format(MACHINE, 1).expect_err("refused").reason;
        assert!(
            refused.contains("format 1") && refused.contains(&format!("reads format {FORMAT}")),
            "{refused}"
        );
    }
}
