//! Tags, the cache, limits and garbage.

use std::sync::Arc;

use model::Filter;
use model::filter::tag_hash;
use proptest::prelude::*;

use super::super::limits::{
    EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, PROPERTIES_PER_EXPRESSION_MAX, TAGS_PER_FILTER_MAX,
};
use super::super::{Selector, SelectorCache, SelectorError};
use super::{compile, properties};

fn sql(expression: &str) -> Result<Selector, SelectorError> {
    Selector::compile(&Filter::sql92(expression))
}

#[test]
fn a_star_or_nothing_takes_everything() {
    for expression in ["*", "", "  ", " * "] {
        let selector = compile(&Filter::tag(expression));
        assert!(selector.takes_all() && selector.tag_hashes().is_none(), "{expression}");
        assert!(selector.wants_tag(0) && selector.matches(""), "{expression}");
    }
}

#[test]
fn tags_are_told_by_hash_and_then_exactly() {
    let selector = compile(&Filter::tag("  Aa ||b|| || Aa "));
    assert_eq!(selector.tag_hashes(), Some(&[98, 2112][..]));
    assert!(selector.wants_tag(tag_hash("Aa").cast_unsigned()));
    assert!(selector.wants_tag(tag_hash("BB").cast_unsigned()), "the same hash");
    assert!(!selector.wants_tag(0) && !selector.wants_tag(1));
    assert!(selector.matches(&properties("x=1 TAGS=Aa")) && selector.matches(&properties("TAGS=b")));
    assert!(!selector.matches(&properties("TAGS=BB")), "another tag");
    assert!(!selector.matches(&properties("x=1")) && !selector.matches(""));
}

#[test]
fn hashes_of_tags_may_be_negative() {
    let tag = "negative-hash-tag";
    assert!(tag_hash(tag) < 0, "pick another tag");
    assert!(compile(&Filter::tag(tag)).wants_tag(tag_hash(tag).cast_unsigned()));
}

#[test]
fn an_expression_is_not_decided_by_tags() {
    let selector = compile(&Filter::sql92("TAGS = 'a' AND n > 5"));
    assert!(!selector.takes_all() && selector.tag_hashes().is_none() && selector.wants_tag(7));
    assert!(selector.matches(&properties("TAGS=a n=6")));
    assert!(!selector.matches(&properties("TAGS=a n=x")));
}

#[test]
fn tag_filters_have_limits() {
    let refused = |expression: &str| Selector::compile(&Filter::tag(expression)).expect_err("refused");
    assert_eq!(refused("||"), SelectorError::NoTags);
    let many = vec!["a"; TAGS_PER_FILTER_MAX + 1].join("||");
    let expected = SelectorError::TooManyTags { count: TAGS_PER_FILTER_MAX + 1, max: TAGS_PER_FILTER_MAX };
    assert_eq!(refused(&many), expected);
    assert!(matches!(refused(&"x".repeat(EXPRESSION_BYTES_MAX + 1)), SelectorError::TooLong { .. }));
}

#[test]
fn deep_nesting_is_refused() {
    let too_deep = Some(SelectorError::TooDeep { max: EXPRESSION_DEPTH_MAX });
    let many = EXPRESSION_BYTES_MAX / 10;
    for expression in [
        format!("{}a{}", "(".repeat(many), ")".repeat(many)),
        format!("{}a", "NOT ".repeat(many)),
        format!("{}a = 1", "- ".repeat(many)),
        format!("{}a = 1", "+".repeat(many)),
        format!("a{}", " = a".repeat(many)),
        format!("a{}", " IS NULL".repeat(many)),
    ] {
        assert_eq!(sql(&expression).err(), too_deep, "{}", expression.chars().take(20).collect::<String>());
    }
    let deep = EXPRESSION_DEPTH_MAX - 1;
    assert!(sql(&format!("{}a{}", "(".repeat(deep), ")".repeat(deep))).is_ok());
}

#[test]
fn a_long_chain_is_not_deep() {
    let chain = vec!["a = 1"; 2_000].join(" OR ");
    assert!(sql(&chain).expect("a chain compiles").matches(&properties("a=1")));
}

#[test]
fn long_expressions_and_many_properties_are_refused() {
    let long = format!("a = '{}'", "x".repeat(EXPRESSION_BYTES_MAX));
    assert!(matches!(sql(&long), Err(SelectorError::TooLong { .. })));
    let many: Vec<_> = (0..=PROPERTIES_PER_EXPRESSION_MAX).map(|n| format!("p{n} = 1")).collect();
    assert!(sql(&many.join(" OR ")).is_err_and(|e| matches!(e, SelectorError::TooManyProperties { .. })));
    assert!(sql(&many.get(1..).expect("not empty").join(" OR ")).is_ok());
}

#[test]
fn the_cache_gives_what_it_gave_and_stays_small() {
    let cache = SelectorCache::new(4);
    let get = |n: usize| cache.get(&Filter::sql92(&format!("a > {n}"))).expect("compiles");
    let first = get(0);
    assert!(Arc::ptr_eq(&first, &get(0)));
    for n in 1..100 {
        get(n);
        assert!(Arc::ptr_eq(&first, &get(0)), "what is used stays");
        assert!(cache.len() <= 8, "{}", cache.len());
    }
    assert!(cache.get(&Filter::sql92("a >")).is_err());
    assert!(cache.get(&Filter::all()).expect("compiles").takes_all());
    let tag = cache.get(&Filter::tag("a > 99")).expect("compiles");
    assert!(tag.tag_hashes().is_some(), "the kind is part of the key");
}

/// Pieces that make expressions which get far into the parser.
const PIECES: &[&str] = &[
    "a",
    "b",
    "TAGS",
    "'x'",
    "'it''s'",
    "'",
    "5",
    "5L",
    "0",
    "1.5",
    ".",
    "9223372036854775807",
    "=",
    "<>",
    ">",
    ">=",
    "<",
    "<=",
    "(",
    ")",
    ",",
    "+",
    "-",
    "--",
    "\n",
    "/*",
    "*/",
    "NOT",
    "AND",
    "OR",
    "BETWEEN",
    "IN",
    "TRUE",
    "FALSE",
    "NULL",
    "IS",
    "CONTAINS",
    "STARTSWITH",
    "ENDSWITH",
    "é",
    "\0",
];

proptest! {
    #[test]
    fn garbage_never_panics(text in ".{0,200}", message in ".{0,60}") {
        if let Ok(selector) = sql(&text) {
            let _ = selector.matches(&message);
        }
    }

    #[test]
    fn likely_garbage_never_panics(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
        values in prop::collection::vec(prop::sample::select(PIECES), 0..3),
    ) {
        if let Ok(selector) = sql(&pieces.join(" ")) {
            let pairs: Vec<_> = ["a", "b"].iter().zip(values).map(|(key, value)| format!("{key}\u{1}{value}")).collect();
            let _ = selector.matches(&pairs.join("\u{2}"));
        }
    }

    #[test]
    fn integers_order_as_integers(a: i64, b in 0..=i64::MAX) {
        let message = format!("a\u{1}{a}\u{2}");
        for (operator, truth) in [(">", a > b), (">=", a >= b), ("<", a < b), ("<=", a <= b), ("=", a == b), ("<>", a != b)] {
            let selector = sql(&format!("a {operator} {b}")).expect("compiles");
            prop_assert_eq!(selector.matches(&message), truth);
        }
    }

    #[test]
    fn any_text_is_found_again(text in "[^\u{1}\u{2}]{1,20}") {
        let message = format!("a\u{1}{text}\u{2}");
        let quoted = text.replace('\'', "''");
        for operator in ["=", "CONTAINS", "STARTSWITH", "ENDSWITH"] {
            let selector = sql(&format!("a {operator} '{quoted}'")).expect("compiles");
            prop_assert!(selector.matches(&message));
        }
    }
}
