//! What the simulated disk forgets, keeps and breaks.

use super::*;
use std::time::Duration;

fn disk() -> SimDisk {
    SimDisk::new(1, SimClock::default(), Trace::default())
}

fn write(disk: &SimDisk, path: &str, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
    file.write_at(content, 0).unwrap();
    file
}

fn read(disk: &SimDisk, path: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read)?;
    let mut content = vec![0; to_usize(file.len()?)];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

#[test]
fn a_process_crash_keeps_the_page_cache_and_kills_the_handles() {
    let disk = disk();
    let file = write(&disk, "/a", b"unsynced");
    let boot = disk.boot_id();
    disk.crash_process();
    assert!(file.write_at(b"zombie", 0).is_err());
    assert!(disk.list(Path::new("/")).is_err());
    let disk = disk.next_process();
    assert_eq!(read(&disk, "/a").unwrap(), b"unsynced");
    assert_eq!(disk.boot_id(), boot);
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_changes_the_boot_id() {
    for seed in 0..50 {
        let disk = disk();
        write(&disk, "/safe", b"safe").sync().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        write(&disk, "/new", b"new").sync().unwrap();
        let boot = disk.boot_id();
        disk.power_cut(&mut Rng::new(seed));
        let disk = disk.next_process();
        assert_eq!(read(&disk, "/safe").unwrap(), b"safe");
        assert!(matches!(read(&disk, "/new"), Ok(c) if c == b"new") || !disk.exists(Path::new("/new")));
        assert_ne!(disk.boot_id(), boot);
    }
}

#[test]
fn a_rename_is_all_or_nothing_and_durable_with_its_folder() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..60 {
        let disk = disk();
        write(&disk, "/f", b"old").sync().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        write(&disk, "/f.tmp", b"new").sync().unwrap();
        disk.rename(Path::new("/f.tmp"), Path::new("/f")).unwrap();
        disk.power_cut(&mut Rng::new(seed));
        match read(&disk.next_process(), "/f").unwrap().as_slice() {
            b"old" => lost += 1,
            b"new" => kept += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(kept > 0 && lost > 0, "{kept} {lost}");
}

#[test]
fn a_folder_that_was_not_synced_takes_its_files_along() {
    let outcomes: Vec<bool> = (0..40)
        .map(|seed| {
            let disk = disk();
            disk.create_dir_all(Path::new("/d")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.create_dir_all(Path::new("/d/e")).unwrap();
            write(&disk, "/d/e/f", b"x").sync().unwrap();
            disk.sync_dir(Path::new("/d/e")).unwrap();
            disk.power_cut(&mut Rng::new(seed));
            let disk = disk.next_process();
            assert!(disk.exists(Path::new("/d")));
            disk.exists(Path::new("/d/e/f"))
        })
        .collect();
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

#[test]
fn faults_strike_once_and_are_logged() {
    let disk = disk();
    let file = write(&disk, "/x.log", b"0123456789");
    disk.arm(Fault::WriteError, ".log", 1);
    disk.arm(Fault::SyncError, "other", 0);
    file.write_at(b"passes", 0).unwrap();
    assert!(file.write_at(b"fails", 0).is_err());
    file.write_at(b"PASSES", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.fault_log().len(), 1);
    assert_eq!(disk.fault_counts().get("write error"), Some(&1));
    assert_eq!(disk.armed(), 1);
}

#[test]
fn a_torn_write_leaves_a_part() {
    let disk = disk();
    let file = write(&disk, "/x", b"");
    disk.arm(Fault::TornWrite, "", 0);
    assert!(file.write_at(&[1; 5000], 0).is_err());
    assert!(file.len().unwrap() <= 5000);
}

#[test]
fn a_lie_of_the_drive_shows_when_the_cache_is_dropped() {
    let disk = disk();
    let file = write(&disk, "/x", &[1; 2048]);
    file.sync().unwrap();
    disk.arm(Fault::MisdirectedWrite, "", 0);
    file.write_at(&[2; 512], 2048).unwrap();
    file.sync().unwrap();
    assert_eq!(read(&disk, "/x").unwrap()[2048], 2);
    disk.drop_caches();
    let content = read(&disk, "/x").unwrap();
    assert_eq!(content.len(), 2560);
    assert_eq!(content.iter().filter(|b| **b == 2).count(), 512);
    assert_eq!(content[2048], 0);
    assert_eq!(disk.damage().len(), 2);
}

#[test]
fn a_full_disk_refuses_what_does_not_fit() {
    let disk = disk();
    let file = write(&disk, "/x", &[0; 1000]);
    disk.set_capacity(Some(1500));
    file.write_at(&[1; 1000], 0).unwrap();
    let error = file.write_at(&[1; 1000], 1000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(file.len().unwrap() <= 1500);
    assert_eq!(disk.space(Path::new("/")).unwrap().total_bytes, 1500);
    disk.set_capacity(None);
    file.write_at(&[1; 1000], 1000).unwrap();
}

#[test]
fn a_slow_disk_takes_simulated_time() {
    let clock = SimClock::default();
    let disk = SimDisk::new(1, clock.clone(), Trace::default());
    disk.arm(Fault::Slow(Duration::from_secs(2)), "", 0);
    write(&disk, "/x", b"1");
    assert_eq!(base::Clock::monotonic(&clock), Duration::from_secs(2));
}

#[test]
fn a_flipped_bit_is_read_and_stays() {
    let disk = disk();
    write(&disk, "/x", &[0; 10]).sync().unwrap();
    assert!(disk.flip_bit(Path::new("/x"), 3, 1).unwrap());
    assert!(!disk.flip_bit(Path::new("/x"), 30, 1).unwrap());
    assert_eq!(read(&disk, "/x").unwrap()[3], 2);
}

#[test]
fn one_process_holds_a_folder() {
    let disk = disk();
    let root = Path::new("/");
    let held = disk.lock(root).unwrap();
    let other = disk.next_process();
    assert_eq!(other.lock(root).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
    disk.crash_process();
    let next = disk.next_process();
    let again = next.lock(root).unwrap();
    drop(held);
    assert!(next.lock(root).is_err(), "the lock of a dead process frees nobody else's");
    drop(again);
    assert!(next.lock(root).is_ok());
}
