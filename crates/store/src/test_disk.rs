//! A disk in memory with faults, for this crate's tests: power cuts that keep any part of what
//! was not synced, full disks, failing syncs, flipped bits.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::{Chance, Clock, Disk, DiskFile, DiskSpace, Doors, OpenMode};

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    /// What a read sees.
    visible: Vec<u8>,
    /// Writes since the last sync: position and bytes, or a new length.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Len(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let (at, end) = (*at as usize, *at as usize + data.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[at..end].copy_from_slice(data);
            }
            Self::Len(len) => bytes.resize(*len as usize, 0),
        }
    }
}

type FileRef = Arc<Mutex<Content>>;

#[derive(Default)]
struct Tree {
    visible: BTreeMap<PathBuf, FileRef>,
    durable: BTreeMap<PathBuf, FileRef>,
    locked: bool,
}

/// The disk and its faults.
#[derive(Default)]
pub(crate) struct TestDisk {
    tree: Mutex<Tree>,
    faults: Arc<Faults>,
    boot: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Faults {
    /// Bytes that may still be written; `u64::MAX` is no limit, which 0 stands for.
    pub(crate) room: AtomicU64,
    pub(crate) limited: AtomicBool,
    pub(crate) fail_sync: AtomicBool,
    /// Removing and renaming fails.
    pub(crate) fail_names: AtomicBool,
    /// The sync of a folder that finds no space: 1 is the next one, 0 none.
    pub(crate) full_dir_in: AtomicU64,
}

struct TestFile {
    content: FileRef,
    faults: Arc<Faults>,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl TestDisk {
    pub(crate) fn doors(self: &Arc<Self>) -> Doors {
        let clock: Arc<TestClock> = Arc::default();
        Doors { clock, disk: Arc::clone(self) as Arc<dyn Disk>, ..Doors::system() }
    }

    pub(crate) fn limit(&self, room: Option<u64>) {
        self.faults.limited.store(room.is_some(), Ordering::Relaxed);
        self.faults.room.store(room.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn fail_syncs(&self, yes: bool) {
        self.faults.fail_sync.store(yes, Ordering::Relaxed);
    }

    pub(crate) fn fail_names(&self, yes: bool) {
        self.faults.fail_names.store(yes, Ordering::Relaxed);
    }

    fn check_names(&self) -> io::Result<()> {
        if self.faults.fail_names.load(Ordering::Relaxed) {
            Err(io::Error::other("names fail"))
        } else {
            Ok(())
        }
    }

    /// The `n`th sync of a folder from now on finds no space.
    pub(crate) fn fill_dir_in(&self, n: u64) {
        self.faults.full_dir_in.store(n, Ordering::Relaxed);
    }

    /// The process dies; the page cache survives.
    pub(crate) fn crash(&self) {
        self.tree.lock().unwrap().locked = false;
    }

    /// The power fails: of what was not synced, any part survives, the rest never happened.
    pub(crate) fn power_cut(&self, chance: &dyn Chance) {
        let mut tree = self.tree.lock().unwrap();
        tree.locked = false;
        self.boot.fetch_add(1, Ordering::Relaxed);
        if chance.below(2) == 0 {
            tree.durable = tree.visible.clone();
        }
        tree.visible = tree.durable.clone();
        for file in tree.visible.values() {
            let mut content = file.lock().unwrap();
            let mut bytes = content.durable.clone();
            for change in std::mem::take(&mut content.pending) {
                match (chance.below(3), change) {
                    (0, _) => {}
                    (1, Change::Write(at, data)) => {
                        let keep = chance.below(data.len() as u64 + 1) as usize;
                        Change::Write(at, data[..keep].to_vec()).apply(&mut bytes);
                    }
                    (_, change) => change.apply(&mut bytes),
                }
            }
            content.durable.clone_from(&bytes);
            content.visible = bytes;
        }
    }

    pub(crate) fn flip(&self, path: &Path, at: u64) {
        let tree = self.tree.lock().unwrap();
        let mut content = tree.visible[path].lock().unwrap();
        content.visible[at as usize] ^= 0x10;
        content.durable = content.visible.clone();
    }

    /// Replaces a file's content, durably.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut tree = self.tree.lock().unwrap();
        let content = Content { durable: bytes.clone(), visible: bytes, pending: Vec::new() };
        let file = Arc::new(Mutex::new(content));
        tree.visible.insert(path.to_owned(), Arc::clone(&file));
        tree.durable.insert(path.to_owned(), file);
    }

    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        self.tree.lock().unwrap().visible[path].lock().unwrap().visible.clone()
    }
}

struct TestLock;

impl Disk for TestDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut tree = self.tree.lock().unwrap();
        let found = tree.visible.get(path).cloned();
        let content = match (mode, found) {
            (OpenMode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Read | OpenMode::ReadWrite, None) => return Err(not_found()),
            (OpenMode::Read | OpenMode::ReadWrite, Some(file)) => file,
            (OpenMode::Create | OpenMode::CreateNew, _) => {
                let file = FileRef::default();
                tree.visible.insert(path.to_owned(), Arc::clone(&file));
                file
            }
        };
        Ok(Arc::new(TestFile { content, faults: Arc::clone(&self.faults) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree.lock().unwrap();
        let inside = tree.visible.keys().filter(|p| p.parent() == Some(dir));
        Ok(inside.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.tree.lock().unwrap().visible.contains_key(path)
    }

    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_names()?;
        let mut tree = self.tree.lock().unwrap();
        let file = tree.visible.remove(from).ok_or_else(not_found)?;
        tree.visible.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check_names()?;
        self.tree.lock().unwrap().visible.remove(path).map(drop).ok_or_else(not_found)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let left = self.faults.full_dir_in.load(Ordering::Relaxed);
        self.faults.full_dir_in.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut tree = self.tree.lock().unwrap();
        tree.durable.retain(|p, _| p.parent() != Some(dir));
        let inside: Vec<_> = tree.visible.iter().filter(|(p, _)| p.parent() == Some(dir)).collect();
        let inside: Vec<_> = inside.into_iter().map(|(p, f)| (p.clone(), Arc::clone(f))).collect();
        tree.durable.extend(inside);
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<DiskSpace> {
        let limited = self.faults.limited.load(Ordering::Relaxed);
        let room = self.faults.room.load(Ordering::Relaxed);
        let percent = if limited { room.min(100) } else { 100 };
        Ok(DiskSpace { total_bytes: 100 << 20, available_bytes: percent << 20 })
    }

    fn lock(&self, _dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut tree = self.tree.lock().unwrap();
        if std::mem::replace(&mut tree.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(TestLock))
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot-{}", self.boot.load(Ordering::Relaxed)))
    }
}

impl TestFile {
    fn change(&self, change: Change) {
        let mut content = self.content.lock().unwrap();
        change.apply(&mut content.visible);
        content.pending.push(change);
    }
}

impl DiskFile for TestFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let rest = content.visible.get(position as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        if self.faults.limited.load(Ordering::Relaxed) {
            let room = self.faults.room.load(Ordering::Relaxed);
            let fits = data.len().min(room as usize);
            self.faults.room.store(room - fits as u64, Ordering::Relaxed);
            self.change(Change::Write(position, data[..fits].to_vec()));
            return if fits < data.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        }
        self.change(Change::Write(position, data.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.content.lock().unwrap();
        if self.faults.fail_sync.load(Ordering::Relaxed) {
            // The pages count as clean from now on, but were never written.
            content.pending.clear();
            return Err(io::Error::other("sync failed"));
        }
        let mut durable = std::mem::take(&mut content.durable);
        std::mem::take(&mut content.pending).iter().for_each(|change| change.apply(&mut durable));
        content.durable = durable;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().visible.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Len(len));
        Ok(())
    }
}

/// Time that moves only by being asked, and by sleeping.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_000_000 + self.0.fetch_add(1, Ordering::Relaxed) as i64
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep(&self, duration: std::time::Duration) -> futures::future::BoxFuture<'static, ()> {
        self.0.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
        Box::pin(tokio::task::yield_now())
    }
}

/// Seeded chance.
pub(crate) struct TestChance(AtomicU64);

impl TestChance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Chance for TestChance {
    fn next_u64(&self) -> u64 {
        let n = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        crate::views::filter::mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }
}
