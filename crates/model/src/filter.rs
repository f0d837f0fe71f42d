//! What a consumer wants of a topic.

use serde::{Deserialize, Serialize};

/// The language of an expression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FilterKind {
    /// `*` or `a || b`: tags compared by hash in the index, then exactly.
    #[default]
    Tag,
    /// A selector over properties, see the grammar in the reference of filters.
    Sql92,
}

/// An expression as the client gave it. The engine compiles and caches it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Filter {
    pub kind: FilterKind,
    pub expression: String,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { kind: FilterKind::Tag, expression: "*".to_owned() }
    }

    #[must_use]
    pub fn tag(expression: &str) -> Self {
        Self { kind: FilterKind::Tag, expression: expression.to_owned() }
    }

    #[must_use]
    pub fn sql92(expression: &str) -> Self {
        Self { kind: FilterKind::Sql92, expression: expression.to_owned() }
    }

    /// The tags of a tag filter, trimmed; `None` if it takes everything or is no tag filter.
    #[must_use]
    pub fn tags(&self) -> Option<Vec<&str>> {
        let text = self.expression.trim();
        if self.kind != FilterKind::Tag || text.is_empty() || text == "*" {
            return None;
        }
        Some(text.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect())
    }
}

/// Hash of a tag as every RocketMQ client computes it: Java's `String.hashCode` over UTF-16.
#[must_use]
pub fn tag_hash(tag: &str) -> i32 {
    tag.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}
