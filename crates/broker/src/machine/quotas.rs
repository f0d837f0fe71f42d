//! Quotas: records of the catalogue, and objects that are written at once.

use model::limits::QUOTAS_MAX;
use model::quota::{Quota, QuotaScope};
use replica::{Decision, Proposal};
use store::Views;

use super::BrokerMachine;
use super::command::{Outcome, Refusal};
use super::records::Catalogue;

/// A wish to change a quota.
#[derive(Debug)]
pub enum QuotaChange {
    Put(Quota),
    Delete { scope: QuotaScope, name: String },
}

fn object_key(scope: QuotaScope, name: &str) -> Vec<u8> {
    [b"u/", scope.name().as_bytes(), b"/", name.as_bytes()].concat()
}

impl BrokerMachine {
    pub(super) fn change_quota(
        &mut self,
        change: QuotaChange,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        let rules = self.state.quotas.rules();
        let change = match change {
            QuotaChange::Put(quota) => {
                let is_new = !rules.contains_key(&(quota.scope, quota.name.clone()));
                if is_new && rules.len() >= QUOTAS_MAX {
                    return Decision::Now(Outcome::Refused(Refusal::Illegal(format!(
                        "there are {QUOTAS_MAX} quotas already: delete some first"
                    ))));
                }
                Catalogue::QuotaPut { quota }
            }
            QuotaChange::Delete { scope, name } => {
                if !rules.contains_key(&(scope, name.clone())) {
                    return Decision::Now(Outcome::Refused(Refusal::NotFound));
                }
                Catalogue::QuotaDelete { scope, name }
            }
        };
        drop(rules);
        self.change(&change, proposal)
    }

    pub(super) fn apply_quota_put(&self, views: &mut Views, quota: Quota) {
        let value = serde_json::to_vec(&quota).expect("a quota is plain data");
        views.put_object(&object_key(quota.scope, &quota.name), &value);
        self.state.quotas.put(quota);
    }

    pub(super) fn apply_quota_delete(&self, views: &mut Views, scope: QuotaScope, name: &str) {
        views.remove_object(&object_key(scope, name));
        self.state.quotas.delete(scope, name);
    }
}
