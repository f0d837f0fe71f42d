//! Client libraries come from their registries by our own lock files, programs are built from our sources.
//! Both happen once for the same inputs: a stamp beside the result holds the hash of what it was made from.
use crate::paths;
use crate::process::run_quietly;
use anyhow::{Context, Result};
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold results, never inputs.
const RESULTS: [&str; 5] = ["node_modules", ".venv", "target", ".cache", "__pycache__"];

/// Jars of a pom's dependencies; returns their folder.
pub(crate) fn java_libraries(folder: &str, cache: &str, version: Option<&str>) -> Result<PathBuf> {
    let pom = paths::e2e().join(folder).join("pom.xml");
    let libraries = paths::cache(cache).join("lib");
    once(&paths::cache(cache).join("lib.stamp"), std::slice::from_ref(&pom), || {
        remove(&libraries)?;
        let mut maven = Command::new("mvn");
        maven
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(&pom)
            .arg(format!("-DoutputDirectory={}", libraries.display()))
            .args(version.map(|version| format!("-Dclient.version={version}")));
        run_quietly(&mut maven)
    })?;
    Ok(libraries)
}

pub(crate) fn java_program(cache: &str, sources: &[&str], libraries: &Path) -> Result<()> {
    let folders: Vec<PathBuf> = sources.iter().map(|folder| paths::e2e().join(folder)).collect();
    let classes = paths::cache(cache).join("classes");
    let mut inputs = folders.clone();
    inputs.push(paths::cache(cache).join("lib.stamp"));
    once(&paths::cache(cache).join("classes.stamp"), &inputs, || {
        remove(&classes)?;
        let mut files = Vec::new();
        for folder in &folders {
            files_below(folder, &mut files)?;
        }
        let mut javac = Command::new("javac");
        javac
            .args(["--release", "17", "-nowarn", "-Xlint:-options", "-proc:none", "-d"])
            .arg(&classes)
            .arg("-cp")
            .arg(format!("{}/*", libraries.display()))
            .args(files.iter().filter(|file| file.extension() == Some(OsStr::new("java"))));
        run_quietly(&mut javac)
    })
}

pub(crate) fn go_program(folder: &str) -> Result<()> {
    let source = paths::e2e().join(folder);
    let program = paths::cache(folder).join("program");
    once(&paths::cache(folder).join("stamp"), &[source.clone(), paths::e2e().join("go-kit")], || {
        run_quietly(
            Command::new("go")
                .args(["build", "-mod=readonly", "-o"])
                .arg(&program)
                .arg(".")
                .current_dir(&source),
        )
    })
}

pub(crate) fn python_environment(folder: &str) -> Result<()> {
    let source = paths::e2e().join(folder);
    let environment = source.join(".venv");
    let requirements = source.join("requirements.txt");
    once(&environment.join("stamp"), std::slice::from_ref(&requirements), || {
        run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        run_quietly(
            Command::new(environment.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"])
                .arg(&requirements),
        )
    })
}

pub(crate) fn node_modules(folder: &str) -> Result<()> {
    node_packages(&paths::e2e().join(folder))
}

/// What the lock file of a folder names.
pub(crate) fn node_packages(source: &Path) -> Result<()> {
    once(&source.join("node_modules/stamp"), &[source.join("package-lock.json")], || {
        run_quietly(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
                .current_dir(source),
        )
    })
}

/// Cargo keeps its own stamps.
pub(crate) fn rust_program(folder: &str) -> Result<()> {
    let source = paths::e2e().join(folder);
    run_quietly(
        Command::new("cargo")
            .args(["build", "--quiet", "--locked", "--target-dir"])
            .arg(source.join("target"))
            .current_dir(&source),
    )
}

/// Runs `make` unless `stamp` says that it ran for the same content of `inputs`.
pub(crate) fn once(stamp: &Path, inputs: &[PathBuf], make: impl FnOnce() -> Result<()>) -> Result<()> {
    let content = hash_of(inputs)?;
    if std::fs::read_to_string(stamp).is_ok_and(|made_from| made_from == content) {
        return Ok(());
    }
    let folder = stamp.parent().context("a stamp stands in a folder")?;
    std::fs::create_dir_all(folder)?;
    make()?;
    std::fs::write(stamp, content)?;
    Ok(())
}

fn hash_of(inputs: &[PathBuf]) -> Result<String> {
    let mut files = Vec::new();
    for input in inputs {
        files_below(input, &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(&file)?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn files_below(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        if !RESULTS.iter().any(|result| entry.file_name() == *result) {
            files_below(&entry.path(), found)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
