//! Random expressions and properties. They keep clear of what the original is known to do by accident: a truth on
//! the left of a comparison, the literal `0.0`, integers with leading zeros, hexadecimal numbers.
use super::{Origin, Question};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const NAMES: [&str; 6] = ["a", "b", "c", "TAGS", "$x_1", "In2"];
const VALUES: [&str; 34] = [
    "0",
    "1",
    "5",
    "7",
    "10",
    "-1",
    "-7",
    "+7",
    "007",
    "2147483647",
    "-2147483648",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    "-0.5",
    "5.0",
    "7.",
    ".5",
    "1e3",
    "7d",
    "7f",
    "NaN",
    "Infinity",
    " 7 ",
    "true",
    "TRUE",
    "false",
    "abc",
    "ABC",
    "a b",
    "it's",
    "grün",
    "x",
];
const INTEGERS: [&str; 12] =
    ["0", "1", "5", "7", "10", "1000", "2147483647", "2147483648", "9223372036854775807", "7L", "7l", "0"];
const FLOATS: [&str; 8] = ["1.5", "0.5", ".5", "5.0", "7.0", "1e3", "1.5E-1", "10.25"];
const TEXTS: [&str; 10] = ["abc", "a", "", "x", "7", "true", "it''s", "grün", "b", " "];
/// One in this many is damaged.
const DAMAGED_ONE_IN: u64 = 5;
const DEPTH_MAX: u32 = 3;

pub(super) struct Generator {
    random: StdRng,
    tokens: Vec<String>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), tokens: Vec::new() }
    }

    pub(super) fn question(&mut self, number: u64) -> Question {
        self.tokens.clear();
        self.condition(DEPTH_MAX);
        let is_damaged = number.is_multiple_of(DAMAGED_ONE_IN);
        if is_damaged {
            self.damage();
        }
        Question {
            expression: self.written(),
            properties: self.properties(),
            origin: if is_damaged { Origin::Damaged } else { Origin::Whole },
        }
    }

    fn properties(&mut self) -> Vec<(String, String)> {
        let mut properties = Vec::new();
        for name in NAMES {
            if self.one_in(2) {
                properties.push((name.to_owned(), self.of(&VALUES).to_owned()));
            }
        }
        properties
    }

    // --- grammar ---

    fn condition(&mut self, depth: u32) {
        if depth == 0 {
            return self.comparison(0);
        }
        match self.random.random_range(0..10) {
            0..=2 => self.joined("AND", depth),
            3..=5 => self.joined("OR", depth),
            6 => {
                self.word("NOT");
                self.bracketed(depth);
            }
            7 => self.bracketed(depth),
            _ => self.comparison(depth),
        }
    }

    fn joined(&mut self, word: &str, depth: u32) {
        let parts = self.random.random_range(2..=3);
        for part in 0..parts {
            if part > 0 {
                self.word(word);
            }
            self.condition(depth - 1);
        }
    }

    fn bracketed(&mut self, depth: u32) {
        self.push("(");
        self.condition(depth.saturating_sub(1));
        self.push(")");
    }

    fn comparison(&mut self, depth: u32) {
        match self.random.random_range(0..20) {
            0..=4 => {
                self.number_or_property();
                let sign = self.of(&[">", ">=", "<", "<="]).to_owned();
                self.push(&sign);
                self.number_or_property();
            }
            5..=8 => {
                self.property();
                let sign = self.of(&["=", "<>"]).to_owned();
                self.push(&sign);
                self.value();
            }
            9 => {
                self.value_but_truth();
                let sign = self.of(&["=", "<>"]).to_owned();
                self.push(&sign);
                self.property();
            }
            10..=11 => {
                self.property();
                self.word("IS");
                self.perhaps_not();
                self.word("NULL");
            }
            12..=13 => {
                self.property();
                self.perhaps_not();
                self.word("BETWEEN");
                self.number_or_property();
                self.word("AND");
                self.number_or_property();
            }
            14..=15 => self.within(),
            16..=17 => {
                self.property();
                self.perhaps_not();
                let word = self.of(&["CONTAINS", "STARTSWITH", "ENDSWITH"]).to_owned();
                self.word(&word);
                self.text();
            }
            18 if depth > 0 => {
                self.bracketed(depth);
                let sign = self.of(&["=", "<>"]).to_owned();
                self.push(&sign);
                let truth = self.of(&["TRUE", "FALSE"]).to_owned();
                self.word(&truth);
            }
            18 => self.property(),
            _ => {
                let truth = self.of(&["TRUE", "FALSE"]).to_owned();
                self.word(&truth);
            }
        }
    }

    fn within(&mut self) {
        self.property();
        self.perhaps_not();
        self.word("IN");
        self.push("(");
        for place in 0..self.random.random_range(1..=4) {
            if place > 0 {
                self.push(",");
            }
            self.text();
        }
        self.push(")");
    }

    fn value(&mut self) {
        match self.random.random_range(0..4) {
            0 => self.text(),
            1 => {
                let truth = self.of(&["TRUE", "FALSE"]).to_owned();
                self.word(&truth);
            }
            _ => self.number_or_property(),
        }
    }

    fn value_but_truth(&mut self) {
        if self.one_in(3) { self.text() } else { self.number_or_property() }
    }

    fn number_or_property(&mut self) {
        match self.random.random_range(0..8) {
            0..=2 => self.property(),
            3 => {
                let sign = self.of(&["-", "+"]).to_owned();
                self.push(&sign);
                self.number();
            }
            _ => self.number(),
        }
    }

    fn number(&mut self) {
        let number = if self.one_in(3) { self.of(&FLOATS) } else { self.of(&INTEGERS) }.to_owned();
        self.push(&number);
    }

    fn property(&mut self) {
        let name = self.of(&NAMES).to_owned();
        self.push(&name);
    }

    fn text(&mut self) {
        let text = format!("'{}'", self.of(&TEXTS));
        self.push(&text);
    }

    fn perhaps_not(&mut self) {
        if self.one_in(3) {
            self.word("NOT");
        }
    }

    // --- tokens ---

    /// A keyword, in any case.
    fn word(&mut self, word: &str) {
        let word = match self.random.random_range(0..4) {
            0 => word.to_lowercase(),
            1 => word.chars().map(|c| if self.one_in(2) { c.to_ascii_lowercase() } else { c }).collect(),
            _ => word.to_owned(),
        };
        self.push(&word);
    }

    fn push(&mut self, token: &str) {
        self.tokens.push(token.to_owned());
    }

    /// Drops, doubles, swaps or changes a token.
    fn damage(&mut self) {
        let at = self.random.random_range(0..self.tokens.len());
        let other = self.random.random_range(0..self.tokens.len());
        match self.random.random_range(0..4) {
            0 => drop(self.tokens.remove(at)),
            1 => {
                let token = self.tokens.get(at).cloned().unwrap_or_default();
                self.tokens.insert(at, token);
            }
            2 => self.tokens.swap(at, other),
            _ => {
                let token =
                    self.of(&["(", ")", ",", "=", "LIKE", "NOT", "'", "#", "1", "!=", "NULL"]).to_owned();
                self.tokens.insert(at, token);
            }
        }
    }

    fn written(&mut self) -> String {
        let mut text = String::new();
        for token in std::mem::take(&mut self.tokens) {
            text.push_str(&token);
            text.push_str(match self.random.random_range(0..12) {
                0 => "  ",
                1 => "\t",
                2 => " /* x */ ",
                _ => " ",
            });
        }
        text
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.choose(&mut self.random).copied().unwrap_or_default()
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }
}
