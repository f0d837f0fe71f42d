//! Administrative operations: one catalogue, from which the HTTP routes, the API description,
//! the command line and the permission checks derive.
//!
//! An operation is a type that implements [`AdminOp`]; its request and response types stand here
//! because several protocols use them. It is run by name through [`Admin`].

mod access;
mod events;
mod health;
mod history;
mod lists;
mod messages;
mod node;
mod page;
mod progress;
mod quota;
mod rates;
mod route;
pub mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod trace;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::error::{Kind, Kinded};
use crate::group::GroupConfig;
use crate::lite::{
    LiteClientDescription, LiteClientRequest, LiteDispatchRequest, LiteGroupDescription, LiteGroupRequest,
    LiteListRequest, LiteNodeDescription, LiteParentDescription, LiteParentRequest, LiteTopicDescription,
    LiteTopicPage, LiteTopicRequest,
};
use crate::names::{GroupName, TopicName};
use crate::quota::Quota;
use crate::session::Session;
use crate::topic::TopicConfig;

pub use access::{
    AccessRequest, AclCopyRequest, AclDeleteRequest, AclDescription, AclListRequest, AclPutRequest,
    ExplainRequest, Explanation, UserDescription, UserPutMode, UserPutRequest, UserRequest,
};
pub use events::{CloudEvent, EventListRequest, EventPage};
pub use health::{HealthItem, HealthListRequest, HealthReport, HealthSubject, Trouble};
pub use history::{History, HistoryPoint, HistoryRequest, Role, SessionDescription};
pub use lists::{
    GroupOrder, GroupPageAnswer, GroupPageRequest, GroupRow, QueueMove, ROWS_DEFAULT, ROWS_MAX, TopicOrder,
    TopicPageAnswer, TopicPageRequest, TopicRow,
};
pub use messages::{
    BODY_BYTES_DEFAULT, MESSAGES_DEFAULT, MESSAGES_MAX, MessageBrowseRequest, MessageGetRequest, MessagePage,
    MessageView, QueuePosition,
};
pub use node::{
    ClientDescription, ClientListRequest, NodeWrites, NodeWritesRequest, ProfileAnswer, ProfileRequest,
};
pub use page::page;
pub use progress::{GroupCloneOffsetsRequest, GroupResetRequest, GroupSkipRequest, QueueOffset, ResetTo};
pub use quota::{QuotaListRequest, QuotaRequest};
pub use rates::{NodeTraffic, Pace, RateOf, Rates, RatesListRequest, RatesRequest, RatesRow, Window};
pub use route::{HttpBody, HttpMethod, HttpRoute};
pub use settings::{ConfigPutRequest, ConfigRequest, Setting, Settings};
pub use trace::{
    GroupState, LifeInGroup, LifeStep, MessageLife, MessageTrace, MessageTraceRequest, Step, StepSource,
};

/// Runs operations by name.
#[async_trait]
pub trait Admin: Send + Sync + 'static {
    /// The catalogue, in a stable order.
    fn operations(&self) -> Vec<OperationInfo>;
    /// Runs an operation.
    async fn run(&self, session: &Session, operation: &str, request: Value) -> Result<Value, AdminError>;
}

/// Name, shape and need of an operation.
pub trait AdminOp {
    /// `topic.create`.
    const NAME: &'static str;
    const PERMISSION: AdminPermission;
    /// One line for people.
    const SUMMARY: &'static str;
    /// Where it stands as a resource over HTTP.
    const ROUTE: HttpRoute;
    type Request: Serialize + DeserializeOwned + JsonSchema + Send;
    type Response: Serialize + DeserializeOwned + JsonSchema + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AdminPermission {
    Read,
    Write,
}

#[derive(Debug, Clone, Serialize)]
pub struct OperationInfo {
    pub name: &'static str,
    pub permission: AdminPermission,
    pub summary: &'static str,
    pub route: HttpRoute,
    /// JSON schema of the request.
    #[serde(skip)]
    pub request: fn() -> Value,
    /// JSON schema of the response.
    #[serde(skip)]
    pub response: fn() -> Value,
}

impl OperationInfo {
    #[must_use]
    pub const fn of<O: AdminOp>() -> Self {
        Self {
            name: O::NAME,
            permission: O::PERMISSION,
            summary: O::SUMMARY,
            route: O::ROUTE,
            request: schema::of_request::<O::Request>,
            response: schema::of_response::<O::Response>,
        }
    }

    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(self.permission, AdminPermission::Write)
    }
}

#[derive(Debug, Clone, Error)]
pub enum AdminError {
    #[error("there is no operation `{0}`")]
    UnknownOperation(String),
    #[error("the request is malformed: {0}")]
    Invalid(String),
    #[error("{0} does not exist")]
    NotFound(String),
    #[error("{0} exists already")]
    Exists(String),
    #[error("{0}")]
    Denied(String),
    #[error("the engine cannot do it now: {0}")]
    Unavailable(String),
    #[error("internal error: {0}")]
    Internal(String),
}

impl Kinded for AdminError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownOperation(_) | Self::NotFound(_) => Kind::NotFound,
            Self::Invalid(_) => Kind::Invalid,
            Self::Exists(_) => Kind::Conflict,
            Self::Denied(_) => Kind::Denied,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }
}

/// Runs an operation with its own types.
///
/// # Errors
/// As [`Admin::run`]; also `Internal` if the answer has another shape than the operation says.
pub async fn run<O: AdminOp>(
    admin: &(impl Admin + ?Sized),
    session: &Session,
    request: O::Request,
) -> Result<O::Response, AdminError> {
    let request = serde_json::to_value(request).map_err(|e| AdminError::Internal(e.to_string()))?;
    let response = admin.run(session, O::NAME, request).await?;
    serde_json::from_value(response).map_err(|e| AdminError::Internal(e.to_string()))
}

macro_rules! operations {
    ($($(#[$doc:meta])* $op:ident = $name:literal, $permission:ident, $summary:literal, $request:ty => $response:ty
        as $method:ident $path:literal $($body:literal)?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $op;

            impl AdminOp for $op {
                const NAME: &'static str = $name;
                const PERMISSION: AdminPermission = AdminPermission::$permission;
                const SUMMARY: &'static str = $summary;
                const ROUTE: HttpRoute = HttpRoute::new(HttpMethod::$method, $path, concat!($($body)?));
                type Request = $request;
                type Response = $response;
            }
        )*

        /// Every operation, in a stable order. `docs/operations.md` shows it.
        pub const CATALOGUE: &[OperationInfo] = &[$(OperationInfo::of::<$op>()),*];
    };
}

operations! {
    /// Makes a topic, or changes it where `update` allows.
    TopicPut = "topic.put", Write, "Create or update a topic", TopicPutRequest => TopicConfig
        as Put "/topics/{topic=config.name}" "config";
    TopicGet = "topic.get", Read, "Describe a topic: configuration and queues", TopicRequest => TopicDescription
        as Get "/topics/{topic}";
    TopicList = "topic.list", Read, "List topics", ListRequest => Vec<TopicConfig>
        as Get "/topics";
    TopicPage = "topic.page", Read, "List topics with what is in them, page by page", TopicPageRequest => TopicPageAnswer
        as Get "/pages/topics";
    TopicDelete = "topic.delete", Write, "Delete a topic and its queues", TopicRequest => Done
        as Delete "/topics/{topic}";
    GroupPut = "group.put", Write, "Create or update a consumer group", GroupPutRequest => GroupConfig
        as Put "/groups/{group=config.name}" "config";
    GroupGet = "group.get", Read, "Describe a consumer group: configuration, members, progress", GroupRequest => GroupDescription
        as Get "/groups/{group}";
    GroupList = "group.list", Read, "List consumer groups", ListRequest => Vec<GroupConfig>
        as Get "/groups";
    GroupPage = "group.page", Read, "List consumer groups with how far they are, page by page", GroupPageRequest => GroupPageAnswer
        as Get "/pages/groups";
    GroupDelete = "group.delete", Write, "Delete a consumer group", GroupDeleteRequest => Done
        as Delete "/groups/{group}";
    /// Sends dead letters of a group to the topics that they came from.
    DeadLettersResend = "group.resend", Write, "Send dead letters of a consumer group to their original topics again", DeadLettersResendRequest => DeadLettersResent
        as Post "/groups/{group}/resend";
    GroupReset = "group.reset", Write, "Set a group's progress: by offset, by time, to either end", GroupResetRequest => Vec<QueueOffset>
        as Post "/groups/{group}/reset" "*";
    GroupPreview = "group.preview", Read, "Tell what setting a group's progress would do, without doing it", GroupResetRequest => Vec<QueueMove>
        as Post "/groups/{group}/reset/preview" "*";
    GroupSkip = "group.skip", Write, "Leave out all messages that wait for a group", GroupSkipRequest => Vec<QueueOffset>
        as Post "/groups/{group}/skip" "*";
    GroupCloneOffsets = "group.clone-offsets", Write, "Let a group go on where another one is", GroupCloneOffsetsRequest => Vec<QueueOffset>
        as Post "/groups/{group=to}/clone-offsets" "*";
    MessageGet = "message.get", Read, "Show a stored message", MessageGetRequest => MessageView
        as Get "/topics/{topic}/queues/{queue}/messages/{offset}";
    MessageBrowse = "message.browse", Read, "Show stored messages of a topic by place, time, key or id", MessageBrowseRequest => MessagePage
        as Post "/topics/{topic}/browse" "*";
    KeyValueGet = "kv.get", Read, "Read a name-server key", KeyValueRequest => Option<String>
        as Get "/kv/{namespace}/{key}";
    KeyValuePut = "kv.put", Write, "Set (or with no value delete) a name-server key", KeyValuePutRequest => Done
        as Put "/kv/{namespace}/{key}" "value";
    KeyValueList = "kv.list", Read, "All keys of a name-server namespace", KeyValueListRequest => std::collections::BTreeMap<String, String>
        as Get "/kv/{namespace}";
    /// Timed messages that wait, in the order in which they are due.
    TimerList = "timer.list", Read, "List timed messages of a topic that wait", TimerListRequest => TimerPage
        as Get "/topics/{topic}/timers";
    TimerDelete = "timer.delete", Write, "Cancel a timed message that waits", TimerDeleteRequest => TimerDeleted
        as Delete "/topics/{topic}/timers/{message_id}";
    LiteList = "lite.list", Read, "List the lite topics of a parent topic, page by page", LiteListRequest => LiteTopicPage
        as Get "/topics/{topic}/lite";
    LiteGet = "lite.get", Read, "Describe a lite topic: offsets and subscribers", LiteTopicRequest => LiteTopicDescription
        as Get "/topics/{topic}/lite/{lite_topic}";
    LiteDelete = "lite.delete", Write, "Delete a lite topic with its messages' index and all progress in it", LiteTopicRequest => Done
        as Delete "/topics/{topic}/lite/{lite_topic}";
    LiteParent = "lite.parent", Read, "Describe a parent of lite topics", LiteParentRequest => LiteParentDescription
        as Get "/lite/topics/{topic}";
    LiteNode = "lite.node", Read, "Count lite topics and subscriptions of this node", Empty => LiteNodeDescription
        as Get "/lite";
    LiteClient = "lite.client", Read, "Describe what a client subscribes to of a parent's lite topics", LiteClientRequest => LiteClientDescription
        as Get "/lite/topics/{topic}/groups/{group}/clients/{client_id}";
    LiteGroup = "lite.group", Read, "Describe how far a group is behind in lite topics", LiteGroupRequest => LiteGroupDescription
        as Get "/lite/groups/{group}";
    LiteDispatch = "lite.dispatch", Write, "Let clients look at all their lite topics again", LiteDispatchRequest => Done
        as Post "/lite/groups/{group}/dispatch";
    TransactionList = "transaction.list", Read, "List undecided transactions, oldest first", TransactionListRequest => Vec<TransactionDescription>
        as Get "/transactions";
    TransactionEnd = "transaction.end", Write, "Commit or roll back an undecided transaction", TransactionEndRequest => Done
        as Post "/transactions/{position}/end" "*";
    RatesGet = "rates.get", Read, "Tell what passed in the last minute, hour and day", RatesRequest => Rates
        as Get "/rates";
    RatesList = "rates.list", Read, "List the topics, or the groups in topics, that are busiest now", RatesListRequest => Vec<RatesRow>
        as Get "/rates/busiest";
    ClientList = "client.list", Read, "List connected clients and what they do", ClientListRequest => Vec<ClientDescription>
        as Get "/clients";
    /// Takes effect on routes that are asked for from now on, until the node starts again.
    NodeWritesPut = "node.writes", Write, "Send producers to this node, or keep them away from it", NodeWritesRequest => NodeWrites
        as Put "/node/writes" "*";
    /// Takes the place of the quota of the same scope and name.
    QuotaPut = "quota.put", Write, "Set a quota of a client, user, topic or namespace", Quota => Quota
        as Put "/quotas/{scope}/{name}" "*";
    QuotaGet = "quota.get", Read, "Show a quota", QuotaRequest => Quota
        as Get "/quotas/{scope}/{name}";
    QuotaList = "quota.list", Read, "List quotas", QuotaListRequest => Vec<Quota>
        as Get "/quotas";
    QuotaDelete = "quota.delete", Write, "Delete a quota", QuotaRequest => Done
        as Delete "/quotas/{scope}/{name}";
    ConfigGet = "config.get", Read, "List the settings in force", ConfigRequest => Vec<Setting>
        as Get "/config";
    /// Kept in the data folder. All of the changes are made, or none.
    ConfigPut = "config.put", Write, "Change settings while the node runs", ConfigPutRequest => Vec<Setting>
        as Put "/config" "settings";
    UserPut = "user.put", Write, "Create or update a user", UserPutRequest => Done
        as Put "/users/{user}" "*";
    UserGet = "user.get", Read, "Describe a user", UserRequest => Option<UserDescription>
        as Get "/users/{user}";
    UserList = "user.list", Read, "List users", AccessRequest => Vec<UserDescription>
        as Get "/users";
    UserDelete = "user.delete", Write, "Delete a user and its policies", UserRequest => Done
        as Delete "/users/{user}";
    /// An entry for a resource that has one already takes its place.
    AclPut = "acl.put", Write, "Add entries to the policies of a user", AclPutRequest => Done
        as Put "/users/{user}/policies" "policies";
    AclGet = "acl.get", Read, "Show the policies of a user", UserRequest => Option<AclDescription>
        as Get "/users/{user}/policies";
    AclList = "acl.list", Read, "Show the policies of all users", AclListRequest => Vec<AclDescription>
        as Get "/policies";
    AclDelete = "acl.delete", Write, "Delete an entry of a user's policies, or all of them", AclDeleteRequest => Done
        as Delete "/users/{user}/policies";
    AclCopy = "acl.copy", Write, "Lay the policies of a user over those of another one", AclCopyRequest => Done
        as Post "/users/{user=to}/policies/copy" "*";
    AclExplain = "acl.explain", Read, "Tell whether a user may do something, and which entry says so", ExplainRequest => Explanation
        as Get "/users/{user}/policies/explain";
    /// Looked at every few seconds; the answer is that of the last look.
    HealthList = "health.list", Read, "List what is at risk, riskiest first, with the reason and what to do", HealthListRequest => HealthReport
        as Get "/health";
    /// Put together from the records of the log, and from what 4.x clients wrote into the trace topic.
    MessageTraceGet = "message.trace", Read, "Tell the life of messages: sent, stored, delivered, settled", MessageTraceRequest => MessageTrace
        as Get "/trace";
    /// The newest, or those after an event; `GET /api/v1/events` is a stream of them.
    EventList = "event.list", Read, "List recent events of this node", EventListRequest => EventPage
        as Get "/events/recent";
    /// What it may do is told in a word, so that a page need not try.
    SessionGet = "session.get", Read, "Tell who asks, and what it may do", Empty => SessionDescription
        as Get "/session";
    NodeHistory = "node.history", Read, "Show a node's last hour", HistoryRequest => History
        as Get "/node/history";
    /// The kernel looks at the stacks of the threads that work, 99 times in each second of processor time; one call at
    /// a time. Where the system does not allow it, the answer says so, and what to allow.
    NodeProfile = "node.profile", Write, "Tell what this node spends its processor time on", ProfileRequest => ProfileAnswer
        as Post "/node/profile" "*";
    NodeInfo = "node.info", Read, "Describe this node", Empty => NodeDescription
        as Get "/node";
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicPutRequest {
    pub config: TopicConfig,
    /// `false`: fail with `Exists` if the topic is there.
    #[serde(default = "yes")]
    pub update: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicRequest {
    pub topic: TopicName,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ListRequest {
    /// Only names that contain this.
    #[serde(default)]
    pub contains: Option<String>,
    /// Also topics of the system, retries and dead letters.
    #[serde(default)]
    pub all: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TopicDescription {
    pub config: TopicConfig,
    pub queues: Vec<QueueState>,
    /// Groups that have progress in, or members subscribed to, the topic.
    pub groups: Vec<GroupName>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueueState {
    pub queue: u32,
    pub min_offset: u64,
    pub max_offset: u64,
    /// Store time of the newest message, Unix milliseconds; 0 if there is none.
    pub last_stored_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupPutRequest {
    pub config: GroupConfig,
    /// `false`: fail with `Exists` if the group is there.
    #[serde(default = "yes")]
    pub update: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupRequest {
    pub group: GroupName,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupDeleteRequest {
    pub group: GroupName,
    /// Also forget its offsets.
    #[serde(default)]
    pub clean_offsets: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GroupDescription {
    pub config: GroupConfig,
    pub members: Vec<MemberDescription>,
    pub progress: Vec<QueueProgress>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MemberDescription {
    pub client_id: String,
    pub address: String,
    pub language: String,
    pub protocol: String,
    pub topics: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueueProgress {
    pub topic: TopicName,
    pub queue: u32,
    pub min_offset: u64,
    pub max_offset: u64,
    /// First offset not yet handed out (receivers) or not yet committed (fetchers).
    pub next_offset: u64,
    /// First offset that is not settled.
    #[serde(default)]
    pub committed_offset: u64,
    pub in_flight: u64,
    /// Messages passed over because an earlier one of their message group is not settled.
    #[serde(default)]
    pub waiting: u64,
    /// Messages not yet settled.
    pub lag: u64,
}

/// Which dead letters are sent again: the one with an id, or a range of the queue, by default all of it.
/// What is sent again stays among the dead letters too, until retention deletes it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettersResendRequest {
    pub group: GroupName,
    /// Unique id of the message, as its first sender was told it. Then the range does not count.
    #[serde(default)]
    pub message_id: Option<String>,
    /// First offset in the dead letters.
    #[serde(default)]
    pub from_offset: Option<u64>,
    /// First offset that is left alone.
    #[serde(default)]
    pub to_offset: Option<u64>,
    /// Most messages of this call; the engine has a limit of its own.
    #[serde(default)]
    pub max: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettersResent {
    pub resent: u64,
    /// Dead letters that tell no original topic, or one that does not exist any more.
    pub skipped: u64,
    /// Where the next call goes on.
    pub next_offset: u64,
    /// Where the range ends.
    pub end_offset: u64,
    /// Why the call ended early, if it did.
    pub error: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyValueRequest {
    pub namespace: String,
    pub key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyValuePutRequest {
    pub namespace: String,
    pub key: String,
    pub value: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyValueListRequest {
    pub namespace: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TransactionListRequest {
    /// Only those of this topic.
    #[serde(default)]
    pub topic: Option<TopicName>,
    /// Only those of this producer group.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// Only those behind this position: the last of the answer before.
    #[serde(default)]
    pub after: Option<u64>,
    /// Most that are answered; 100 if left out, 1000 at most.
    #[serde(default)]
    pub max: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TransactionDescription {
    /// Position of the half message: names the transaction.
    pub position: u64,
    pub topic: String,
    pub queue: u32,
    pub producer_group: GroupName,
    /// The producer's id of the message.
    pub message_id: String,
    pub keys: String,
    /// Unix milliseconds.
    pub stored_ms: i64,
    /// When a producer is asked next, Unix milliseconds.
    pub next_check_ms: i64,
    /// How often a producer was asked.
    pub checks: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TransactionEndRequest {
    pub position: u64,
    pub outcome: DecidedOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecidedOutcome {
    Commit,
    Rollback,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TimerListRequest {
    pub topic: TopicName,
    /// Only what is due at or after this, Unix milliseconds.
    #[serde(default)]
    pub from_ms: Option<i64>,
    /// Only what is due before this, Unix milliseconds.
    #[serde(default)]
    pub to_ms: Option<i64>,
    /// Most timers of one answer; the node has a limit of its own.
    #[serde(default)]
    pub max: Option<usize>,
    /// `next` of the answer before, to go on from there.
    #[serde(default)]
    pub after: Option<String>,
}

/// A part of the timers that wait. Other topics' timers are looked at too, so a page can be empty
/// and still have a next one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TimerPage {
    /// By due time, to the minute.
    pub timers: Vec<TimerDescription>,
    /// Ask with `after` set to this for more; none at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TimerDescription {
    pub message_id: String,
    /// Unix milliseconds.
    pub due_ms: i64,
    /// When it was sent, Unix milliseconds.
    pub stored_ms: i64,
    pub queue: u32,
    pub keys: String,
    pub tags: String,
    pub body_bytes: usize,
    /// The cron expression of a recurring message.
    pub cron: Option<String>,
    /// How often a recurring message was fired.
    pub fired_times: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TimerDeleteRequest {
    pub topic: TopicName,
    pub message_id: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TimerDeleted {
    /// How many were cancelled: more than one if a producer sent the same message again.
    pub cancelled: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct NodeDescription {
    pub cluster: String,
    pub broker_name: String,
    pub version: String,
    pub log_start: u64,
    pub log_end: u64,
    pub log_committed: u64,
    pub topics: u64,
    pub groups: u64,
    /// Unix milliseconds.
    #[serde(default)]
    pub started_ms: i64,
    /// Of the disk that holds the log.
    #[serde(default)]
    pub disk_total_bytes: u64,
    #[serde(default)]
    pub disk_available_bytes: u64,
    /// What clients sent since the node started.
    #[serde(default)]
    pub sent: NodeTraffic,
    /// What groups received.
    #[serde(default)]
    pub received: NodeTraffic,
    /// Calls for messages that found none.
    #[serde(default)]
    pub missed: NodeTraffic,
}
