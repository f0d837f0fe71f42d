//! The fixed table of expressions, properties and verdicts. `cargo xtask sql` asks the original's library the same.

use super::properties;
use crate::selector::Verdict;
use crate::selector::sql::Sql;

/// `expression | properties | our verdict`, and the original's where it differs.
const TABLE: &str = include_str!("table.txt");
const ROWS_MIN: usize = 150;

fn verdict(expression: &str, message: &str) -> &'static str {
    let Ok(sql) = Sql::compile(expression) else { return "refused" };
    match sql.verdict(&properties(message)) {
        Verdict::True => "true",
        Verdict::False => "false",
        Verdict::Unknown => "unknown",
        Verdict::Incomparable => "incomparable",
    }
}

#[test]
fn every_row_of_the_table_holds() {
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [expression, message, expected, ..] = cells[..] else { panic!("a row has three cells: {line}") };
        let given = verdict(expression, message);
        if given != expected {
            wrong.push(format!("{line}: {given}"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= ROWS_MIN, "{rows} rows");
}
