//! The disks against their suite.

mod system {
    testkit::disk_suite!(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        (base::SystemDisk, dir.path().to_owned(), dir)
    });
}

mod simulated {
    testkit::disk_suite!(|| (testkit::SimDoors::new(1).disk, std::path::PathBuf::from("/"), ()));
}
