//! The simulated file system behind all handles: folders, files, locks, faults.
//!
//! Every folder has two contents: what names resolve to now, and what a power cut would leave.
//! A change of names is applied to the first at once and to the second when the folder is synced.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::fault::{Damage, Fault, FaultEvent, Faults, Op};
use super::inode::{Inode, Landing, SECTOR, to_usize};
use crate::clock::SimClock;
use crate::rng::Rng;
use crate::trace::{Trace, hash_bytes};

pub(super) type Ino = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(Ino),
    Dir,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Dir {
    pub(super) now: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
}

/// One atomic change of names: each name and what it means afterwards.
#[derive(Debug, Clone)]
struct NameChange(Vec<(PathBuf, String, Option<Node>)>);

pub(super) const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const ENOSPC: i32 = 28;

pub(super) fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

pub(super) fn process_is_gone() -> io::Error {
    io::Error::other("the process that this handle belonged to is gone")
}

pub(super) struct World {
    pub(super) dirs: BTreeMap<PathBuf, Dir>,
    pub(super) files: BTreeMap<Ino, Inode>,
    pending_names: Vec<NameChange>,
    next_ino: Ino,
    pub(super) locks: BTreeMap<PathBuf, u64>,
    pub(super) next_lock: u64,
    /// Counts process crashes and power cuts: handles of an older generation are dead.
    pub(super) generation: u64,
    pub(super) is_halted: bool,
    pub(super) boot: u64,
    pub(super) capacity: Option<u64>,
    pub(super) operations: u64,
    pub(super) faults: Faults,
    pub(super) rng: Rng,
    pub(super) clock: SimClock,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, clock: SimClock, trace: Trace) -> Self {
        Self {
            dirs: BTreeMap::from([(PathBuf::from("/"), Dir::default())]),
            files: BTreeMap::new(),
            pending_names: Vec::new(),
            next_ino: 1,
            locks: BTreeMap::new(),
            next_lock: 0,
            generation: 0,
            is_halted: false,
            boot: 1,
            capacity: None,
            operations: 0,
            faults: Faults::default(),
            rng: Rng::new(seed),
            clock,
            trace,
        }
    }

    // ---- names

    fn split(path: &Path) -> io::Result<(PathBuf, String)> {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| os_error(EISDIR))?;
        let dir = path.parent().ok_or_else(|| os_error(EISDIR))?;
        Ok((dir.to_owned(), name.to_owned()))
    }

    pub(super) fn dir(&self, dir: &Path) -> io::Result<&Dir> {
        self.dirs.get(dir).ok_or_else(|| {
            let is_file = Self::split(dir).ok().and_then(|(d, n)| self.dirs.get(&d)?.now.get(&n).copied());
            os_error(if matches!(is_file, Some(Node::File(_))) { ENOTDIR } else { ENOENT })
        })
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Option<Node>> {
        if self.dirs.contains_key(path) {
            return Ok(Some(Node::Dir));
        }
        let (dir, name) = Self::split(path)?;
        Ok(self.dir(&dir)?.now.get(&name).copied())
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<Ino> {
        match self.find(path)? {
            Some(Node::File(ino)) => Ok(ino),
            Some(Node::Dir) => Err(os_error(EISDIR)),
            None => Err(os_error(ENOENT)),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        for (dir, name, node) in &change.0 {
            let names = &mut self.dirs.entry(dir.clone()).or_default().now;
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
        self.pending_names.push(change);
    }

    pub(super) fn create(&mut self, path: &Path, may_exist: bool) -> io::Result<Ino> {
        match self.find(path)? {
            Some(_) if !may_exist => return Err(os_error(EEXIST)),
            Some(Node::Dir) => return Err(os_error(EISDIR)),
            Some(Node::File(ino)) => {
                self.file(ino).set_len(0);
                return Ok(ino);
            }
            None => {}
        }
        let (dir, name) = Self::split(path)?;
        self.dir(&dir)?;
        let ino = self.next_ino;
        self.next_ino += 1;
        self.files.insert(ino, Inode::default());
        self.change_names(NameChange(vec![(dir, name, Some(Node::File(ino)))]));
        Ok(ino)
    }

    pub(super) fn create_dir_all(&mut self, dir: &Path) -> io::Result<()> {
        if self.dirs.contains_key(dir) {
            return Ok(());
        }
        let (parent, name) = Self::split(dir)?;
        self.create_dir_all(&parent)?;
        if self.find(dir)?.is_some() {
            return Err(os_error(EEXIST));
        }
        self.dirs.insert(dir.to_owned(), Dir::default());
        self.change_names(NameChange(vec![(parent, name, Some(Node::Dir))]));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ino = self.find_file(from)?;
        if self.find(to)? == Some(Node::Dir) {
            return Err(os_error(EISDIR));
        }
        let ((from_dir, from_name), (to_dir, to_name)) = (Self::split(from)?, Self::split(to)?);
        if from != to {
            let gone = (from_dir, from_name, None);
            self.change_names(NameChange(vec![gone, (to_dir, to_name, Some(Node::File(ino)))]));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.find_file(path)?;
        let (dir, name) = Self::split(path)?;
        self.change_names(NameChange(vec![(dir, name, None)]));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        self.dir(dir)?;
        let pending = std::mem::take(&mut self.pending_names);
        for change in pending {
            if change.0.iter().any(|(d, ..)| d == dir) {
                self.land(&change);
            } else {
                self.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn land(&mut self, change: &NameChange) {
        for (dir, name, node) in &change.0 {
            let names = &mut self.dirs.entry(dir.clone()).or_default().durable;
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
    }

    // ---- bytes

    pub(super) fn file(&mut self, ino: Ino) -> &mut Inode {
        self.files.entry(ino).or_default()
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let linked = self.dirs.values().flat_map(|d| d.now.values());
        let len = |node: &Node| match node {
            Node::File(ino) => self.files.get(ino).map_or(0, |f| f.cached.len() as u64),
            Node::Dir => 0,
        };
        linked.map(len).sum()
    }

    /// A write, and what an armed fault or a full disk makes of it.
    pub(super) fn write(&mut self, ino: Ino, path: &str, at: u64, data: &[u8]) -> io::Result<()> {
        let struck = self.strike(Op::Write, path)?;
        if let Some(room) = self.room_for(ino, at, data.len()) {
            let arrived = data.get(..self.some_of(room)).unwrap_or_default();
            let detail = format!("({} of {} bytes at {at})", arrived.len(), data.len());
            self.log("full disk", path, detail);
            self.put(ino, at, arrived, Landing::Right);
            return Err(os_error(ENOSPC));
        }
        match struck {
            Some(Fault::WriteError) => {
                self.log("write error", path, format!("({} bytes at {at})", data.len()));
                Err(os_error(EIO))
            }
            Some(Fault::TornWrite) => {
                let arrived = data.get(..self.some_of(data.len())).unwrap_or_default();
                let detail = format!("({} of {} bytes at {at})", arrived.len(), data.len());
                self.log("torn write", path, detail);
                self.put(ino, at, arrived, Landing::Right);
                Err(os_error(EIO))
            }
            Some(Fault::MisdirectedWrite) => {
                self.misdirect(ino, path, at, data);
                Ok(())
            }
            Some(Fault::LostWrite) => {
                self.log("lost write", path, format!("({} bytes at {at})", data.len()));
                self.put(ino, at, data, Landing::Nowhere);
                self.damaged(path, at, data.len());
                Ok(())
            }
            _ => {
                self.put(ino, at, data, Landing::Right);
                Ok(())
            }
        }
    }

    fn put(&mut self, ino: Ino, at: u64, data: &[u8], landing: Landing) {
        if !data.is_empty() {
            self.file(ino).write(at, data, landing);
        }
    }

    fn misdirect(&mut self, ino: Ino, path: &str, at: u64, data: &[u8]) {
        let len = self.file(ino).durable.len();
        let sectors = len / SECTOR;
        let other = (self.rng.index(sectors) * SECTOR) as u64;
        self.log("misdirected write", path, format!("({} bytes at {at} went to {other})", data.len()));
        self.put(ino, at, data, Landing::At(other));
        self.damaged(path, at, data.len());
        self.damaged(path, other, data.len());
    }

    fn damaged(&mut self, path: &str, at: u64, len: usize) {
        self.faults.damage.push(Damage { path: path.to_owned(), at, len: len as u64 });
    }

    /// How much of a write still fits, if not all of it does.
    fn room_for(&self, ino: Ino, at: u64, len: usize) -> Option<usize> {
        let capacity = self.capacity?;
        let have = self.files.get(&ino).map_or(0, |f| f.cached.len());
        let grows = (to_usize(at) + len).saturating_sub(have);
        let room = to_usize(capacity.saturating_sub(self.used_bytes()));
        (grows > room && grows > 0).then(|| (len - grows.min(len) + room).min(len.saturating_sub(1)))
    }

    fn some_of(&mut self, len: usize) -> usize {
        let exact = self.rng.index(len + 1);
        if self.rng.percent(50) { exact / SECTOR * SECTOR } else { exact }
    }

    pub(super) fn sync(&mut self, ino: Ino, path: &str) -> io::Result<()> {
        if self.strike(Op::Sync, path)? == Some(Fault::SyncError) {
            let mut rng = self.rng.fork();
            let report = self.file(ino).fail_sync(&mut rng);
            self.log("fsync error", path, format!("({report:?})"));
            return Err(os_error(EIO));
        }
        self.file(ino).sync();
        Ok(())
    }

    // ---- faults

    /// Counts an operation, lets a slow disk take its time, and returns another fault that struck.
    pub(super) fn strike(&mut self, op: Op, path: &str) -> io::Result<Option<Fault>> {
        self.operations += 1;
        match self.faults.strike(op, path) {
            Some(Fault::Slow(took)) => {
                self.log("slow disk", path, format!("({took:?} for {op:?})"));
                self.clock.advance(took);
                Ok(None)
            }
            Some(Fault::Halt) => {
                self.log("halt", path, format!("(before {op:?})"));
                self.is_halted = true;
                self.generation += 1;
                Err(process_is_gone())
            }
            other => Ok(other),
        }
    }

    pub(super) fn log(&mut self, fault: &'static str, path: &str, detail: String) {
        let event = FaultEvent { operation: self.operations, fault, path: path.to_owned(), detail };
        self.trace.event("fault", &[event.operation], || event.to_string());
        self.faults.log.push(event);
    }

    /// Flips one bit of what is stored; false if there is nothing at that place.
    pub(super) fn flip_bit(&mut self, path: &Path, at: u64, bit: u8) -> io::Result<bool> {
        let ino = self.find_file(path)?;
        let hit = self.file(ino).flip(at, bit);
        if hit {
            let path = path.display().to_string();
            self.log("bit flip", &path, format!("(bit {bit} of byte {at})"));
            self.damaged(&path, at, 1);
        }
        Ok(hit)
    }

    // ---- the end of the process, or of the power

    pub(super) fn crash_process(&mut self) {
        self.is_halted = false;
        self.generation += 1;
        self.locks.clear();
        self.log("process crash", "/", String::new());
    }

    pub(super) fn power_cut(&mut self, rng: &mut Rng) {
        self.is_halted = false;
        self.generation += 1;
        self.boot += 1;
        self.locks.clear();
        let names = self.cut_names(rng);
        let mut changes = 0;
        let mut torn = 0;
        for file in self.files.values_mut() {
            let report = file.power_cut(rng);
            changes += report.changes;
            torn += report.sectors_torn;
        }
        self.forget_unlinked();
        let detail =
            format!("({changes} unsynced changes, {torn} torn sectors, {names} lost changes of names)");
        self.log("power cut", "/", detail);
    }

    /// Keeps a prefix of the changes of names, of all folders together or of each on its own.
    fn cut_names(&mut self, rng: &mut Rng) -> usize {
        let pending = std::mem::take(&mut self.pending_names);
        let total = pending.len();
        let together = rng.percent(50);
        let common = rng.index(total + 1);
        let mut room: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut kept = 0;
        for (i, change) in pending.iter().enumerate() {
            let fits = if together {
                i < common
            } else {
                let mut fits = true;
                for (dir, ..) in &change.0 {
                    let room = room.entry(dir.clone()).or_insert_with(|| rng.index(total + 1));
                    fits &= *room > 0;
                    *room = room.saturating_sub(1);
                }
                if !fits {
                    // What follows in the same folders builds on what is lost.
                    room.extend(change.0.iter().map(|(dir, ..)| (dir.clone(), 0)));
                }
                fits
            };
            if fits {
                self.land(change);
                kept += 1;
            }
        }
        for dir in self.dirs.values_mut() {
            dir.now.clone_from(&dir.durable);
        }
        total - kept
    }

    /// Folders and files that no name leads to any more.
    fn forget_unlinked(&mut self) {
        let mut reachable = vec![PathBuf::from("/")];
        let mut i = 0;
        while let Some(path) = reachable.get(i).cloned() {
            let names = self.dirs.get(&path).map(|d| d.now.clone()).unwrap_or_default();
            let below = names.iter().filter(|(_, node)| **node == Node::Dir).map(|(name, _)| path.join(name));
            reachable.extend(below);
            i += 1;
        }
        for path in &reachable {
            self.dirs.entry(path.clone()).or_default();
        }
        self.dirs.retain(|path, _| reachable.contains(path));
        let linked: Vec<Ino> = self
            .dirs
            .values()
            .flat_map(|d| d.now.values())
            .filter_map(|node| if let Node::File(ino) = node { Some(*ino) } else { None })
            .collect();
        self.files.retain(|ino, _| linked.contains(ino));
    }

    /// A hash of every name and byte that reads would see now.
    pub(super) fn image_hash(&self) -> u64 {
        let mut hash = 0;
        for (path, dir) in &self.dirs {
            hash = hash_bytes(hash, path.as_os_str().as_encoded_bytes());
            for (name, node) in &dir.now {
                hash = hash_bytes(hash, name.as_bytes());
                if let Node::File(ino) = node {
                    let content = self.files.get(ino).map(|f| f.cached.as_slice()).unwrap_or_default();
                    hash = hash_bytes(hash, content);
                }
            }
        }
        hash
    }
}
