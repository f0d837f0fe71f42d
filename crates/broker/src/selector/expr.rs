//! A compiled expression, and what it gives for a message.
//!
//! The rules are those of RocketMQ's filter module, which differ from SQL in places:
//!
//! - Every property is text. It becomes a number (or a truth) when it is compared with one; if it
//!   is none, the *whole* expression does not match ([`Incomparable`]), whatever surrounds it,
//!   unless an `AND` or `OR` was decided before it came to that.
//! - `=` of two missing values is true; of a value and a missing one false; of a missing one and
//!   a value unknown. `<>` is the negation of that.
//! - `CONTAINS` and its like, negated or not, are false of a missing property and of an empty text.
//! - A property by itself is false, or unknown if it is missing.
//!
//! Differences, where the original fails by accident of its types: integers have 64 bits in every
//! comparison (there: 32 if the literal fits, so that a larger property is incomparable);
//! `TRUE = a` means the same as `a = TRUE`; the literal `0.0` is allowed.

use std::cmp::Ordering;

/// Ordered comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl Order {
    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
        }
    }
}

/// Where a text is looked for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Anywhere,
    AtStart,
    AtEnd,
}

#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// Place of the property in the list that is filled per message.
    Property(usize),
    Text(Box<str>),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Null,
    Negate(Box<Expr>),
    /// A property used as a condition.
    Truth(usize),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Equal(Box<Expr>, Box<Expr>),
    Compare(Order, Box<Expr>, Box<Expr>),
    Find {
        how: Search,
        negated: bool,
        value: Box<Expr>,
        needle: Box<str>,
    },
    /// The texts are sorted.
    In {
        property: usize,
        negated: bool,
        texts: Box<[Box<str>]>,
    },
}

impl Expr {
    /// Whether it is a condition by its form.
    pub(super) const fn is_condition(&self) -> bool {
        match self {
            Self::Property(_) | Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Negate(_) => false,
            Self::Bool(_)
            | Self::Null
            | Self::Truth(_)
            | Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Equal(..)
            | Self::Compare(..)
            | Self::Find { .. }
            | Self::In { .. } => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

/// Two values have no order, or one cannot become what the other is: the message does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incomparable;

pub(super) type Evaluated<'a> = Result<Value<'a>, Incomparable>;

/// Evaluates for a message whose properties stand in `properties`, by place.
pub(super) fn evaluate<'a>(expr: &'a Expr, properties: &[Option<&'a str>]) -> Evaluated<'a> {
    let property = |place: usize| properties.get(place).copied().flatten();
    Ok(match expr {
        Expr::Property(place) => property(*place).map_or(Value::Null, Value::Text),
        Expr::Text(text) => Value::Text(text),
        Expr::Integer(number) => Value::Integer(*number),
        Expr::Float(number) => Value::Float(*number),
        Expr::Bool(truth) => Value::Bool(*truth),
        Expr::Null => Value::Null,
        Expr::Negate(inner) => negate(evaluate(inner, properties)?),
        Expr::Truth(place) => property(*place).map_or(Value::Null, |_| Value::Bool(false)),
        Expr::Not(inner) => match evaluate(inner, properties)? {
            Value::Bool(truth) => Value::Bool(!truth),
            _ => Value::Null,
        },
        Expr::And(parts) => decide(parts, properties, false)?,
        Expr::Or(parts) => decide(parts, properties, true)?,
        Expr::Equal(left, right) => equal(evaluate(left, properties)?, evaluate(right, properties)?)?,
        Expr::Compare(order, left, right) => {
            compare(*order, evaluate(left, properties)?, evaluate(right, properties)?)?
        }
        Expr::Find { how, negated, value, needle } => {
            Value::Bool(find(*how, *negated, evaluate(value, properties)?, needle))
        }
        Expr::In { property: place, negated, texts } => property(*place).map_or(Value::Null, |value| {
            Value::Bool(texts.binary_search_by(|text| (**text).cmp(value)).is_ok() != *negated)
        }),
    })
}

/// `OR` of parts if `decisive`, else `AND`: the first decisive part decides; else unknown if any is.
fn decide<'a>(parts: &'a [Expr], properties: &[Option<&'a str>], decisive: bool) -> Evaluated<'a> {
    let mut result = Value::Bool(!decisive);
    for part in parts {
        match evaluate(part, properties)? {
            Value::Bool(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
            Value::Bool(_) => {}
            _ => result = Value::Null,
        }
    }
    Ok(result)
}

const fn negate(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Integer(number) => Value::Integer(number.wrapping_neg()),
        Value::Float(number) => Value::Float(-number),
        _ => Value::Null,
    }
}

fn equal<'a>(left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
    let truth = match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) => return Ok(Value::Null),
        (_, Value::Null) | (Value::Bool(_), Value::Integer(_) | Value::Float(_)) => false,
        (Value::Integer(_) | Value::Float(_), Value::Bool(_)) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Text(text), Value::Bool(truth)) | (Value::Bool(truth), Value::Text(text)) => {
            text.eq_ignore_ascii_case("true") == truth
        }
        (a, b) => order_of(a, b)?.is_eq(),
    };
    Ok(Value::Bool(truth))
}

fn compare<'a>(order: Order, left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
    if left == Value::Null || right == Value::Null {
        return Ok(Value::Null);
    }
    Ok(Value::Bool(order.holds(order_of(left, right)?)))
}

/// The order of two numbers, of which texts may be one or both.
fn order_of(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Incomparable> {
    Ok(match (left, right) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(&b),
        (Value::Text(a), Value::Integer(b)) => integer(a)?.cmp(&b),
        (Value::Integer(a), Value::Text(b)) => a.cmp(&integer(b)?),
        (a, b) => float_order(float(a)?, float(b)?),
    })
}

fn integer(text: &str) -> Result<i64, Incomparable> {
    text.parse().map_err(|_| Incomparable)
}

fn float(value: Value<'_>) -> Result<f64, Incomparable> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "numbers are compared as doubles, as Java does")]
        Value::Integer(number) => Ok(number as f64),
        Value::Float(number) => Ok(number),
        Value::Text(text) => parse_float(text),
        Value::Null | Value::Bool(_) => Err(Incomparable),
    }
}

/// A decimal number as Java's `Double.valueOf` takes it: blanks around it and a type letter behind
/// it are allowed. (It takes hexadecimal too; that is left out.)
fn parse_float(text: &str) -> Result<f64, Incomparable> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return text.parse().map_err(|_| Incomparable);
    }
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    if number.chars().all(decimal) { number.parse().map_err(|_| Incomparable) } else { Err(Incomparable) }
}

/// A total order: NaN equals itself and is above all, -0.0 is below 0.0.
fn float_order(left: f64, right: f64) -> Ordering {
    let canonical = |number: f64| if number.is_nan() { f64::NAN } else { number };
    canonical(left).total_cmp(&canonical(right))
}

fn find(how: Search, negated: bool, value: Value<'_>, needle: &str) -> bool {
    let Value::Text(text) = value else { return false };
    if needle.is_empty() {
        return false;
    }
    let found = match how {
        Search::Anywhere => text.contains(needle),
        Search::AtStart => text.starts_with(needle),
        Search::AtEnd => text.ends_with(needle),
    };
    found != negated
}
