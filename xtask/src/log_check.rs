//! The server's log must stay free of warnings and errors, but for those that a case provokes on purpose.
use anyhow::Result;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A line that may appear while a program with this case runs.
struct Allowed {
    case: &'static str,
    contains: &'static str,
}

/// Every exception, with its case; keep it short.
const ALLOWED: [Allowed; 0] = [];

pub(crate) fn length(log: &Path) -> Result<u64> {
    Ok(std::fs::metadata(log)?.len())
}

/// Lines after `from` that speak of trouble and are not allowed in any of the `cases` that ran.
pub(crate) fn unexpected_lines(log: &Path, from: u64, cases: &[String]) -> Result<Vec<String>> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .map(without_colours)
        .filter(|line| is_trouble(line) && !is_allowed(line, cases))
        .collect())
}

fn is_trouble(line: &str) -> bool {
    let has_level = |level: &str| {
        line.split_whitespace().take(4).any(|word| word == level)
            || line.contains(&format!("\"level\":\"{level}\""))
    };
    has_level("WARN") || has_level("ERROR") || line.contains("panicked at")
}

fn is_allowed(line: &str, cases: &[String]) -> bool {
    ALLOWED
        .iter()
        .any(|allowed| line.contains(allowed.contains) && cases.iter().any(|case| case == allowed.case))
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(|end| *end == 'm');
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_a_level_not_a_word() {
        assert!(is_trouble(&without_colours("2026-01-01T00:00:00Z \u{1b}[33m WARN\u{1b}[0m store: slow")));
        assert!(is_trouble(r#"{"level":"ERROR","message":"x"}"#));
        assert!(is_trouble("thread 'main' panicked at src/main.rs:1:1:"));
        assert!(!is_trouble("2026-01-01T00:00:00Z  INFO broker: a topic with the nice name WARN"));
    }
}
