//! `quota.put`, `quota.get`, `quota.list`, `quota.delete`: how much clients, users, topics and
//! namespaces may take.

use model::Session;
use model::admin::{
    AdminError, Done, QuotaDelete, QuotaGet, QuotaList, QuotaListRequest, QuotaPut, QuotaRequest,
};
use model::quota::{Quota, QuotaScope};

use super::Run;
use crate::broker::Broker;
use crate::error::Failed;
use crate::machine::command::{Command, Outcome, Refusal};
use crate::machine::quotas::QuotaChange;

impl Run for QuotaPut {
    async fn run(broker: &Broker, _: &Session, request: Quota) -> Result<Quota, AdminError> {
        request.check().map_err(AdminError::Invalid)?;
        let change = QuotaChange::Put(request.clone());
        match broker.propose(Command::Quota(change), 0).await? {
            Outcome::Done => Ok(request),
            Outcome::Refused(Refusal::Illegal(why)) => Err(AdminError::Invalid(why)),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}

impl Run for QuotaGet {
    async fn run(broker: &Broker, _: &Session, request: QuotaRequest) -> Result<Quota, AdminError> {
        let QuotaRequest { scope, name } = request;
        let key = (scope, name);
        let limits = broker.state.quotas.rules().get(&key).copied();
        limits
            .map(|limits| Quota { scope, name: key.1.clone(), limits })
            .ok_or_else(|| missing(scope, &key.1))
    }
}

impl Run for QuotaList {
    async fn run(broker: &Broker, _: &Session, request: QuotaListRequest) -> Result<Vec<Quota>, AdminError> {
        let rules = broker.state.quotas.rules();
        let wanted = rules.iter().filter(|((scope, _), _)| request.scope.is_none_or(|only| *scope == only));
        Ok(wanted
            .map(|((scope, name), limits)| Quota { scope: *scope, name: name.clone(), limits: *limits })
            .collect())
    }
}

impl Run for QuotaDelete {
    async fn run(broker: &Broker, _: &Session, request: QuotaRequest) -> Result<Done, AdminError> {
        let QuotaRequest { scope, name } = request;
        let change = QuotaChange::Delete { scope, name: name.clone() };
        match broker.propose(Command::Quota(change), 0).await? {
            Outcome::Done => Ok(Done {}),
            Outcome::Refused(Refusal::NotFound) => Err(missing(scope, &name)),
            other => Err(Failed::unexpected(&other).into()),
        }
    }
}

fn missing(scope: QuotaScope, name: &str) -> AdminError {
    AdminError::NotFound(format!("a quota of {} `{name}`", scope.name()))
}
