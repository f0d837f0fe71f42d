//! Builds an expression from tokens: precedence climbing, one function per level.
//!
//! ```text
//! or         := and (OR and)*
//! and        := equality (AND equality)*
//! equality   := comparison (= comparison | <> comparison | IS [NOT] NULL)*
//! comparison := unary ((> | >= | < | <=) unary | [NOT] BETWEEN unary AND unary
//!               | [NOT] IN ( 'text', ... ) | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) 'text')*
//! unary      := + unary | - unary | NOT unary | primary
//! primary    := literal | name | ( or )
//! ```
//! So `NOT` binds tighter than a comparison, as in RocketMQ: write `NOT (a > 5)`.
//!
//! Unlike RocketMQ's parser, which takes the longest correct beginning and forgets the rest, this
//! one takes all or nothing: `a LIKE 'x'` is an error, not a filter that matches nothing.
//!
//! Invariant: neither the recursion here nor the depth of what is built exceeds
//! `EXPRESSION_DEPTH_MAX` levels.

use super::error::SelectorError;
use super::expr::{Expr, Order, Search};
use super::lexer::{Keyword, Placed, Sign, Token, tokens, written};
use super::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, PROPERTIES_PER_EXPRESSION_MAX};
use super::sql::Sql;

/// An expression under construction, with its own depth.
struct Node {
    expr: Expr,
    depth: usize,
}

type Parsed = Result<Node, SelectorError>;

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Sql, SelectorError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(SelectorError::TooLong { bytes: text.len(), max: EXPRESSION_BYTES_MAX });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, nesting: 0, names: Vec::new() };
    let node = parser.or()?;
    let node = parser.condition(node)?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected("the end, AND or OR"));
    }
    Ok(Sql::new(node.expr, parser.names))
}

struct Parser<'a> {
    tokens: Vec<Placed<'a>>,
    next: usize,
    nesting: usize,
    /// Properties by place.
    names: Vec<&'a str>,
}

impl<'a> Parser<'a> {
    // --- tokens ---

    fn ahead(&self, by: usize) -> &Token<'a> {
        self.tokens.get(self.next + by).map_or(&Token::End, |(token, _)| token)
    }

    fn peek(&self) -> &Token<'a> {
        self.ahead(0)
    }

    fn position(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(_, position)| *position)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn take_sign(&mut self, sign: Sign) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        let found = *self.peek() == Token::Keyword(keyword);
        self.next += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        let found = match self.peek() {
            Token::Keyword(word) => format!("{word:?}").to_uppercase(),
            Token::Name(name) => format!("`{}`", name.chars().take(64).collect::<String>()),
            Token::Text(_) => "a text".to_owned(),
            Token::Integer(_) | Token::Float(_) => "a number".to_owned(),
            Token::Sign(sign) => format!("`{}`", written(*sign)),
            Token::End => "the end".to_owned(),
        };
        SelectorError::Unexpected { expected, found, position: self.position() }
    }

    // --- levels ---

    fn or(&mut self) -> Parsed {
        let mut first = self.and()?;
        let mut rest = Vec::new();
        while self.take_keyword(Keyword::Or) {
            first = self.condition(first)?;
            let part = self.and()?;
            rest.push(self.condition(part)?);
        }
        join(first, rest, Expr::Or)
    }

    fn and(&mut self) -> Parsed {
        let mut first = self.equality()?;
        let mut rest = Vec::new();
        while self.take_keyword(Keyword::And) {
            first = self.condition(first)?;
            let part = self.equality()?;
            rest.push(self.condition(part)?);
        }
        join(first, rest, Expr::And)
    }

    fn equality(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        loop {
            if self.take_sign(Sign::Equal) {
                left = self.equal(left, "=")?;
            } else if self.take_sign(Sign::NotEqual) {
                left = not(self.equal(left, "<>")?)?;
            } else if self.take_keyword(Keyword::Is) {
                let negated = self.take_keyword(Keyword::Not);
                if !self.take_keyword(Keyword::Null) {
                    return Err(self.unexpected("NULL"));
                }
                let missing = build2(left, Node { expr: Expr::Null, depth: 1 }, Expr::Equal)?;
                left = if negated { not(missing)? } else { missing };
            } else {
                return Ok(left);
            }
        }
    }

    fn equal(&mut self, left: Node, operator: &'static str) -> Parsed {
        let position = self.position();
        let right = self.comparison()?;
        let refuse = |reason| Err(SelectorError::NotComparable { operator, reason, position });
        match (&left.expr, &right.expr) {
            (Expr::Null, _) | (_, Expr::Null) => refuse("write IS NULL to look for a missing property"),
            (Expr::Bool(_), Expr::Text(_) | Expr::Integer(_) | Expr::Float(_)) => {
                refuse("TRUE and FALSE equal no other literal")
            }
            _ => build2(left, right, Expr::Equal),
        }
    }

    fn comparison(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let negated = *self.peek() == Token::Keyword(Keyword::Not);
            let operator = self.ahead(usize::from(negated)).clone();
            left = match operator {
                Token::Sign(sign) if !negated => {
                    let Some(order) = order_of(sign) else { return Ok(left) };
                    self.next += 1;
                    let right = self.unary()?;
                    self.compare(order, left, right)?
                }
                Token::Keyword(keyword) => {
                    let before = self.next;
                    self.next += 1 + usize::from(negated);
                    match self.worded(keyword, negated, left)? {
                        Worded::Built(node) => node,
                        Worded::Other(node) => {
                            self.next = before;
                            return Ok(node);
                        }
                    }
                }
                _ => return Ok(left),
            };
        }
    }

    /// The comparisons that are written as words.
    fn worded(&mut self, keyword: Keyword, negated: bool, left: Node) -> Result<Worded, SelectorError> {
        let how = match keyword {
            Keyword::Between => return self.between(negated, left).map(Worded::Built),
            Keyword::In => return self.within(negated, &left).map(Worded::Built),
            Keyword::Contains => Search::Anywhere,
            Keyword::StartsWith => Search::AtStart,
            Keyword::EndsWith => Search::AtEnd,
            _ => return Ok(Worded::Other(left)),
        };
        let needle = self.text()?;
        build(left, |value| Expr::Find { how, negated, value, needle }).map(Worded::Built)
    }

    fn compare(&self, order: Order, left: Node, right: Node) -> Parsed {
        for side in [&left.expr, &right.expr] {
            let literal = matches!(side, Expr::Text(_) | Expr::Bool(_) | Expr::Null);
            if literal || side.is_condition() {
                let reason =
                    if literal { "only numbers and properties have an order" } else { "it is a condition" };
                return Err(SelectorError::NotComparable {
                    operator: order.text(),
                    reason,
                    position: self.position(),
                });
            }
        }
        build2(left, right, |left, right| Expr::Compare(order, left, right))
    }

    /// `BETWEEN` is two comparisons of one value.
    fn between(&mut self, negated: bool, value: Node) -> Parsed {
        let low = self.unary()?;
        if !self.take_keyword(Keyword::And) {
            return Err(self.unexpected("AND between the bounds"));
        }
        let high = self.unary()?;
        if !negated && is_above(&low.expr, &high.expr) {
            return Err(SelectorError::EmptyRange { position: self.position() });
        }
        let again = Node { expr: value.expr.clone(), depth: value.depth };
        let (first, second) =
            if negated { (Order::Less, Order::Greater) } else { (Order::GreaterEqual, Order::LessEqual) };
        let first = self.compare(first, value, low)?;
        let second = self.compare(second, again, high)?;
        join(first, vec![second], if negated { Expr::Or } else { Expr::And })
    }

    fn within(&mut self, negated: bool, left: &Node) -> Parsed {
        let Expr::Property(property) = left.expr else {
            let reason = "only a property can be looked for in a list";
            return Err(SelectorError::NotComparable { operator: "IN", reason, position: self.position() });
        };
        if !self.take_sign(Sign::Open) {
            return Err(self.unexpected("`(` before the list"));
        }
        let mut texts = vec![self.text()?];
        while self.take_sign(Sign::Comma) {
            texts.push(self.text()?);
        }
        if !self.take_sign(Sign::Close) {
            return Err(self.unexpected("`,` or `)` in the list"));
        }
        texts.sort();
        texts.dedup();
        Ok(Node { expr: Expr::In { property, negated, texts: texts.into() }, depth: 2 })
    }

    fn unary(&mut self) -> Parsed {
        self.nesting += 1;
        if self.nesting > EXPRESSION_DEPTH_MAX {
            return Err(SelectorError::TooDeep { max: EXPRESSION_DEPTH_MAX });
        }
        let node = if self.take_sign(Sign::Plus) {
            self.unary()
        } else if self.take_sign(Sign::Minus) {
            self.unary().and_then(|inner| build(inner, Expr::Negate))
        } else if self.take_keyword(Keyword::Not) {
            self.unary().and_then(|inner| not(self.condition(inner)?))
        } else {
            self.primary()
        };
        self.nesting -= 1;
        node
    }

    fn primary(&mut self) -> Parsed {
        let expr = match self.peek() {
            Token::Name(name) => Expr::Property(self.place(name)?),
            Token::Text(text) => Expr::Text(text.as_str().into()),
            Token::Integer(number) => Expr::Integer(*number),
            Token::Float(number) => Expr::Float(*number),
            Token::Keyword(Keyword::True) => Expr::Bool(true),
            Token::Keyword(Keyword::False) => Expr::Bool(false),
            Token::Keyword(Keyword::Null) => Expr::Null,
            Token::Sign(Sign::Open) => return self.bracketed(),
            _ => return Err(self.unexpected("a property, a literal or `(`")),
        };
        self.next += 1;
        Ok(Node { expr, depth: 1 })
    }

    fn bracketed(&mut self) -> Parsed {
        self.next += 1;
        let inner = self.or()?;
        if self.take_sign(Sign::Close) { Ok(inner) } else { Err(self.unexpected("`)`")) }
    }

    fn text(&mut self) -> Result<Box<str>, SelectorError> {
        if !matches!(self.peek(), Token::Text(_)) {
            return Err(self.unexpected("a text in single quotes"));
        }
        match self.take() {
            Token::Text(text) => Ok(text.into()),
            _ => Ok(Box::default()),
        }
    }

    // --- properties and conditions ---

    fn place(&mut self, name: &'a str) -> Result<usize, SelectorError> {
        if let Some(place) = self.names.iter().position(|known| *known == name) {
            return Ok(place);
        }
        if self.names.len() == PROPERTIES_PER_EXPRESSION_MAX {
            return Err(SelectorError::TooManyProperties { max: PROPERTIES_PER_EXPRESSION_MAX });
        }
        self.names.push(name);
        Ok(self.names.len() - 1)
    }

    /// Makes a condition of a property; refuses what is none.
    fn condition(&self, node: Node) -> Parsed {
        match node.expr {
            Expr::Property(place) => Ok(Node { expr: Expr::Truth(place), depth: node.depth }),
            ref expr if expr.is_condition() => Ok(node),
            _ => Err(SelectorError::NotACondition { position: self.position() }),
        }
    }
}

/// What a keyword after a value turned out to be.
enum Worded {
    Built(Node),
    /// Not a comparison: the value as it was.
    Other(Node),
}

const fn order_of(sign: Sign) -> Option<Order> {
    match sign {
        Sign::Greater => Some(Order::Greater),
        Sign::GreaterEqual => Some(Order::GreaterEqual),
        Sign::Less => Some(Order::Less),
        Sign::LessEqual => Some(Order::LessEqual),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers are compared as doubles, as Java does")]
fn is_above(low: &Expr, high: &Expr) -> bool {
    match (low, high) {
        (Expr::Integer(low), Expr::Integer(high)) => low > high,
        (Expr::Integer(low), Expr::Float(high)) => *low as f64 > *high,
        (Expr::Float(low), Expr::Integer(high)) => *low > *high as f64,
        (Expr::Float(low), Expr::Float(high)) => low > high,
        _ => false,
    }
}

fn check_depth(expr: Expr, depth: usize) -> Parsed {
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(SelectorError::TooDeep { max: EXPRESSION_DEPTH_MAX });
    }
    Ok(Node { expr, depth })
}

fn build(inner: Node, make: impl FnOnce(Box<Expr>) -> Expr) -> Parsed {
    let Node { expr, depth } = inner;
    check_depth(make(Box::new(expr)), depth + 1)
}

fn build2(left: Node, right: Node, make: impl FnOnce(Box<Expr>, Box<Expr>) -> Expr) -> Parsed {
    let depth = 1 + left.depth.max(right.depth);
    check_depth(make(Box::new(left.expr), Box::new(right.expr)), depth)
}

fn not(inner: Node) -> Parsed {
    build(inner, Expr::Not)
}

/// A chain of `AND` or `OR` is one expression of many parts, so a long one is not a deep one.
fn join(first: Node, rest: Vec<Node>, make: impl FnOnce(Vec<Expr>) -> Expr) -> Parsed {
    if rest.is_empty() {
        return Ok(first);
    }
    let depth = 1 + rest.iter().map(|node| node.depth).fold(first.depth, usize::max);
    let parts = std::iter::once(first).chain(rest).map(|node| node.expr).collect();
    check_depth(make(parts), depth)
}
