//! Filters: which messages a consumer wants.
//!
//! A [`Selector`] is compiled once from what the client wrote and asked twice per message: first
//! by the hash of the tag, which stands in the queue's index ([`Selector::wants_tag`]), then by the
//! properties ([`Selector::matches`]), which is exact. Compiled ones are remembered in a
//! [`SelectorCache`] by what was written, so that the calls of one subscription, and subscriptions
//! that are alike, share one.
//!
//! - A tag filter is `*`, nothing, or `a || b`. Clients compare tags again; this server compares
//!   them too, so that a client which does not is right as well.
//! - An SQL92 filter is an expression over properties, all of which are text: the grammar is at the
//!   head of `parser.rs`, the rules of evaluation at the head of `expr.rs`.
//!
//! Invariants: compiling hostile text ends soon and never panics (`limits.rs`); matching cannot
//! fail: what cannot be compared does not match.

mod cache;
mod error;
mod expr;
mod lexer;
pub mod limits;
mod parser;
mod sql;
#[cfg(test)]
mod tests;

use model::filter::{Filter, FilterKind, tag_hash};
use model::properties;

pub use cache::SelectorCache;
pub use error::SelectorError;
pub use sql::Verdict;

use limits::{EXPRESSION_BYTES_MAX, TAGS_PER_FILTER_MAX};
use sql::Sql;

/// A compiled filter.
#[derive(Debug)]
pub struct Selector(Kind);

#[derive(Debug)]
enum Kind {
    All,
    /// Hashes sorted, tags sorted, each without repetition.
    Tags {
        hashes: Box<[i32]>,
        tags: Box<[Box<str>]>,
    },
    Sql(Sql),
}

impl Selector {
    /// Takes every message.
    #[must_use]
    pub const fn all() -> Self {
        Self(Kind::All)
    }

    /// # Errors
    /// If the expression is wrong or beyond a limit.
    pub fn compile(filter: &Filter) -> Result<Self, SelectorError> {
        match filter.kind {
            FilterKind::Sql92 => Sql::compile(&filter.expression).map(|sql| Self(Kind::Sql(sql))),
            FilterKind::Tag => filter.tags().map_or(Ok(Self::all()), |tags| {
                check_tags(&filter.expression, &tags)?;
                Ok(Self::of_tags(&tags))
            }),
        }
    }

    fn of_tags(tags: &[&str]) -> Self {
        let mut hashes: Vec<i32> = tags.iter().map(|tag| tag_hash(tag)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut tags: Vec<Box<str>> = tags.iter().map(|tag| (*tag).into()).collect();
        tags.sort();
        tags.dedup();
        Self(Kind::Tags { hashes: hashes.into(), tags: tags.into() })
    }

    /// Whether it takes every message, so that nothing needs to be read of it.
    #[must_use]
    pub const fn takes_all(&self) -> bool {
        matches!(self.0, Kind::All)
    }

    /// Hashes of the tags that it takes, sorted; `None` if tags do not decide.
    #[must_use]
    pub fn tag_hashes(&self) -> Option<&[i32]> {
        match &self.0 {
            Kind::Tags { hashes, .. } => Some(hashes),
            Kind::All | Kind::Sql(_) => None,
        }
    }

    /// The check by the index alone: `tag` is the hash as index entries hold it, 0 for no tag.
    /// A `false` is final, a `true` is not.
    #[must_use]
    pub fn wants_tag(&self, tag: u32) -> bool {
        self.tag_hashes().is_none_or(|hashes| hashes.binary_search(&tag.cast_signed()).is_ok())
    }

    /// The exact check, by a message's encoded properties.
    #[must_use]
    pub fn matches(&self, properties_encoded: &str) -> bool {
        self.verdict(properties_encoded) == Verdict::True
    }

    /// The exact check, with why a message does not match.
    #[must_use]
    pub fn verdict(&self, properties_encoded: &str) -> Verdict {
        let is_match = match &self.0 {
            Kind::All => true,
            Kind::Tags { tags, .. } => properties::get(properties_encoded, properties::TAGS)
                .is_some_and(|tag| tags.binary_search_by(|known| (**known).cmp(tag)).is_ok()),
            Kind::Sql(sql) => return sql.verdict(properties_encoded),
        };
        if is_match { Verdict::True } else { Verdict::False }
    }
}

fn check_tags(expression: &str, tags: &[&str]) -> Result<(), SelectorError> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(SelectorError::TooLong { bytes: expression.len(), max: EXPRESSION_BYTES_MAX });
    }
    if tags.is_empty() {
        return Err(SelectorError::NoTags);
    }
    if tags.len() > TAGS_PER_FILTER_MAX {
        return Err(SelectorError::TooManyTags { count: tags.len(), max: TAGS_PER_FILTER_MAX });
    }
    Ok(())
}
