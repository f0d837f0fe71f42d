//! The simulated disk: a file system in memory that loses what was not synced.
//!
//! ```text
//! write ──► page cache ──sync──► durable        crash of the process: the page cache stays
//! create, rename, remove ──sync_dir──► durable  power cut: a random part of what was pending stays
//! ```
//!
//! Faults are armed with [`SimDisk::arm`] and strike the next fitting operation. Everything that
//! struck stands in [`SimDisk::fault_log`], everything that no longer holds what was written in
//! [`SimDisk::damage`]. Reading order: `inode`, [`fault`], `world`, this file.

pub mod fault;
mod inode;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, DiskFile, DiskSpace, OpenMode};
use parking_lot::Mutex;

use self::fault::{Damage, Fault, FaultEvent, Op};
use self::inode::to_usize;
use self::world::{EIO, Ino, Node, World, os_error, process_is_gone};
use crate::clock::SimClock;
use crate::rng::Rng;
use crate::trace::{Trace, hash_bytes};

/// Space of a disk without a limit.
const UNLIMITED_BYTES: u64 = 1 << 40;
const EWOULDBLOCK: i32 = 11;
const EBADF: i32 = 9;

/// A [`Disk`] in memory. Cheap to clone; clones belong to the same process. After a crash or a
/// power cut only a handle from [`SimDisk::next_process`] works.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    generation: u64,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let world = self.world.lock();
        write!(f, "SimDisk({} files, {} operations)", world.files.len(), world.operations)
    }
}

impl SimDisk {
    /// An empty disk. `seed` decides what faults do in detail.
    #[must_use]
    pub fn new(seed: u64, clock: SimClock, trace: Trace) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed, clock, trace))), generation: 0 }
    }

    // ---- the simulation's side

    /// The handle of a process that starts now.
    #[must_use]
    pub fn next_process(&self) -> Self {
        let generation = self.world.lock().generation;
        Self { world: Arc::clone(&self.world), generation }
    }

    /// The process dies: its locks go, its handles fail from now on, the page cache stays.
    pub fn crash_process(&self) {
        self.world.lock().crash_process();
    }

    /// The power goes: what was not synced survives in part, as `rng` decides.
    pub fn power_cut(&self, rng: &mut Rng) {
        self.world.lock().power_cut(rng);
    }

    /// The fault strikes an operation on a path that contains `path_part`, after letting `skip`
    /// of those pass.
    pub fn arm(&self, fault: Fault, path_part: &str, skip: u64) {
        self.world.lock().faults.arm(fault, path_part, skip);
    }

    /// Forgets faults that have not struck.
    pub fn disarm(&self) {
        self.world.lock().faults.disarm();
    }

    /// Faults that have not struck yet.
    #[must_use]
    pub fn armed(&self) -> usize {
        self.world.lock().faults.armed()
    }

    /// True when an armed [`Fault::Halt`] has struck and nobody has buried the process yet.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.world.lock().is_halted
    }

    /// Limits the bytes of all files; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world.lock().capacity = bytes;
    }

    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.world.lock().used_bytes()
    }

    /// Flips one stored bit. False if the file has no such byte.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn flip_bit(&self, path: &Path, at: u64, bit: u8) -> io::Result<bool> {
        self.world.lock().flip_bit(path, at, bit)
    }

    /// Flips back every flipped bit that has not been overwritten since.
    pub fn heal_flips(&self) {
        self.world.lock().files.values_mut().for_each(inode::Inode::heal);
    }

    /// The page cache forgets: a drive that has lied is found out.
    pub fn drop_caches(&self) {
        self.world.lock().files.values_mut().for_each(inode::Inode::drop_cache);
    }

    /// All files below `dir` with their present length, sorted.
    #[must_use]
    pub fn files_below(&self, dir: &Path) -> Vec<(PathBuf, u64)> {
        let world = self.world.lock();
        let mut out = Vec::new();
        for (path, content) in world.dirs.iter().filter(|(path, _)| path.starts_with(dir)) {
            for (name, node) in &content.now {
                if let Node::File(ino) = node {
                    let len = world.files.get(ino).map_or(0, |f| f.cached.len() as u64);
                    out.push((path.join(name), len));
                }
            }
        }
        out
    }

    /// Everything that struck, in order.
    #[must_use]
    pub fn fault_log(&self) -> Vec<FaultEvent> {
        self.world.lock().faults.log.clone()
    }

    /// What struck after the first `n` events.
    #[must_use]
    pub fn faults_since(&self, n: usize) -> Vec<FaultEvent> {
        self.world.lock().faults.since(n).to_vec()
    }

    /// How often each fault has struck.
    #[must_use]
    pub fn fault_counts(&self) -> BTreeMap<&'static str, u64> {
        self.world.lock().faults.counts()
    }

    /// Places whose stored bytes are not what was written there.
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        self.world.lock().faults.damage.clone()
    }

    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world.lock().operations
    }

    /// A hash of all names and bytes.
    #[must_use]
    pub fn image_hash(&self) -> u64 {
        self.world.lock().image_hash()
    }

    // ---- the process's side

    /// Locks the world for an operation of this process.
    fn world(&self) -> io::Result<parking_lot::MutexGuard<'_, World>> {
        let world = self.world.lock();
        if world.generation == self.generation { Ok(world) } else { Err(process_is_gone()) }
    }

    /// An operation on names, which may be struck.
    fn name_op<T>(
        &self,
        what: &'static str,
        path: &Path,
        run: impl FnOnce(&mut World) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.world()?;
        let text = path.display().to_string();
        world.trace.event(what, &[hash_bytes(0, text.as_bytes())], || text.clone());
        if world.strike(Op::Name, &text)? == Some(Fault::NameError) {
            world.log("name error", &text, format!("({what})"));
            return Err(os_error(EIO));
        }
        run(&mut world)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let ino = self.name_op("open", path, |world| match mode {
            OpenMode::Read | OpenMode::ReadWrite => world.find_file(path),
            OpenMode::Create => world.create(path, true),
            OpenMode::CreateNew => world.create(path, false),
        })?;
        let is_writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), ino, path: path.display().to_string(), is_writable }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.world()?.dir(dir)?.now.keys().cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.world().is_ok_and(|world| matches!(world.find(path), Ok(Some(_))))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.name_op("mkdir", dir, |world| world.create_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.name_op("rename", to, |world| world.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.name_op("remove", path, |world| world.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world()?;
        let text = dir.display().to_string();
        world.trace.event("sync_dir", &[hash_bytes(0, text.as_bytes())], || text.clone());
        if world.strike(Op::SyncDir, &text)? == Some(Fault::SyncDirError) {
            world.log("folder fsync error", &text, String::new());
            return Err(os_error(EIO));
        }
        world.sync_dir(dir)
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let world = self.world()?;
        world.dir(dir)?;
        let total_bytes = world.capacity.unwrap_or(UNLIMITED_BYTES);
        Ok(DiskSpace { total_bytes, available_bytes: total_bytes.saturating_sub(world.used_bytes()) })
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut world = self.world()?;
        world.dir(dir)?;
        let path = dir.join("LOCK");
        if world.find(&path)?.is_none() {
            world.create(&path, true)?;
        }
        if world.locks.contains_key(dir) {
            return Err(os_error(EWOULDBLOCK));
        }
        let token = world.next_lock;
        world.next_lock += 1;
        world.locks.insert(dir.to_owned(), token);
        Ok(Box::new(LockGuard { world: Arc::clone(&self.world), dir: dir.to_owned(), token }))
    }

    fn boot_id(&self) -> Option<String> {
        self.world().ok().map(|world| format!("sim-boot-{}", world.boot))
    }
}

struct LockGuard {
    world: Arc<Mutex<World>>,
    dir: PathBuf,
    token: u64,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        if world.locks.get(&self.dir) == Some(&self.token) {
            world.locks.remove(&self.dir);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    ino: Ino,
    path: String,
    is_writable: bool,
}

impl SimFile {
    fn writable(&self) -> io::Result<parking_lot::MutexGuard<'_, World>> {
        let world = self.disk.world()?;
        if self.is_writable { Ok(world) } else { Err(os_error(EBADF)) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut world = self.disk.world()?;
        if world.strike(Op::Read, &self.path)? == Some(Fault::ReadError) {
            world.log("read error", &self.path, format!("({} bytes at {position})", buf.len()));
            return Err(os_error(EIO));
        }
        let content = &world.file(self.ino).cached;
        let rest = content.get(to_usize(position).min(content.len())..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn write_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        let mut world = self.writable()?;
        let numbers = [self.ino, position, data.len() as u64, hash_bytes(0, data)];
        world.trace.event("write", &numbers, || format!("{} {} at {position}", self.path, data.len()));
        world.write(self.ino, &self.path, position, data)
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world()?;
        world.trace.event("sync", &[self.ino], || self.path.clone());
        world.sync(self.ino, &self.path)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.world()?.file(self.ino).cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.writable()?;
        world.trace.event("set_len", &[self.ino, len], || format!("{} to {len}", self.path));
        world.file(self.ino).set_len(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
