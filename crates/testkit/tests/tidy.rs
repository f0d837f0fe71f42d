//! House rules that a machine can check, over every file of the project.
#![expect(clippy::unwrap_used, reason = "a test may fall where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 700;
const ARCHITECTURE_LINES_MAX: usize = 300;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Files below a folder with one of the endings, path relative to the root, and content.
fn files(dir: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    collect(&root().join(dir), endings, &mut out);
    out.sort();
    out
}

fn collect(dir: &Path, endings: &[&str], out: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_foreign = name.starts_with('.') || name.starts_with("target") || name == "node_modules";
        if path.is_dir() && !is_foreign {
            collect(&path, endings, out);
        } else if path.is_file()
            && endings.iter().any(|e| name.ends_with(e))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            out.push((name, text));
        }
    }
}

fn rust_files() -> Vec<(String, String)> {
    let mut all = files("crates", &[".rs"]);
    all.extend(files("xtask", &[".rs"]));
    all
}

fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_named_so = name == "tests.rs" || name.ends_with("_tests.rs") || name.starts_with("test_");
    is_named_so || path.contains("/tests/") || path.contains("/benches/")
}

fn complain(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// Every line of every file for which `is_wrong` says so.
fn wrong_lines(files: &[(String, String)], is_wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    for (path, text) in files {
        for (i, line) in text.lines().enumerate().filter(|(_, line)| is_wrong(path, line)) {
            out.push(format!("{path}:{}: {}", i + 1, line.trim()));
        }
    }
    out
}

#[test]
fn every_file_opens_with_its_purpose() {
    let without =
        |(path, text): &(String, String)| (!is_test(path) && !text.starts_with("//!")).then(|| path.clone());
    complain(
        "files that do not open with `//!`",
        &rust_files().iter().filter_map(without).collect::<Vec<_>>(),
    );
}

#[test]
fn files_stay_small() {
    let long = |(path, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines, allowed are {FILE_LINES_MAX}"))
    };
    complain("files that are too long", &rust_files().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn the_map_is_short_and_true() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines < ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {lines} lines");
    let words = text.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c)));
    let named = words.filter(|w| w.starts_with("crates/") && w.ends_with(".rs"));
    let missing: Vec<String> = named.filter(|path| !root().join(path).exists()).map(str::to_owned).collect();
    complain("ARCHITECTURE.md names files that do not exist", &missing);
}

#[test]
fn nothing_is_left_undone() {
    // Spelt apart, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:"), concat!("dbg", "!(")];
    let found = wrong_lines(&rust_files(), |_, line| marks.iter().any(|mark| line.contains(mark)));
    complain("work that is left undone", &found);
}

#[test]
fn no_line_ends_in_blanks() {
    let mut all = rust_files();
    all.extend(files("docs", &[".md"]));
    all.extend(files("crates", &[".toml", ".proto", ".md"]));
    let found = wrong_lines(&all, |_, line| line.ends_with([' ', '\t']));
    complain("lines that end in blanks", &found);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let marks = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    let mut all = rust_files();
    all.extend(files("docs", &[".md"]));
    all.extend(files("crates", &[".toml", ".md"]));
    all.extend(files("e2e", &[".toml", ".md", ".sh"]));
    for name in ["README.md", "ARCHITECTURE.md", "Cargo.toml"] {
        all.extend(fs::read_to_string(root().join(name)).map(|text| (name.to_owned(), text)));
    }
    let found = wrong_lines(&all, |_, line| marks.iter().any(|mark| line.contains(mark)));
    complain("paths of one machine", &found);
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mark = concat!(".unw", "rap()");
    let mut found = Vec::new();
    for (path, text) in rust_files().iter().filter(|(path, _)| !is_test(path)) {
        // A test module stands at the end of its file.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let file = [(path.clone(), code.to_owned())];
        found.extend(wrong_lines(&file, |_, line| {
            line.contains(mark) && !line.trim_start().starts_with("//")
        }));
    }
    complain("unwraps outside tests; use `expect` with the invariant", &found);
}

#[test]
fn no_merge_is_left_half_done() {
    let found = wrong_lines(&rust_files(), |_, line| {
        line.contains(concat!("<<<", "<<<<")) || line.contains(concat!(">>>", ">>>>"))
    });
    complain("left-overs of a merge", &found);
}
