//! The door to the disk.
//!
//! Positioned reads and writes only; no file has a cursor. A write is durable only after
//! [`DiskFile::sync`], a creation, rename or removal only after [`Disk::sync_dir`] of its folder.
//! An error of `sync` says nothing about which writes are durable: callers must fence, never retry.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; writes fail.
    Read,
    /// The file must exist; it may be read and written.
    ReadWrite,
    /// Made empty (an existing file is cut to nothing); it may be read and written.
    Create,
    /// Fails with `AlreadyExists` if the file exists; it may be read and written.
    CreateNew,
}

/// Bytes of the file system that holds a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    pub total_bytes: u64,
    pub available_bytes: u64,
}

/// A file system.
pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Names (not paths) in a folder, sorted. Not recursive.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn exists(&self, path: &Path) -> bool;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Atomic replacement within one file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;
    /// Takes the folder for this process; fails with `WouldBlock` if another holds it.
    /// Held until the returned value is dropped.
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// Identifies this start of the operating system; `None` where it cannot be told.
    fn boot_id(&self) -> Option<String>;
}

/// All of a small file.
///
/// # Errors
/// If it cannot be read.
pub fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a file so that after a crash either the old or the new content stands.
///
/// # Errors
/// If the disk fails.
pub fn replace_file(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let tmp = dir.join(format!("{name}.tmp"));
    let file = disk.open(&tmp, OpenMode::Create)?;
    file.write_at(content, 0)?;
    file.sync()?;
    disk.rename(&tmp, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `data`, growing the file where needed.
    fn write_at(&self, data: &[u8], position: u64) -> io::Result<()>;
    /// Makes all finished writes, and the length, durable.
    fn sync(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    /// Cuts or (with zeros) grows the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Grows the file with zeros, and has the file system find the blocks for them, so that no later write
    /// waits for that.
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    /// As [`Self::read_exact_at`], if that needs no waiting for the device; `false`: it would, or it
    /// cannot be told.
    fn read_now_at(&self, _buf: &mut [u8], _position: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads exactly `buf.len()` bytes or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let rest = buf.get_mut(done..).unwrap_or_default();
            let n = self.read_at(rest, position + done as u64)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            done += n;
        }
        Ok(())
    }
}

/// The machine's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

struct SystemFile(fs::File);

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(SystemFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(dir)?;
        // What is kept for the superuser is neither used nor to be had, as `df` counts it.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok(DiskSpace {
            total_bytes: used.saturating_add(stat.f_bavail).saturating_mul(stat.f_frsize),
            available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let path: PathBuf = dir.join("LOCK");
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn boot_id(&self) -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned())
    }
}

impl DiskFile for SystemFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, position) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn read_now_at(&self, buf: &mut [u8], position: u64) -> io::Result<bool> {
        let len = buf.len();
        let mut slices = [io::IoSliceMut::new(buf)];
        let read = rustix::io::preadv2(&self.0, &mut slices, position, rustix::io::ReadWriteFlags::NOWAIT);
        Ok(read.is_ok_and(|read| read == len))
    }

    fn write_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(data, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // Not every file system can.
            Err(Errno::OPNOTSUPP) => self.set_len(len),
            other => Ok(other?),
        }
    }
}
