//! A compiled expression with the properties that it names.

use smallvec::SmallVec;

use super::error::SelectorError;
use super::expr::{Expr, Incomparable, Value, evaluate};
use super::parser;

/// What a filter says of a message. Only `True` lets it through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    Unknown,
    /// Two values have no order, or one cannot become what the other is.
    Incomparable,
}

#[derive(Debug)]
pub(super) struct Sql {
    expr: Expr,
    /// Names in order, each with its place in the list that is filled per message.
    names: Box<[(Box<str>, usize)]>,
}

impl Sql {
    pub(super) fn compile(text: &str) -> Result<Self, SelectorError> {
        parser::parse(text)
    }

    /// `names` by place, without repetition.
    pub(super) fn new(expr: Expr, names: Vec<&str>) -> Self {
        let mut names: Vec<_> =
            names.into_iter().enumerate().map(|(place, name)| (name.into(), place)).collect();
        names.sort();
        Self { expr, names: names.into() }
    }

    /// Reads the properties once, whatever the expression.
    pub(super) fn verdict(&self, encoded: &str) -> Verdict {
        let mut found: SmallVec<[Option<&str>; 8]> = SmallVec::from_elem(None, self.names.len());
        for (key, value) in model::properties::iter(encoded) {
            let Ok(index) = self.names.binary_search_by(|(name, _)| (**name).cmp(key)) else { continue };
            let place = self.names.get(index).and_then(|(_, place)| found.get_mut(*place));
            if let Some(empty @ None) = place {
                *empty = Some(value);
            }
        }
        match evaluate(&self.expr, &found) {
            Ok(Value::Bool(true)) => Verdict::True,
            Ok(Value::Bool(false)) => Verdict::False,
            Ok(_) => Verdict::Unknown,
            Err(Incomparable) => Verdict::Incomparable,
        }
    }
}
