//! The cluster that is imported from: its brokers, and what their catalogues hold.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base::Doors;
use parking_lot::Mutex;
use remoting::client::{Client, Signer};
use remoting::code::request;
use remoting::frame::Body;
use remoting::header::Fields;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::import::access::{AclBody, UserBody};

const GET_ALL_CONSUMER_OFFSET: i32 = 43;
const GET_ALL_DELAY_OFFSET: i32 = 45;
/// Where messages wait for their delay level, a queue for each level from 1 on.
const DELAYED: &str = "SCHEDULE_TOPIC_XXXX";
/// The number under which a cluster lists the master of a broker.
const MASTER: &str = "0";

#[derive(Clone)]
pub(super) struct Source {
    doors: Doors,
    namesrv: SocketAddr,
    /// Whom requests are signed as.
    caller: Option<Signer>,
    clients: Arc<Mutex<HashMap<SocketAddr, Client>>>,
    /// Of the brokers' masters, as last told.
    addresses: Arc<Mutex<HashMap<String, SocketAddr>>>,
}

/// All that a cluster told, by broker.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) brokers: BTreeMap<String, Broker>,
    pub(super) clusters: Vec<String>,
    /// Group, topic, broker and queue: where the group goes on.
    pub(super) offsets: Vec<GroupOffset>,
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) topics: BTreeMap<String, TopicBody>,
    pub(super) groups: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug)]
pub(super) struct GroupOffset {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) broker: String,
    pub(super) queue: u32,
    pub(super) offset: u64,
}

/// `TopicConfig`, as brokers write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopicBody {
    pub(super) read_queue_nums: u32,
    pub(super) write_queue_nums: u32,
    #[serde(default)]
    pub(super) perm: u32,
    #[serde(default)]
    pub(super) order: bool,
    #[serde(default)]
    pub(super) attributes: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterBody {
    #[serde(default)]
    broker_addr_table: BTreeMap<String, BrokerBody>,
    #[serde(default)]
    cluster_addr_table: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerBody {
    broker_addrs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TopicsBody {
    topic_config_table: BTreeMap<String, TopicBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupsBody {
    subscription_group_table: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OffsetsBody {
    offset_table: BTreeMap<String, BTreeMap<String, i64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DelaysBody {
    #[serde(default)]
    offset_table: BTreeMap<String, u64>,
}

impl Source {
    pub(super) fn new(doors: &Doors, namesrv: SocketAddr, caller: Option<Signer>) -> Self {
        Self { doors: doors.clone(), namesrv, caller, clients: Arc::default(), addresses: Arc::default() }
    }

    /// A connection, made anew where the last one broke.
    pub(super) async fn client(&self, address: SocketAddr) -> Result<Client> {
        if let Some(client) = self.clients.lock().get(&address) {
            return Ok(client.clone());
        }
        let client = Client::connect(&self.doors, address).await?.signing_as(self.caller.clone());
        self.clients.lock().insert(address, client.clone());
        Ok(client)
    }

    pub(super) fn addresses(&self) -> HashMap<String, SocketAddr> {
        self.addresses.lock().clone()
    }

    /// The connection is of no use any more.
    pub(super) fn forget(&self, address: SocketAddr) {
        self.clients.lock().remove(&address);
    }

    pub(super) async fn read(&self) -> Result<Told> {
        let cluster: ClusterBody = self.ask(self.namesrv, request::GET_BROKER_CLUSTER_INFO).await?;
        let mut told = Told { clusters: cluster.cluster_addr_table.into_keys().collect(), ..Told::default() };
        for (name, body) in cluster.broker_addr_table {
            let Some(master) = body.broker_addrs.get(MASTER) else {
                bail!("broker {name} has no master now: an import reads from masters");
            };
            let address: SocketAddr = tokio::net::lookup_host(master.as_str())
                .await
                .with_context(|| format!("broker {name}"))?
                .next()
                .with_context(|| format!("broker {name} has no address"))?;
            let topics: TopicsBody = self.ask(address, request::GET_ALL_TOPIC_CONFIG).await?;
            let groups: GroupsBody = self.ask(address, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await?;
            let offsets: OffsetsBody = self.ask(address, GET_ALL_CONSUMER_OFFSET).await?;
            for (key, queues) in offsets.offset_table {
                let Some((topic, group)) = key.split_once('@') else { continue };
                for (queue, offset) in queues {
                    let (Ok(queue), Ok(offset)) = (queue.parse(), u64::try_from(offset)) else { continue };
                    let (group, topic, broker) = (group.to_owned(), topic.to_owned(), name.clone());
                    told.offsets.push(GroupOffset { group, topic, broker, queue, offset });
                }
            }
            let groups = groups.subscription_group_table;
            self.addresses.lock().insert(name.clone(), address);
            told.brokers.insert(name, Broker { topics: topics.topic_config_table, groups });
        }
        if told.brokers.is_empty() {
            bail!("the name server {} knows no broker", self.namesrv);
        }
        Ok(told)
    }

    /// Users and policies, as one of the brokers keeps them: all keep the same.
    pub(super) async fn access(&self) -> Result<(Vec<UserBody>, Vec<AclBody>)> {
        let told = self.addresses();
        let address = *told.values().next().context("no broker is known")?;
        let users = self.ask_for_some(address, request::AUTH_LIST_USER).await?;
        Ok((users, self.ask_for_some(address, request::AUTH_LIST_ACL).await?))
    }

    /// A list; where there is nothing, brokers answer without a body.
    async fn ask_for_some<T: DeserializeOwned>(&self, address: SocketAddr, code: i32) -> Result<Vec<T>> {
        let answer = self.client(address).await?.call(code, Fields::new(), Body::default()).await;
        let answer = answer.with_context(|| format!("{address} does not tell its users and policies"))?;
        let bytes = answer.body.bytes();
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&bytes).with_context(|| format!("{address} answers request {code} strangely"))
    }

    /// Messages that wait for a delay level, retries among them.
    pub(super) async fn delayed(&self) -> Result<u64> {
        let mut delayed = 0;
        for address in self.addresses().into_values() {
            let levels: DelaysBody = self.ask(address, GET_ALL_DELAY_OFFSET).await?;
            for (level, offset) in levels.offset_table {
                let Some(queue) = level.parse::<u32>().ok().and_then(|level| level.checked_sub(1)) else {
                    continue;
                };
                let end = self.client(address).await?.max_offset(DELAYED, queue).await;
                let end = end.inspect_err(|_| self.forget(address))?;
                delayed += u64::try_from(end).unwrap_or_default().saturating_sub(offset);
            }
        }
        Ok(delayed)
    }

    async fn ask<T: DeserializeOwned>(&self, address: SocketAddr, code: i32) -> Result<T> {
        let client = self.client(address).await?;
        let answer = client.call(code, Fields::new(), Body::default()).await;
        let answer = answer.inspect_err(|_| self.forget(address));
        let answer = answer.with_context(|| format!("{address} does not answer request {code}"))?;
        let text = quote_keys(&String::from_utf8_lossy(&answer.body.bytes()));
        serde_json::from_str(&text).with_context(|| format!("{address} answers request {code} strangely"))
    }
}

/// Java writes numbers as keys without quotes.
fn quote_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let (mut in_text, mut is_escaped, mut may_be_key) = (false, false, false);
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        if in_text {
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            out.push(c);
            continue;
        }
        let tail = text.get(at..).unwrap_or_default();
        let len = tail.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(tail.len());
        if may_be_key && len > 0 && tail.get(len..).is_some_and(|after| after.starts_with(':')) {
            out.push('"');
            out.push_str(tail.get(..len).unwrap_or_default());
            out.push('"');
            if len > 1 {
                rest.nth(len - 2);
            }
            may_be_key = false;
            continue;
        }
        in_text = c == '"';
        may_be_key = matches!(c, '{' | ',') || (may_be_key && c.is_whitespace());
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_keys() {
        assert_eq!(
            quote_keys(r#"{"a":{0:1,12:-5, 3 :[1,2]},"b":"{0:\",1:"}"#),
            r#"{"a":{"0":1,"12":-5, 3 :[1,2]},"b":"{0:\",1:"}"#
        );
        assert_eq!(quote_keys(r#"{"t@g":{0:7,1:8}}"#), r#"{"t@g":{"0":7,"1":8}}"#);
        assert_eq!(quote_keys("[1,2,3]"), "[1,2,3]");
    }
}
