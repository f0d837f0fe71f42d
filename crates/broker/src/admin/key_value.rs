//! `kv.get`, `kv.put`, `kv.list`: the name server's key-value table, which tools use.

use std::collections::BTreeMap;

use model::Session;
use model::admin::{
    AdminError, Done, KeyValueGet, KeyValueList, KeyValueListRequest, KeyValuePut, KeyValuePutRequest,
    KeyValueRequest,
};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome};

impl Run for KeyValueGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: KeyValueRequest,
    ) -> Result<Option<String>, AdminError> {
        Ok(broker.state.key_value(&request.namespace, &request.key))
    }
}

impl Run for KeyValueList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: KeyValueListRequest,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        Ok(broker.state.key_values(&request.namespace))
    }
}

impl Run for KeyValuePut {
    async fn run(broker: &Broker, _: &Session, request: KeyValuePutRequest) -> Result<Done, AdminError> {
        let KeyValuePutRequest { namespace, key, value } = request;
        if namespace.is_empty() || key.is_empty() || namespace.contains('\0') || key.contains('\0') {
            return Err(AdminError::Invalid("namespace and key must be texts without NUL".to_owned()));
        }
        match broker.propose(Command::KeyValuePut { namespace, key, value }, 0).await? {
            Outcome::Done => Ok(Done {}),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}
