//! The `plain_acl.yml` of RocketMQ 4.x (ACL 1.0), made into users and policies as its own migration does.
//!
//! Of YAML it has maps of texts, lists of texts, and one list of maps; all else is refused.

use anyhow::{Context, Result, bail, ensure};
use model::access::{Action, Decision, Policy, PolicyEntry, PolicyKind, UserKind};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) open_addresses: Vec<String>,
    pub(super) accounts: Vec<PlainAccount>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlainAccount {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) open_address: Option<String>,
    admin: bool,
    default_topic: Option<String>,
    default_group: Option<String>,
    topics: Vec<String>,
    groups: Vec<String>,
}

impl PlainAccount {
    pub(super) const fn kind(&self) -> UserKind {
        if self.admin { UserKind::Super } else { UserKind::Normal }
    }

    pub(super) fn policies(&self) -> Result<Vec<Policy>> {
        let named = |kind: &str, perms: &[String]| -> Result<Vec<PolicyEntry>> {
            perms.iter().map(|perm| of_name(kind, perm)).collect()
        };
        let mut custom = named("Topic", &self.topics)?;
        custom.extend(named("Group", &self.groups)?);
        let defaults = [("Topic:*", &self.default_topic), ("Group:*", &self.default_group)];
        let defaults = defaults.into_iter().filter_map(|(resource, perm)| Some((resource, perm.as_deref()?)));
        let default = defaults.map(|(resource, perm)| entry(resource, perm)).collect::<Result<Vec<_>>>()?;
        let policies = [(PolicyKind::Custom, custom), (PolicyKind::Default, default)];
        let some = policies.into_iter().filter(|(_, entries)| !entries.is_empty());
        Ok(some.map(|(kind, entries)| Policy { kind, entries }).collect())
    }

    fn set(&mut self, key: &str, value: Option<String>) -> Result<()> {
        match key {
            "accessKey" => self.access_key = value.context("accessKey is empty")?,
            "secretKey" => self.secret_key = value.context("secretKey is empty")?,
            "whiteRemoteAddress" => self.open_address = value,
            "admin" => self.admin = value.as_deref() == Some("true"),
            "defaultTopicPerm" => self.default_topic = value,
            "defaultGroupPerm" => self.default_group = value,
            // The head of a list.
            "topicPerms" | "groupPerms" if value.is_none() => {}
            other => bail!("`{other}` is no setting of an account"),
        }
        Ok(())
    }
}

/// `name=PERM`
fn of_name(kind: &str, perm: &str) -> Result<PolicyEntry> {
    let (name, perm) = perm.split_once('=').with_context(|| format!("`{perm}` is no name=permission"))?;
    entry(&format!("{kind}:{}", name.trim()), perm.trim())
}

fn entry(resource: &str, perm: &str) -> Result<PolicyEntry> {
    let actions = match perm {
        "PUB" => vec![Action::Pub],
        "SUB" => vec![Action::Sub],
        "PUB|SUB" | "SUB|PUB" => vec![Action::Pub, Action::Sub],
        "DENY" | "ANY" => vec![Action::All],
        other => bail!("`{other}` is no permission: there are PUB, SUB, PUB|SUB, DENY and ANY"),
    };
    let decision = if perm == "DENY" { Decision::Deny } else { Decision::Allow };
    let resource = resource.parse().map_err(anyhow::Error::msg)?;
    Ok(PolicyEntry { resource, actions, source_ips: Vec::new(), decision })
}

/// Where a list's items go.
enum Place {
    Nowhere,
    Addresses,
    Accounts,
    Topics,
    Groups,
}

pub(super) fn parse(text: &str) -> Result<Plain> {
    let mut plain = Plain::default();
    let mut place = Place::Nowhere;
    for (number, line) in text.lines().enumerate() {
        take(&mut plain, &mut place, line).with_context(|| format!("line {}", number + 1))?;
    }
    for account in &plain.accounts {
        ensure!(
            !account.access_key.is_empty() && !account.secret_key.is_empty(),
            "an account lacks its accessKey or secretKey"
        );
    }
    Ok(plain)
}

fn take(plain: &mut Plain, place: &mut Place, line: &str) -> Result<()> {
    let indent = line.len() - line.trim_start().len();
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line == "---" {
        return Ok(());
    }
    let (is_item, line) = match line.strip_prefix('-') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => (true, rest.trim()),
        _ => (false, line),
    };
    let pair = line.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '));
    if let (false, 0, Some((key, rest))) = (is_item, indent, pair) {
        ensure!(scalar(rest)?.is_none(), "`{key}` takes a list");
        *place = match key {
            "globalWhiteRemoteAddresses" => Place::Addresses,
            "accounts" => Place::Accounts,
            other => bail!("`{other}` is no setting of this file"),
        };
        return Ok(());
    }
    if matches!(place, Place::Addresses) {
        ensure!(is_item, "here stands a list of addresses");
        plain.open_addresses.extend(scalar(line)?);
        return Ok(());
    }
    ensure!(!matches!(place, Place::Nowhere), "it stands outside of `accounts`");
    if is_item && pair.is_some_and(|(key, _)| key == "accessKey" || key == "secretKey") {
        plain.accounts.push(PlainAccount::default());
        *place = Place::Accounts;
    }
    let account = plain.accounts.last_mut().context("an account begins with `- accessKey:`")?;
    match (pair, &place) {
        (Some((key, rest)), _) => {
            account.set(key, scalar(rest)?)?;
            *place = match key {
                "topicPerms" => Place::Topics,
                "groupPerms" => Place::Groups,
                _ => Place::Accounts,
            };
        }
        (None, Place::Topics) if is_item => account.topics.extend(scalar(line)?),
        (None, Place::Groups) if is_item => account.groups.extend(scalar(line)?),
        _ => bail!("`{line}` is neither a setting nor an item of a list"),
    }
    Ok(())
}

/// A text, perhaps in quotes, without the comment behind it.
fn scalar(text: &str) -> Result<Option<String>> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (inside, rest) = rest.split_once(quote).context("a quote is not closed")?;
            ensure!(
                rest.trim().is_empty() || rest.trim().starts_with('#'),
                "something stands behind a quote"
            );
            return Ok(Some(inside.to_owned()));
        }
    }
    let plain = text.split_once(" #").map_or(text, |(before, _)| before.trim());
    ensure!(!plain.starts_with(['[', '{', '&', '|', '>']), "`{plain}`: only plain texts and lists are read");
    let is_none = plain.is_empty() || plain.starts_with('#') || matches!(plain, "null" | "~");
    Ok((!is_none).then(|| plain.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
# as it comes with RocketMQ 4.9
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: '12345678' # a comment
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY
      - groupB=PUB|SUB

  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
";

    #[test]
    fn the_file_of_the_original_is_read() {
        let plain = parse(FILE).expect("legal");
        assert_eq!(plain.open_addresses, ["10.10.103.*", "192.168.0.*"]);
        let [first, second] = plain.accounts.as_slice() else { panic!("two accounts: {plain:?}") };
        assert_eq!((first.access_key.as_str(), first.secret_key.as_str()), ("RocketMQ", "12345678"));
        assert_eq!((first.kind(), second.kind()), (UserKind::Normal, UserKind::Super));
        assert_eq!(second.open_address.as_deref(), Some("192.168.1.*"));
        let shown: Vec<String> = first
            .policies()
            .expect("legal")
            .iter()
            .flat_map(|policy| {
                let line = |e: &PolicyEntry| {
                    format!("{} {} {:?} {}", policy.kind, e.resource, e.actions, e.decision)
                };
                policy.entries.iter().map(line).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Custom Topic:topicA [All] Deny",
                "Custom Topic:topicB [Pub, Sub] Allow",
                "Custom Group:groupA [All] Deny",
                "Custom Group:groupB [Pub, Sub] Allow",
                "Default Topic:* [All] Deny",
                "Default Group:* [Sub] Allow",
            ]
        );
        assert_eq!(second.policies().expect("legal"), []);
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        for (text, part) in [
            ("accounts:\n  - accessKey: a", "lacks"),
            ("accounts:\n  - accessKey: a\n    secretKey: [x]", "line 3"),
            ("accounts:\n  - accessKey: a\n    colour: red", "line 3"),
            ("accounts:\n  nonsense", "line 2"),
            ("users:\n", "line 1"),
            ("- x", "line 1"),
        ] {
            let told = format!("{:#}", parse(text).expect_err(text));
            assert!(told.contains(part), "{text}: {told}");
        }
        let wrong = PlainAccount { topics: vec!["t=NO".to_owned()], ..PlainAccount::default() };
        assert!(wrong.policies().is_err());
    }
}
