//! Users and policies: records of the catalogue, and objects that are written at once.

use std::sync::Arc;

use model::access::policy::{self, Policy, PolicyKind};
use model::access::{Account, Resource, UserConfig, UserKind, UserName, UserStatus};
use model::admin::UserPutMode;
use model::limits::USERS_MAX;
use replica::{Decision, Proposal};
use serde::{Deserialize, Serialize};
use store::Views;

use super::BrokerMachine;
use super::command::{Outcome, Refusal};
use super::records::Catalogue;

/// A wish to change a user or its policies.
#[derive(Debug)]
pub enum AccessChange {
    PutUser {
        user: UserName,
        sealed: Option<String>,
        kind: Option<UserKind>,
        status: Option<UserStatus>,
        mode: UserPutMode,
    },
    DeleteUser {
        user: UserName,
    },
    /// Lays policies over those that are there.
    PutPolicies {
        user: UserName,
        policies: Vec<Policy>,
    },
    DeletePolicies {
        user: UserName,
        kind: PolicyKind,
        /// All, if none is named.
        resource: Option<Resource>,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    config: UserConfig,
    policies: Vec<Policy>,
}

fn key(user: &UserName) -> Vec<u8> {
    [b"a/", user.as_str().as_bytes()].concat()
}

fn refused(refusal: Refusal) -> Decision<Outcome> {
    Decision::Now(Outcome::Refused(refusal))
}

impl BrokerMachine {
    pub(super) fn change_access(
        &mut self,
        change: AccessChange,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        match self.access_change(change) {
            Ok(change) => self.change(&change, proposal),
            Err(refusal) => refused(refusal),
        }
    }

    /// What a wish comes to now, as a change of the catalogue.
    fn access_change(&self, change: AccessChange) -> Result<Catalogue, Refusal> {
        let known = |user: &UserName| self.state.accounts.get(user.as_str());
        match change {
            AccessChange::PutUser { user, sealed, kind, status, mode } => {
                let before = known(&user).map(|account| account.config.clone());
                match (&before, mode) {
                    (Some(_), UserPutMode::Create) => return Err(Refusal::Exists),
                    (None, UserPutMode::Update) => return Err(Refusal::NotFound),
                    _ => {}
                }
                if before.is_none() && self.state.accounts.len() >= USERS_MAX {
                    return Err(Refusal::Illegal(format!(
                        "there are {USERS_MAX} users, more are not allowed"
                    )));
                }
                let sealed = sealed.or_else(|| before.as_ref().map(|before| before.sealed.clone()));
                // The text is RocketMQ's.
                let sealed =
                    sealed.ok_or_else(|| Refusal::Illegal("password can not be blank".to_owned()))?;
                let kind = kind.or_else(|| Some(before.as_ref()?.kind)).unwrap_or(UserKind::Normal);
                let status = status.or_else(|| Some(before.as_ref()?.status)).unwrap_or(UserStatus::Enable);
                Ok(Catalogue::UserPut { user, config: UserConfig { kind, status, sealed } })
            }
            AccessChange::DeleteUser { user } => match known(&user) {
                Some(_) => Ok(Catalogue::UserDelete { user }),
                None => Err(Refusal::NotFound),
            },
            AccessChange::PutPolicies { user, policies } => {
                let mut all = known(&user).ok_or(Refusal::NotFound)?.policies.clone();
                policy::merge(&mut all, policies);
                policy::check_size(&all).map_err(Refusal::Illegal)?;
                Ok(Catalogue::PoliciesPut { user, policies: all })
            }
            AccessChange::DeletePolicies { user, kind, resource } => {
                let mut left = known(&user).ok_or(Refusal::NotFound)?.policies.clone();
                match resource {
                    None => left.clear(),
                    Some(resource) => policy::remove(&mut left, kind, &resource),
                }
                Ok(Catalogue::PoliciesPut { user, policies: left })
            }
        }
    }

    pub(super) fn apply_access(&mut self, views: &mut Views, change: Catalogue) {
        let accounts = Arc::clone(&self.state.accounts);
        let user = match change {
            Catalogue::UserPut { user, config } => {
                accounts.put(user.clone(), config);
                user
            }
            Catalogue::PoliciesPut { user, policies } => {
                accounts.put_policies(&user, policies);
                user
            }
            Catalogue::UserDelete { user } => {
                accounts.remove(&user);
                user
            }
            _ => return,
        };
        match accounts.get(user.as_str()) {
            Some(account) => views.put_object(&key(&user), &stored(&account)),
            None => views.remove_object(&key(&user)),
        }
    }

    pub(super) fn load_account(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let name = String::from_utf8_lossy(key.get(2..).unwrap_or_default());
        let user: UserName = name.parse()?;
        let Stored { config, policies } = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        self.state.accounts.put(user.clone(), config);
        self.state.accounts.put_policies(&user, policies);
        Ok(())
    }
}

fn stored(account: &Account) -> Vec<u8> {
    let stored = Stored { config: account.config.clone(), policies: account.policies.clone() };
    serde_json::to_vec(&stored).expect("a user is plain data")
}
