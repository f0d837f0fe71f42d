//! What lists have in common that are shown page by page.

use std::hash::Hash;

use hashbrown::HashMap;
use model::admin::{ROWS_DEFAULT, ROWS_MAX, RateOf, RatesRow, Window};

use crate::broker::Broker;

/// In the last minute and the last day.
pub(super) type Passed = (Window, Window);

/// Whether a name holds what is searched, in any case of letters; or is just that, where it must be `exact`.
pub(super) fn matches(name: &str, search: Option<&str>, exact: bool) -> bool {
    let Some(part) = search.filter(|part| !part.is_empty()) else { return true };
    if exact {
        return name == part;
    }
    name.to_lowercase().contains(&part.to_lowercase())
}

/// The rows of a page.
pub(super) fn slice<T>(all: &[T], offset: u32, limit: Option<u32>) -> &[T] {
    let from = (offset as usize).min(all.len());
    let to = (from + limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX) as usize).min(all.len());
    &all[from..to]
}

/// What passed, summed by what rows have in common.
pub(super) fn passed<K: Eq + Hash>(
    broker: &Broker,
    of: RateOf,
    key: impl Fn(&RatesRow) -> Option<K>,
) -> HashMap<K, Passed> {
    let mut sums: HashMap<K, Passed> = HashMap::new();
    for row in broker.busiest(of, usize::MAX) {
        if let Some(key) = key(&row) {
            let (minute, day) = sums.entry(key).or_default();
            *minute += row.minute;
            *day += row.day;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_where_the_list_ends() {
        let all: Vec<u32> = (0..120).collect();
        assert_eq!(slice(&all, 0, None), &all[..50]);
        assert_eq!(slice(&all, 100, Some(50)), &all[100..]);
        assert_eq!(slice(&all, 500, Some(50)), &[] as &[u32]);
        assert_eq!(slice(&all, 0, Some(0)), &all[..1]);
    }

    #[test]
    fn a_search_does_not_care_for_case() {
        assert!(matches("Orders-EU", Some("orders"), false));
        assert!(matches("a", Some(""), true) && matches("a", None, false));
        assert!(!matches("a", Some("b"), false));
        assert!(matches("Orders", Some("Orders"), true) && !matches("Orders", Some("orders"), true));
    }
}
