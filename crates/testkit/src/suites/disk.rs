//! Conformance of a [`base::Disk`]: the semantics that its documentation promises, one case each.
//!
//! ```
//! mod simulated {
//!     testkit::disk_suite!(|| {
//!         let disk = testkit::SimDoors::new(1).disk;
//!         (disk.clone(), std::path::PathBuf::from("/"), ())
//!     });
//! }
//! ```
//!
//! The closure gives a disk, an existing empty folder in it, and anything that must live as long.

use std::io::{self, ErrorKind};
use std::path::Path;

use base::{Disk, OpenMode};

/// Result of a case: an I/O error that was not expected fails it.
pub type Case = io::Result<()>;

/// Makes one test per case of the suite.
#[macro_export]
macro_rules! disk_suite {
    ($make:expr) => {
        $crate::disk_suite!(@ $make;
            positioned_reads_and_writes, writes_grow_a_file_with_zeros, set_len_cuts_and_grows,
            modes_of_opening, reading_handles_cannot_write, names_are_listed_sorted,
            a_rename_replaces, a_removed_file_stays_with_its_handle, missing_things_are_not_found,
            folders_are_made_with_their_parents, a_folder_has_one_owner, syncs_succeed,
            space_is_told, many_handles_see_one_file, exact_reads_end_with_the_file
        );
    };
    (@ $make:expr; $($case:ident),+) => {
        $(
            #[test]
            fn $case() {
                let (disk, dir, _keep) = ($make)();
                $crate::suites::disk::$case(&disk, &dir).expect("the disk works");
            }
        )+
    };
}

fn fails_with<T>(kind: ErrorKind, result: io::Result<T>) {
    match result {
        Ok(_) => panic!("expected {kind:?}, but it succeeded"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

fn content(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

pub fn positioned_reads_and_writes(disk: &dyn Disk, dir: &Path) -> Case {
    let file = disk.open(&dir.join("f"), OpenMode::CreateNew)?;
    file.write_at(b"hello world", 0)?;
    file.write_at(b"W", 6)?;
    let mut buf = [0; 5];
    assert_eq!(file.read_at(&mut buf, 6)?, 5);
    assert_eq!(&buf, b"World");
    assert_eq!(file.read_at(&mut buf, 9)?, 2, "fewer only at the end");
    assert_eq!(file.read_at(&mut buf, 11)?, 0);
    assert_eq!(file.read_at(&mut buf, 1_000_000)?, 0);
    assert_eq!(file.read_at(&mut [], 0)?, 0);
    Ok(())
}

pub fn writes_grow_a_file_with_zeros(disk: &dyn Disk, dir: &Path) -> Case {
    let file = disk.open(&dir.join("f"), OpenMode::Create)?;
    assert!(file.is_empty()?);
    file.write_at(b"x", 5000)?;
    file.write_at(b"", 9000)?;
    assert_eq!(file.len()?, 5001, "an empty write changes nothing");
    let bytes = content(disk, &dir.join("f"))?;
    assert!(bytes.iter().take(5000).all(|b| *b == 0));
    assert_eq!(bytes.last(), Some(&b'x'));
    Ok(())
}

pub fn set_len_cuts_and_grows(disk: &dyn Disk, dir: &Path) -> Case {
    let file = disk.open(&dir.join("f"), OpenMode::Create)?;
    file.write_at(b"0123456789", 0)?;
    file.set_len(4)?;
    file.set_len(8)?;
    assert_eq!(content(disk, &dir.join("f"))?, b"0123\0\0\0\0", "what was cut does not come back");
    Ok(())
}

pub fn modes_of_opening(disk: &dyn Disk, dir: &Path) -> Case {
    let path = dir.join("f");
    fails_with(ErrorKind::NotFound, disk.open(&path, OpenMode::Read));
    fails_with(ErrorKind::NotFound, disk.open(&path, OpenMode::ReadWrite));
    disk.open(&path, OpenMode::CreateNew)?.write_at(b"content", 0)?;
    fails_with(ErrorKind::AlreadyExists, disk.open(&path, OpenMode::CreateNew));
    disk.open(&path, OpenMode::ReadWrite)?.write_at(b"C", 0)?;
    assert_eq!(content(disk, &path)?, b"Content");
    disk.open(&path, OpenMode::Create)?;
    assert_eq!(content(disk, &path)?, b"", "Create cuts an existing file");
    Ok(())
}

pub fn reading_handles_cannot_write(disk: &dyn Disk, dir: &Path) -> Case {
    let path = dir.join("f");
    disk.open(&path, OpenMode::Create)?.write_at(b"content", 0)?;
    let file = disk.open(&path, OpenMode::Read)?;
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.set_len(1).is_err());
    assert_eq!(content(disk, &path)?, b"content");
    Ok(())
}

pub fn names_are_listed_sorted(disk: &dyn Disk, dir: &Path) -> Case {
    for name in ["b", "a", "c"] {
        disk.open(&dir.join(name), OpenMode::Create)?;
    }
    disk.create_dir_all(&dir.join("ab"))?;
    disk.open(&dir.join("ab/inner"), OpenMode::Create)?;
    assert_eq!(disk.list(dir)?, ["a", "ab", "b", "c"], "names, not paths; not recursive");
    assert_eq!(disk.list(&dir.join("ab"))?, ["inner"]);
    assert!(disk.list(&dir.join("a")).is_err(), "a file is no folder");
    Ok(())
}

pub fn a_rename_replaces(disk: &dyn Disk, dir: &Path) -> Case {
    let (from, to) = (dir.join("from"), dir.join("to"));
    disk.open(&from, OpenMode::Create)?.write_at(b"new", 0)?;
    let old = disk.open(&to, OpenMode::Create)?;
    old.write_at(b"older", 0)?;
    let handle = disk.open(&from, OpenMode::ReadWrite)?;
    disk.rename(&from, &to)?;
    assert_eq!(content(disk, &to)?, b"new");
    assert!(!disk.exists(&from));
    handle.write_at(b"N", 0)?;
    assert_eq!(content(disk, &to)?, b"New", "a handle follows its file");
    assert_eq!(old.len()?, 5, "the replaced file lives while it is open");
    disk.rename(&to, &to)?;
    assert_eq!(content(disk, &to)?, b"New");
    Ok(())
}

pub fn a_removed_file_stays_with_its_handle(disk: &dyn Disk, dir: &Path) -> Case {
    let path = dir.join("f");
    let file = disk.open(&path, OpenMode::Create)?;
    file.write_at(b"content", 0)?;
    disk.remove(&path)?;
    assert!(!disk.exists(&path));
    let mut buf = [0; 7];
    file.read_exact_at(&mut buf, 0)?;
    assert_eq!(&buf, b"content");
    disk.open(&path, OpenMode::CreateNew)?.write_at(b"another", 0)?;
    file.read_exact_at(&mut buf, 0)?;
    assert_eq!(&buf, b"content");
    Ok(())
}

pub fn missing_things_are_not_found(disk: &dyn Disk, dir: &Path) -> Case {
    let nothing = dir.join("nothing");
    assert!(!disk.exists(&nothing));
    fails_with(ErrorKind::NotFound, disk.remove(&nothing));
    fails_with(ErrorKind::NotFound, disk.rename(&nothing, &dir.join("x")));
    fails_with(ErrorKind::NotFound, disk.list(&nothing));
    fails_with(ErrorKind::NotFound, disk.sync_dir(&nothing));
    fails_with(ErrorKind::NotFound, disk.open(&nothing.join("f"), OpenMode::Create));
    fails_with(ErrorKind::NotFound, disk.space(&nothing));
    fails_with(ErrorKind::NotFound, disk.lock(&nothing));
    Ok(())
}

pub fn folders_are_made_with_their_parents(disk: &dyn Disk, dir: &Path) -> Case {
    let deep = dir.join("a/b/c");
    disk.create_dir_all(&deep)?;
    disk.create_dir_all(&deep)?;
    assert!(disk.exists(&deep) && disk.exists(&dir.join("a")));
    assert_eq!(disk.list(&deep)?, Vec::<String>::new());
    disk.open(&dir.join("file"), OpenMode::Create)?;
    assert!(disk.create_dir_all(&dir.join("file")).is_err());
    assert!(disk.remove(&deep).is_err(), "remove is for files");
    Ok(())
}

pub fn a_folder_has_one_owner(disk: &dyn Disk, dir: &Path) -> Case {
    let held = disk.lock(dir)?;
    fails_with(ErrorKind::WouldBlock, disk.lock(dir));
    let other = dir.join("other");
    disk.create_dir_all(&other)?;
    let also_held = disk.lock(&other)?;
    drop(held);
    let again = disk.lock(dir)?;
    drop((again, also_held));
    Ok(())
}

pub fn syncs_succeed(disk: &dyn Disk, dir: &Path) -> Case {
    let file = disk.open(&dir.join("f"), OpenMode::Create)?;
    file.sync()?;
    file.write_at(b"x", 0)?;
    file.sync()?;
    disk.sync_dir(dir)?;
    assert_eq!(disk.boot_id(), disk.boot_id());
    Ok(())
}

pub fn space_is_told(disk: &dyn Disk, dir: &Path) -> Case {
    let space = disk.space(dir)?;
    assert!(space.total_bytes > 0 && space.available_bytes <= space.total_bytes);
    Ok(())
}

pub fn many_handles_see_one_file(disk: &dyn Disk, dir: &Path) -> Case {
    let path = dir.join("f");
    let writer = disk.open(&path, OpenMode::Create)?;
    let reader = disk.open(&path, OpenMode::Read)?;
    writer.write_at(b"abc", 0)?;
    let mut buf = [0; 3];
    reader.read_exact_at(&mut buf, 0)?;
    assert_eq!(&buf, b"abc");
    assert_eq!(reader.len()?, 3);
    Ok(())
}

pub fn exact_reads_end_with_the_file(disk: &dyn Disk, dir: &Path) -> Case {
    let file = disk.open(&dir.join("f"), OpenMode::Create)?;
    file.write_at(b"abc", 0)?;
    let mut buf = [0; 4];
    fails_with(ErrorKind::UnexpectedEof, file.read_exact_at(&mut buf, 0));
    fails_with(ErrorKind::UnexpectedEof, file.read_exact_at(&mut buf, 100));
    Ok(())
}
