//! What was copied, kept on disk: a line for each step, written before the next step.
//!
//! ```text
//! apogee-import 1 <name server>
//! <topic> <broker> <queue> <source offset> <our offset> <count>
//! ```
//! A line that was cut off by a crash is forgotten; what it told of is found again at our side.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;

use crate::import::mapping::{QueueMap, Run};

const FILE: &str = "mirror.log";
const HEAD: &str = "apogee-import 1";

/// A queue of the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceQueue {
    pub(super) topic: String,
    pub(super) broker: String,
    pub(super) queue: u32,
}

pub(super) struct State {
    file: Mutex<File>,
    maps: Mutex<HashMap<SourceQueue, QueueMap>>,
    /// One process at a time.
    _lock: File,
}

impl State {
    pub(super) fn open(folder: &Path, namesrv: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join("LOCK"))?;
        if lock.try_lock().is_err() {
            bail!("another import works with {}", folder.display());
        }
        let path = folder.join(FILE);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text.get(..whole).unwrap_or_default().lines();
        let head = format!("{HEAD} {namesrv}");
        let mut maps = HashMap::new();
        match lines.next() {
            None => {
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(format!("{head}\n").as_bytes())?;
                file.sync_all()?;
                File::open(folder)?.sync_all()?;
            }
            Some(first) if first == head => {
                for line in lines {
                    let (queue, run) = parse(line)
                        .with_context(|| format!("{} has a line that is none: `{line}`", path.display()))?;
                    let map: &mut QueueMap = maps.entry(queue).or_default();
                    if !map.add(run) {
                        bail!("{} contradicts itself at `{line}`", path.display());
                    }
                }
                file.set_len(whole as u64)?;
                file.seek(SeekFrom::End(0))?;
            }
            Some(other) => bail!("{} is of another import: `{other}`", path.display()),
        }
        Ok(Self { file: Mutex::new(file), maps: Mutex::new(maps), _lock: lock })
    }

    pub(super) fn map(&self, queue: &SourceQueue) -> QueueMap {
        self.maps.lock().get(queue).cloned().unwrap_or_default()
    }

    pub(super) fn next_source(&self, queue: &SourceQueue) -> u64 {
        self.maps.lock().get(queue).map_or(0, QueueMap::next_source)
    }

    pub(super) fn copied(&self) -> u64 {
        self.maps.lock().values().map(QueueMap::copied).sum()
    }

    pub(super) fn skip_to(&self, queue: &SourceQueue, offset: u64) {
        self.maps.lock().entry(queue.clone()).or_default().skip_to(offset);
    }

    /// Keeps steps of one queue; durable when it returns.
    pub(super) fn keep(&self, queue: &SourceQueue, runs: &[Run]) -> Result<()> {
        let SourceQueue { topic, broker, queue: number } = queue;
        let mut text = String::new();
        for Run { source, target, count } in runs {
            text += &format!("{topic} {broker} {number} {source} {target} {count}\n");
        }
        {
            let mut file = self.file.lock();
            file.write_all(text.as_bytes()).context("cannot write the state of the import")?;
            file.sync_data().context("cannot write the state of the import")?;
        }
        let mut maps = self.maps.lock();
        let map = maps.entry(queue.clone()).or_default();
        if runs.iter().all(|run| map.add(*run)) {
            return Ok(());
        }
        bail!("{topic} queue {number}: offsets went back; was the topic deleted here or there?")
    }
}

fn parse(line: &str) -> Result<(SourceQueue, Run)> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [topic, broker, queue, source, target, count] = parts.as_slice() else { bail!("six words") };
    let queue =
        SourceQueue { topic: (*topic).to_owned(), broker: (*broker).to_owned(), queue: queue.parse()? };
    Ok((queue, Run { source: source.parse()?, target: target.parse()?, count: count.parse()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> SourceQueue {
        SourceQueue { topic: "t".to_owned(), broker: "broker-a".to_owned(), queue: 3 }
    }

    #[test]
    fn what_is_kept_is_there_again_without_a_line_that_was_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::open(folder.path(), "a:1").expect("opens");
        assert!(State::open(folder.path(), "a:1").is_err(), "one at a time");
        let runs = [Run { source: 5, target: 0, count: 2 }, Run { source: 9, target: 2, count: 1 }];
        state.keep(&queue(), &runs).expect("kept");
        drop(state);
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"t broker-a 3 10 3").expect("written");
        drop(file);
        let state = State::open(folder.path(), "a:1").expect("opens");
        assert_eq!((state.next_source(&queue()), state.copied()), (10, 3));
        state.keep(&queue(), &[Run { source: 10, target: 3, count: 7 }]).expect("kept");
        assert!(state.keep(&queue(), &[Run { source: 3, target: 30, count: 7 }]).is_err());
        drop(state);
        assert!(State::open(folder.path(), "b:1").is_err(), "another cluster");
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), "apogee-import 1 a:1\nt b 0 1 2\n").expect("written");
        assert!(State::open(folder.path(), "a:1").is_err());
    }
}
