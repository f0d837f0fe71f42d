//! Why a filter was refused. Positions count bytes from 0.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    #[error("the expression has {bytes} bytes, the most allowed is {max}")]
    TooLong { bytes: usize, max: usize },
    #[error("the expression is nested deeper than {max} levels: use fewer brackets")]
    TooDeep { max: usize },
    #[error("the expression names more than {max} different properties")]
    TooManyProperties { max: usize },
    #[error("the filter names {count} tags, the most allowed is {max}")]
    TooManyTags { count: usize, max: usize },
    #[error("the filter names no tag: write `a || b`, or `*` for every message")]
    NoTags,
    #[error("unexpected character `{found}` at {position}")]
    Character { found: char, position: usize },
    #[error("the {what} that begins at {position} has no end")]
    Unterminated { what: &'static str, position: usize },
    #[error(
        "`{text}` at {position} is no number: integers have 64 bits and no leading zero, others are finite doubles"
    )]
    Number { text: String, position: usize },
    #[error("expected {expected}, found {found} at {position}")]
    Unexpected { expected: &'static str, found: String, position: usize },
    #[error("the part before {position} is no condition: compare it with something")]
    NotACondition { position: usize },
    #[error("the part before {position} cannot be compared by `{operator}`: {reason}")]
    NotComparable { operator: &'static str, reason: &'static str, position: usize },
    #[error("BETWEEN before {position} can never be true: its first bound is above its second")]
    EmptyRange { position: usize },
}
