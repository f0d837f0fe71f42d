//! What policies are about, as texts name it: `*`, `Topic:orders`, `Group:billing-*`, `Cluster:*`.

use std::fmt;
use std::str::FromStr;

use super::text::{as_text, named};
use crate::limits::RESOURCE_BYTES_MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `*`: whatever there is.
    Any,
    Cluster,
    Namespace,
    Topic,
    Group,
}

named!(ResourceKind { Any, Cluster, Namespace, Topic, Group });

/// Which names of a kind are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    Any,
    Prefix(String),
    Literal(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    pub kind: ResourceKind,
    pub pattern: Pattern,
}

impl Resource {
    #[must_use]
    pub fn literal(kind: ResourceKind, name: &str) -> Self {
        Self { kind, pattern: Pattern::Literal(name.to_owned()) }
    }

    /// Whether a thing of this kind and name is meant.
    #[must_use]
    pub fn covers(&self, kind: ResourceKind, name: &str) -> bool {
        if self.kind == ResourceKind::Any {
            return true;
        }
        self.kind == kind
            && match &self.pattern {
                Pattern::Any => true,
                Pattern::Prefix(prefix) => name.starts_with(prefix.as_str()),
                Pattern::Literal(literal) => literal == name,
            }
    }

    /// How near it is to the things that it covers: larger is nearer.
    pub(super) fn nearness(&self) -> usize {
        match (&self.pattern, self.kind) {
            (_, ResourceKind::Any) => 0,
            (Pattern::Any, _) => 1,
            (Pattern::Prefix(prefix), _) => 2 + prefix.len(),
            (Pattern::Literal(_), _) => usize::MAX,
        }
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { kind: ResourceKind::Any, pattern: Pattern::Any });
        }
        if text.len() > RESOURCE_BYTES_MAX {
            return Err(format!("a resource has at most {RESOURCE_BYTES_MAX} bytes"));
        }
        let form =
            "a resource is `*`, or a kind and a name as `Topic:orders`, `Group:billing-*`, `Cluster:*`";
        let (kind, name) = text.split_once(':').ok_or_else(|| form.to_owned())?;
        let kind: ResourceKind = kind.parse().map_err(|why| format!("{form}: {why}"))?;
        let pattern = match name.split_once('*') {
            _ if name.is_empty() => return Err(form.to_owned()),
            Some(("", "")) => Pattern::Any,
            // As RocketMQ does: what stands behind the first star is lost, if the name ends in one.
            Some((prefix, _)) if name.ends_with('*') => Pattern::Prefix(prefix.to_owned()),
            _ => Pattern::Literal(name.to_owned()),
        };
        Ok(Self { kind, pattern })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.pattern) {
            (ResourceKind::Any, _) => f.write_str("*"),
            (kind, Pattern::Any) => write!(f, "{kind}:*"),
            (kind, Pattern::Prefix(prefix)) => write!(f, "{kind}:{prefix}*"),
            (kind, Pattern::Literal(name)) => write!(f, "{kind}:{name}"),
        }
    }
}

as_text!(Resource);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written_alike() {
        for text in ["*", "Topic:*", "Topic:a", "Group:a-*", "Cluster:DefaultCluster", "Namespace:n"] {
            assert_eq!(text.parse::<Resource>().expect("legal").to_string(), text);
        }
        assert_eq!("topic:a".parse::<Resource>().expect("legal").to_string(), "Topic:a");
        for text in ["", "a", "Topic", "Topic:", "Queue:a"] {
            assert!(text.parse::<Resource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_names_of_its_kind() {
        let covers = |text: &str, kind, name| text.parse::<Resource>().expect("legal").covers(kind, name);
        assert!(covers("*", ResourceKind::Group, "g"));
        assert!(covers("Topic:a*", ResourceKind::Topic, "ab"));
        assert!(covers("Topic:a*", ResourceKind::Topic, "a"));
        assert!(!covers("Topic:a*", ResourceKind::Topic, "ba"));
        assert!(!covers("Topic:a*", ResourceKind::Group, "ab"));
        assert!(!covers("Topic:a", ResourceKind::Topic, "ab"));
    }
}
