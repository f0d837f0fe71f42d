//! `acl.list`: the policies of all users that have some.

use model::Session;
use model::admin::{AclDescription, AclList, AclListRequest, AdminError};

use super::Run;
use crate::broker::Broker;

impl Run for AclList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: AclListRequest,
    ) -> Result<Vec<AclDescription>, AdminError> {
        let subject = request.subject_contains.unwrap_or_default();
        let resource = request.resource_contains.unwrap_or_default();
        let mut found = Vec::new();
        for account in broker.accounts().all() {
            if !format!("User:{}", account.name).contains(&subject) {
                continue;
            }
            let mut policies = account.policies.clone();
            for policy in &mut policies {
                policy.entries.retain(|entry| entry.resource.to_string().contains(&resource));
            }
            policies.retain(|policy| !policy.entries.is_empty());
            if !policies.is_empty() {
                found.push(AclDescription { user: account.name.clone(), policies });
            }
        }
        Ok(found)
    }
}
