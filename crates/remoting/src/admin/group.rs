//! Consumer groups: make, change, delete, list (`SubscriptionGroupConfig`).

use std::collections::BTreeMap;

use model::admin::{
    self, AdminError, GroupDelete, GroupDeleteRequest, GroupDescription, GroupGet, GroupList, GroupPut,
    GroupPutRequest, GroupRequest, ListRequest,
};
use model::{GroupConfig, GroupName, RetryPolicy, Session};
use serde::{Deserialize, Serialize};

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, done, success};
use crate::header::Fields;
use crate::json::{self, DataVersion};
use crate::link::Link;

const fn yes() -> bool {
    true
}

/// `SubscriptionGroupConfig` as the wire has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupBody {
    #[serde(default)]
    attributes: Option<BTreeMap<String, String>>,
    #[serde(default)]
    broker_id: i64,
    #[serde(default = "yes")]
    consume_broadcast_enable: bool,
    #[serde(default = "yes")]
    consume_enable: bool,
    #[serde(default = "yes")]
    consume_from_min_enable: bool,
    #[serde(default)]
    consume_message_orderly: bool,
    #[serde(default)]
    consume_timeout_minute: Option<u32>,
    group_name: String,
    #[serde(default)]
    group_retry_policy: Option<RetryBody>,
    #[serde(default)]
    group_sys_flag: i32,
    #[serde(default = "yes")]
    notify_consumer_ids_changed_enable: bool,
    #[serde(default)]
    retry_max_times: Option<i64>,
    #[serde(default)]
    retry_queue_nums: Option<u32>,
    #[serde(default)]
    which_broker_when_consume_slowly: i64,
}

/// `GroupRetryPolicy`
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryBody {
    #[serde(default)]
    customized_retry_policy: Option<Customized>,
    #[serde(default)]
    exponential_retry_policy: Option<Exponential>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Customized {
    next: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Exponential {
    initial: i64,
    max: i64,
    multiplier: i64,
}

impl RetryBody {
    fn policy(self) -> RetryPolicy {
        match (self.kind.as_deref(), self.exponential_retry_policy, self.customized_retry_policy) {
            (Some("EXPONENTIAL"), Some(Exponential { initial, max, multiplier }), _) => {
                RetryPolicy::Exponential { initial_ms: initial, max_ms: max, multiplier }
            }
            (Some("EXPONENTIAL"), None, _) => RetryPolicy::exponential(),
            (_, _, Some(Customized { next })) if !next.is_empty() => {
                RetryPolicy::Customized { next_ms: next }
            }
            _ => RetryPolicy::default(),
        }
    }
}

impl From<&RetryPolicy> for RetryBody {
    fn from(policy: &RetryPolicy) -> Self {
        let (customized, exponential, kind) = match policy {
            RetryPolicy::Customized { next_ms } => {
                (Some(Customized { next: next_ms.clone() }), None, "CUSTOMIZED")
            }
            RetryPolicy::Exponential { initial_ms, max_ms, multiplier } => {
                let policy = Exponential { initial: *initial_ms, max: *max_ms, multiplier: *multiplier };
                (None, Some(policy), "EXPONENTIAL")
            }
        };
        Self {
            customized_retry_policy: customized,
            exponential_retry_policy: exponential,
            kind: Some(kind.to_owned()),
        }
    }
}

impl GroupBody {
    fn config(self) -> Result<GroupConfig, Failure> {
        let defaults = GroupConfig::new(GroupName::new(&self.group_name)?);
        let times = self.retry_max_times.map(|times| u32::try_from(times.max(0)).unwrap_or(u32::MAX));
        Ok(GroupConfig {
            consume_enabled: self.consume_enable,
            consume_from_min_enabled: self.consume_from_min_enable,
            consume_broadcast_enabled: self.consume_broadcast_enable,
            ordered: self.consume_message_orderly,
            retry_queues: self.retry_queue_nums.unwrap_or(defaults.retry_queues),
            retry_max_times: times.unwrap_or(defaults.retry_max_times),
            retry_policy: self.group_retry_policy.map(RetryBody::policy).unwrap_or_default(),
            notify_members_changed: self.notify_consumer_ids_changed_enable,
            system_flag: self.group_sys_flag,
            consume_timeout_minutes: self.consume_timeout_minute.unwrap_or(defaults.consume_timeout_minutes),
            attributes: BTreeMap::new(),
            ..defaults
        })
    }
}

impl From<&GroupConfig> for GroupBody {
    fn from(config: &GroupConfig) -> Self {
        Self {
            attributes: Some(config.attributes.clone()),
            broker_id: 0,
            consume_broadcast_enable: config.consume_broadcast_enabled,
            consume_enable: config.consume_enabled,
            consume_from_min_enable: config.consume_from_min_enabled,
            consume_message_orderly: config.ordered,
            consume_timeout_minute: Some(config.consume_timeout_minutes),
            group_name: config.name.as_str().to_owned(),
            group_retry_policy: Some((&config.retry_policy).into()),
            group_sys_flag: config.system_flag,
            notify_consumer_ids_changed_enable: config.notify_members_changed,
            retry_max_times: Some(i64::from(config.retry_max_times)),
            retry_queue_nums: Some(config.retry_queues),
            which_broker_when_consume_slowly: 1,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupTable {
    data_version: DataVersion,
    forbidden_table: BTreeMap<String, String>,
    subscription_group_table: BTreeMap<String, GroupBody>,
}

/// `SubscriptionGroupList`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupBodies {
    group_config_list: Vec<GroupBody>,
}

pub(super) async fn put(link: &Link, request: &Command) -> Answer {
    put_one(link, json::read(&request.body)?).await
}

/// Several at once; the first that is refused ends it.
pub(super) async fn put_list(link: &Link, request: &Command) -> Answer {
    let list: GroupBodies = json::read(&request.body)?;
    for body in list.group_config_list {
        put_one(link, body).await?;
    }
    Ok(done())
}

async fn put_one(link: &Link, mut body: GroupBody) -> Answer {
    let changes = body.attributes.take().unwrap_or_default();
    let mut config = body.config()?;
    let ask = GroupRequest { group: config.name.clone() };
    if let Ok(before) = admin::run::<GroupGet>(link.engine(), &Session::internal(), ask).await {
        config.attributes = before.config.attributes;
    }
    for (key, value) in changes {
        // `+key` sets, `-key` removes, as in topics.
        match key.strip_prefix('-') {
            Some(key) => drop(config.attributes.remove(key)),
            None => drop(config.attributes.insert(key.trim_start_matches('+').to_owned(), value)),
        }
    }
    admin::run::<GroupPut>(link.engine(), &link.session, GroupPutRequest { config, update: true }).await?;
    Ok(done())
}

pub(super) async fn delete(link: &Link, request: &Command) -> Answer {
    let ask = GroupDeleteRequest {
        group: GroupName::new(request.fields.required("groupName")?)?,
        clean_offsets: request.fields.flag("cleanOffset"),
    };
    match admin::run::<GroupDelete>(link.engine(), &link.session, ask).await {
        Ok(_) | Err(AdminError::NotFound(_)) => Ok(done()),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn describe(link: &Link, name: &str) -> Result<GroupDescription, Failure> {
    let ask = GroupRequest { group: GroupName::new(name)? };
    match admin::run::<GroupGet>(link.engine(), &link.session, ask).await {
        Err(error @ AdminError::NotFound(_)) => {
            Err(Failure::from(error).coded(response::SUBSCRIPTION_GROUP_NOT_EXIST))
        }
        other => Ok(other?),
    }
}

pub(super) async fn get(link: &Link, request: &Command) -> Answer {
    let found = describe(link, request.fields.required("group")?).await?;
    Ok(success(Fields::new(), json::write(&GroupBody::from(&found.config))))
}

pub(super) async fn all(link: &Link) -> Answer {
    let ask = ListRequest { contains: None, all: true };
    let groups = admin::run::<GroupList>(link.engine(), &link.session, ask).await?;
    let fields = Fields::new().with("totalGroupNum", groups.len());
    let table = GroupTable {
        data_version: DataVersion::default(),
        forbidden_table: BTreeMap::new(),
        subscription_group_table: groups.iter().map(|g| (g.name.as_str().to_owned(), g.into())).collect(),
    };
    Ok(success(fields, json::write(&table)))
}
