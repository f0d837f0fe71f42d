//! The crate table of ARCHITECTURE.md against every Cargo.toml.
#![expect(clippy::unwrap_used, reason = "a test may fall where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Edges = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names in backquotes.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the table, in order: crate, and what it may use.
fn table(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| crate | may use"));
    assert!(lines.next().is_some(), "ARCHITECTURE.md has no table that begins with `| crate | may use`");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        let [_, name, uses, ..] = cells.as_slice() else { panic!("not a row: {line}") };
        let name = names(name).pop().unwrap_or_else(|| panic!("a row without a crate: {line}"));
        (name, names(uses).into_iter().collect())
    })
    .collect()
}

/// What the manifests of all members say: crate, and which members it uses.
fn real_edges() -> Edges {
    let mut manifests: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().path().join("Cargo.toml")).collect();
    manifests.push(root().join("xtask/Cargo.toml"));
    let parsed: Vec<toml::Table> = manifests
        .iter()
        .filter(|path| path.exists())
        .map(|path| fs::read_to_string(path).unwrap().parse().unwrap_or_else(|e| panic!("{path:?}: {e}")))
        .collect();
    let name = |manifest: &toml::Table| manifest["package"]["name"].as_str().unwrap().to_owned();
    let members: BTreeSet<String> = parsed.iter().map(name).collect();
    parsed.iter().map(|manifest| (name(manifest), uses(manifest, &members))).collect()
}

/// Members that a manifest depends on, in any kind of dependency and for any target.
fn uses(manifest: &toml::Table, members: &BTreeSet<String>) -> BTreeSet<String> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(targets.iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
    let mut found = BTreeSet::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (key, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                let name = renamed.unwrap_or(key).to_owned();
                let is_exempt = kind == "dev-dependencies" && name == "testkit";
                if members.contains(&name) && !is_exempt {
                    found.insert(name);
                }
            }
        }
    }
    found
}

/// Everything that is wrong, in sentences.
fn complaints(table: &[(String, BTreeSet<String>)], real: &Edges) -> Vec<String> {
    let mut out = Vec::new();
    let mut above = BTreeSet::new();
    for (name, uses) in table {
        for used in uses.difference(&above) {
            out.push(format!("row `{name}` allows `{used}`, which is not in an earlier row"));
        }
        if !above.insert(name.clone()) {
            out.push(format!("`{name}` has two rows"));
        }
        if !real.contains_key(name) {
            out.push(format!("row `{name}` belongs to no crate"));
        }
    }
    let allowed: BTreeMap<_, _> = table.iter().map(|(name, uses)| (name, uses)).collect();
    for (name, uses) in real {
        let Some(allowed) = allowed.get(name) else {
            out.push(format!("crate `{name}` has no row"));
            continue;
        };
        for used in uses.difference(allowed) {
            out.push(format!("`{name}` uses `{used}`, which its row does not allow"));
        }
    }
    out
}

#[test]
fn the_crates_are_as_the_table_says() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let complaints = complaints(&table(&text), &real_edges());
    assert!(complaints.is_empty(), "ARCHITECTURE.md and the manifests disagree:\n{}", complaints.join("\n"));
}

#[test]
fn the_check_finds_what_it_must() {
    let text = "| crate | may use | job |\n|---|---|---|\n| `a` | | x |\n| `b` | `a`, `c` | y |\n| `c` | | z |\n| `gone` | | |\n";
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<String>>();
    let real = BTreeMap::from([
        ("a".to_owned(), set(&["b"])),
        ("b".to_owned(), set(&["a"])),
        ("c".to_owned(), set(&[])),
        ("d".to_owned(), set(&[])),
    ]);
    let expected = [
        "row `b` allows `c`, which is not in an earlier row",
        "row `gone` belongs to no crate",
        "`a` uses `b`, which its row does not allow",
        "crate `d` has no row",
    ];
    assert_eq!(complaints(&table(text), &real), expected);
}

#[test]
fn only_a_dev_dependency_on_testkit_is_exempt() {
    let manifest: toml::Table =
        "[dev-dependencies]\ntestkit.workspace = true\nb.workspace = true\n[target.'cfg(unix)'.dependencies]\nx = { package = \"c\", path = \"c\" }\n"
            .parse()
            .unwrap();
    let members = ["b", "c", "testkit"].map(str::to_owned).into();
    assert_eq!(uses(&manifest, &members), ["b", "c"].map(str::to_owned).into());
}
