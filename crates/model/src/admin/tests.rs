use std::collections::BTreeSet;

use super::*;

#[test]
fn the_page_is_not_stale() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = page();
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(path, &page).expect("it is writable");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == page, "docs/operations.md is stale: run `UPDATE_PAGES=1 cargo test -p model page`");
}

#[test]
fn names_are_unique_and_alike() {
    let names: BTreeSet<&str> = CATALOGUE.iter().map(|operation| operation.name).collect();
    assert_eq!(names.len(), CATALOGUE.len());
    for name in names {
        let (noun, verb) = name.split_once('.').expect("noun.verb");
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(is_word(noun) && is_word(verb), "{name}");
    }
}

#[test]
fn every_request_is_an_object_that_is_whole_by_itself() {
    for operation in CATALOGUE {
        let request = (operation.request)();
        assert_eq!(request.get("type"), Some(&Value::from("object")), "{}", operation.name);
        for schema in [request, (operation.response)()] {
            assert!(!schema.to_string().contains("$ref"), "{}: {schema}", operation.name);
        }
    }
}
