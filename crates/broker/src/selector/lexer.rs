//! Cuts an expression into tokens.
//!
//! Keywords are known in any case, names of properties keep theirs. As in RocketMQ's lexer a number
//! ends where no longer one is possible (`a>0AND b<2` is right); other than there, an integer with
//! leading zeros is refused and not cut in two.

use super::error::SelectorError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Keyword(Keyword),
    Name(&'a str),
    Text(String),
    Integer(i64),
    Float(f64),
    Sign(Sign),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
}

/// Longest first, so that `<=` is not taken for `<`.
const SIGNS: &[(&str, Sign)] = &[
    ("<>", Sign::NotEqual),
    (">=", Sign::GreaterEqual),
    ("<=", Sign::LessEqual),
    ("=", Sign::Equal),
    (">", Sign::Greater),
    ("<", Sign::Less),
    ("(", Sign::Open),
    (")", Sign::Close),
    (",", Sign::Comma),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
];

const KEYWORDS: &[(&str, Keyword)] = &[
    ("NOT", Keyword::Not),
    ("AND", Keyword::And),
    ("OR", Keyword::Or),
    ("BETWEEN", Keyword::Between),
    ("IN", Keyword::In),
    ("TRUE", Keyword::True),
    ("FALSE", Keyword::False),
    ("NULL", Keyword::Null),
    ("IS", Keyword::Is),
    ("CONTAINS", Keyword::Contains),
    ("STARTSWITH", Keyword::StartsWith),
    ("ENDSWITH", Keyword::EndsWith),
];

/// A token and where it begins.
pub(super) type Placed<'a> = (Token<'a>, usize);

/// All tokens of an expression; the last is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, SelectorError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let begin = lexer.at;
        let token = lexer.token()?;
        let last = token == Token::End;
        tokens.push((token, begin));
        if last {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes over the longest run of characters that `keep` keeps.
    fn run(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn skip_blanks(&mut self) -> Result<(), SelectorError> {
        loop {
            self.run(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if self.rest().starts_with("--") {
                self.run(|c| !matches!(c, '\n' | '\r'));
            } else if self.rest().starts_with("/*") {
                let end = self.rest().get(2..).and_then(|inner| inner.find("*/"));
                let len = end.ok_or(SelectorError::Unterminated { what: "comment", position: self.at })?;
                self.at += len + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token<'a>, SelectorError> {
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        if first == '\'' {
            return self.string();
        }
        if first.is_ascii_digit()
            || first == '.' && self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            return self.number();
        }
        if begins_name(first) {
            return Ok(word(self.run(continues_name)));
        }
        for (text, sign) in SIGNS {
            if self.rest().starts_with(text) {
                self.at += text.len();
                return Ok(Token::Sign(*sign));
            }
        }
        Err(SelectorError::Character { found: first, position: self.at })
    }

    fn string(&mut self) -> Result<Token<'a>, SelectorError> {
        let begin = self.at;
        let mut value = String::new();
        loop {
            self.at += 1;
            value.push_str(self.run(|c| c != '\''));
            if self.rest().is_empty() {
                return Err(SelectorError::Unterminated { what: "text", position: begin });
            }
            self.at += 1;
            if !self.rest().starts_with('\'') {
                return Ok(Token::Text(value));
            }
            value.push('\'');
        }
    }

    fn number(&mut self) -> Result<Token<'a>, SelectorError> {
        let begin = self.at;
        let whole = self.run(|c| c.is_ascii_digit());
        let mut is_float = false;
        if self.rest().starts_with('.') {
            is_float = true;
            self.at += 1;
            self.run(|c| c.is_ascii_digit());
        }
        is_float |= self.exponent();
        let digits = self.text.get(begin..self.at).unwrap_or_default();
        // `0L` is the number 0 and the name L there, which is never right.
        if !is_float && self.rest().starts_with(['l', 'L']) && whole != "0" {
            self.at += 1;
        }
        let number = if is_float {
            digits.parse().ok().filter(|value: &f64| value.is_finite()).map(Token::Float)
        } else if whole.len() > 1 && whole.starts_with('0') {
            None
        } else {
            digits.parse().ok().map(Token::Integer)
        };
        number.ok_or_else(|| SelectorError::Number {
            text: self.text.get(begin..self.at).unwrap_or_default().chars().take(64).collect(),
            position: begin,
        })
    }

    /// `E`, a sign if there is one, digits; nothing is passed over if the digits are missing.
    fn exponent(&mut self) -> bool {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return false };
        let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return false;
        }
        self.at += rest.len() - digits.len();
        self.run(|c| c.is_ascii_digit());
        true
    }
}

const fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$')
}

const fn continues_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit()
}

/// A sign as it is written.
pub(super) fn written(sign: Sign) -> &'static str {
    SIGNS.iter().find(|(_, known)| *known == sign).map_or("", |(text, _)| text)
}

fn word(text: &str) -> Token<'_> {
    let keyword = KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    keyword.map_or(Token::Name(text), |(_, keyword)| Token::Keyword(*keyword))
}
