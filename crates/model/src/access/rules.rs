//! Policies made ready for quick decisions: what is said of a very name is found by it, the rest stands
//! in the order in which it decides.

use std::collections::HashMap;
use std::net::IpAddr;

use super::policy::{Actions, Decision, Policy, PolicyEntry, PolicyKind};
use super::resource::{Pattern, Resource, ResourceKind};

/// The rules of one user.
#[derive(Debug, Default)]
pub struct Rules {
    custom: Book,
    default: Book,
}

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Rule>,
    /// Places in `entries`, by name; of all kinds.
    by_name: HashMap<String, Vec<usize>>,
    /// Places in `entries`: nearest first, of the equally near those that deny first.
    patterns: Vec<usize>,
}

#[derive(Debug)]
struct Rule {
    entry: PolicyEntry,
    actions: Actions,
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    Decided { by: &'a PolicyEntry, of: PolicyKind },
    NothingMatches,
}

impl Verdict<'_> {
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::Decided { by, .. } if by.decision == Decision::Allow)
    }

    /// Why not, in RocketMQ's words.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Decided { .. } => "the decision is deny.",
            Self::NothingMatches => "no matched policies.",
        }
    }
}

/// What somebody wants to do, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub kind: ResourceKind,
    pub name: &'a str,
    /// One of these is enough.
    pub actions: Actions,
    pub from: IpAddr,
}

impl Rules {
    #[must_use]
    pub fn of(policies: &[Policy]) -> Self {
        let book = |kind| {
            let of_kind = policies.iter().filter(|policy| policy.kind == kind);
            Book::of(of_kind.flat_map(|policy| policy.entries.iter().cloned()))
        };
        Self { custom: book(PolicyKind::Custom), default: book(PolicyKind::Default) }
    }

    #[must_use]
    pub fn decide(&self, wish: &Wish<'_>) -> Verdict<'_> {
        let custom = self.custom.first(wish).map(|by| (by, PolicyKind::Custom));
        let first = custom.or_else(|| Some((self.default.first(wish)?, PolicyKind::Default)));
        first.map_or(Verdict::NothingMatches, |(by, of)| Verdict::Decided { by, of })
    }
}

impl Book {
    fn of(entries: impl Iterator<Item = PolicyEntry>) -> Self {
        let entries: Vec<Rule> =
            entries.map(|entry| Rule { actions: Actions::of(&entry.actions), entry }).collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut patterns = Vec::new();
        for (place, rule) in entries.iter().enumerate() {
            match &rule.entry.resource {
                Resource { kind, pattern: Pattern::Literal(name) } if *kind != ResourceKind::Any => {
                    by_name.entry(name.clone()).or_default().push(place);
                }
                _ => patterns.push(place),
            }
        }
        let order = |place: &usize| {
            let entry = entries.get(*place).map(|rule| &rule.entry);
            entry.map(|entry| {
                (std::cmp::Reverse(entry.resource.nearness()), entry.decision == Decision::Allow)
            })
        };
        patterns.sort_by_key(order);
        by_name.values_mut().for_each(|places| places.sort_by_key(order));
        Self { entries, by_name, patterns }
    }

    fn first(&self, wish: &Wish<'_>) -> Option<&PolicyEntry> {
        let named = self.by_name.get(wish.name).into_iter().flatten();
        let mut rules = named.chain(&self.patterns).filter_map(|place| self.entries.get(*place));
        rules.find(|rule| rule.applies(wish)).map(|rule| &rule.entry)
    }
}

impl Rule {
    fn applies(&self, wish: &Wish<'_>) -> bool {
        let ips = &self.entry.source_ips;
        self.actions.allow_one_of(wish.actions)
            && self.entry.resource.covers(wish.kind, wish.name)
            && (ips.is_empty() || ips.iter().any(|range| range.contains(wish.from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::policy::Action;

    fn entry(text: &str) -> PolicyEntry {
        let mut parts = text.split(' ');
        let mut next = || parts.next().expect("resource, actions, decision, addresses");
        let (resource, actions, decision) = (next(), next(), next());
        PolicyEntry {
            resource: resource.parse().expect("legal"),
            actions: actions.split(',').map(|action| action.parse().expect("legal")).collect(),
            decision: decision.parse().expect("legal"),
            source_ips: parts.map(|ip| ip.parse().expect("legal")).collect(),
        }
    }

    fn says(custom: &[&str], default: &[&str], kind: ResourceKind, name: &str, action: Action) -> String {
        let policy =
            |kind, texts: &[&str]| Policy { kind, entries: texts.iter().map(|text| entry(text)).collect() };
        let rules = Rules::of(&[policy(PolicyKind::Custom, custom), policy(PolicyKind::Default, default)]);
        let from = IpAddr::from([10, 0, 0, 1]);
        match rules.decide(&Wish { kind, name, actions: Actions::of(&[action]), from }) {
            Verdict::Decided { by, of } => format!("{} by {of} {}", by.decision, by.resource),
            Verdict::NothingMatches => "nothing".to_owned(),
        }
    }

    #[test]
    fn the_nearest_entry_decides() {
        use ResourceKind::Topic;
        let pubs = |custom: &[&str]| says(custom, &[], Topic, "orders-eu", Action::Pub);
        assert_eq!(pubs(&[]), "nothing");
        assert_eq!(pubs(&["Topic:orders-eu Pub Allow"]), "Allow by Custom Topic:orders-eu");
        assert_eq!(pubs(&["Topic:orders-eu Sub Allow"]), "nothing");
        assert_eq!(pubs(&["Group:orders-eu Pub Allow"]), "nothing");
        assert_eq!(
            pubs(&["Topic:* Pub Allow", "Topic:orders* Pub Deny", "Topic:orders-e* Pub Allow"]),
            "Allow by Custom Topic:orders-e*"
        );
        assert_eq!(
            pubs(&["Topic:orders-eu Pub Deny", "Topic:orders* Pub Allow"]),
            "Deny by Custom Topic:orders-eu"
        );
        assert_eq!(pubs(&["* All Allow", "Topic:* Pub Deny"]), "Deny by Custom Topic:*");
        assert_eq!(pubs(&["* All Allow"]), "Allow by Custom *");
        // An entry for other actions or other places is passed over, however near it is.
        assert_eq!(
            pubs(&["Topic:orders-eu Sub Deny", "Topic:orders* Pub Allow"]),
            "Allow by Custom Topic:orders*"
        );
        assert_eq!(
            pubs(&["Topic:orders-eu Pub Deny 192.168.0.0/16", "Topic:orders* Pub Allow 10.0.0.0/8"]),
            "Allow by Custom Topic:orders*"
        );
    }

    #[test]
    fn of_equally_near_entries_the_one_that_denies_decides() {
        let says = |custom: &[&str]| says(custom, &[], ResourceKind::Topic, "t", Action::Pub);
        for texts in [["Topic:t Pub Allow", "Topic:t Pub Deny"], ["Topic:* Pub Allow", "Topic:* All Deny"]] {
            assert!(says(&texts).starts_with("Deny"), "{texts:?}");
            let [first, second] = texts;
            assert!(says(&[second, first]).starts_with("Deny"), "{texts:?}");
        }
    }

    #[test]
    fn default_policies_decide_where_no_custom_one_does() {
        let says =
            |custom: &[&str], default: &[&str]| says(custom, default, ResourceKind::Group, "g", Action::Sub);
        assert_eq!(says(&[], &["Group:* Sub Allow"]), "Allow by Default Group:*");
        assert_eq!(says(&["Group:* Sub Deny"], &["Group:g Sub Allow"]), "Deny by Custom Group:*");
        assert_eq!(says(&["Topic:* Sub Deny"], &["Group:g Sub Allow"]), "Allow by Default Group:g");
    }
}
