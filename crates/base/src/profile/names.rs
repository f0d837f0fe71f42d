//! Names of functions as people read them, and stacks as text.

use std::collections::{BTreeMap, HashMap};

use super::Stack;

/// Of a name: that of a future which is made of futures can have thousands.
const NAME_BYTES_MAX: usize = 240;

/// Where a stack goes on that was not followed to its end.
const CUT: &str = "[cut]";
const OTHERS: &str = "[others]";

/// As it was written, without the hash that the compiler adds.
pub(super) fn readable(symbol: &str) -> String {
    plain(&format!("{:#}", rustc_demangle::demangle(symbol)))
}

/// Without what has a meaning in the text, and not too long.
pub(super) fn plain(name: &str) -> String {
    let name = name.replace(';', ",").replace(char::is_control, " ");
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    format!("{}...", &name[..name.floor_char_boundary(NAME_BYTES_MAX)])
}

/// A line for each stack, sorted. Where all are too long, those that were seen least are left out and told together.
pub(super) fn fold<'a>(
    stacks: &'a HashMap<Stack, u64>,
    others: u64,
    name: impl Fn(&'a u64) -> &'a str,
    bytes_max: usize,
) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, looks) in stacks {
        let begin = [&*stack.thread].into_iter().chain((!stack.is_whole).then_some(CUT));
        let frames = stack.frames.iter().rev().map(&name);
        let line = begin.chain(frames).collect::<Vec<_>>().join(";");
        *lines.entry(line).or_default() += looks;
    }
    let mut by_looks: Vec<_> = lines.iter().collect();
    by_looks.sort_by_key(|(_, looks)| std::cmp::Reverse(**looks));
    let (mut bytes, mut others) = (0, others);
    by_looks.retain(|(line, looks)| {
        // With the number and what stands around it.
        bytes += line.len() + 22;
        if bytes > bytes_max {
            others += **looks;
        }
        bytes <= bytes_max
    });
    by_looks.sort_unstable();
    let mut out = String::new();
    for (line, looks) in by_looks {
        out += &format!("{line} {looks}\n");
    }
    if others > 0 {
        out += &format!("{OTHERS} {others}\n");
    }
    out
}
