//! Users and policies put to work: who a caller is, and what it may do.
//!
//! ```text
//! request -> protocol: user and signature -> Authenticate -> Session.user
//! call    -> Permit::may: needs of the action (needs) -> rules of the user -> yes, or RocketMQ's text
//! user.*  -> prepare: passwords are sealed before the engine sees them (operations)
//! ```
//! Nothing is remembered of a decision: the rules are ready to be asked, and a change of a user or a
//! policy counts from the next call on. What is remembered is each user's key, opened once.
//!
//! Reading order: `needs`, `operations`.

mod needs;
mod operations;

use std::collections::HashMap;
use std::sync::Arc;

use base::Seal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::Session;
use model::access::rules::Wish;
use model::access::{Account, Accounts, Actions, Authenticate, ResourceKind, Stranger, UserKind, UserStatus};
use model::admin::AdminError;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::Value;
use sha1::Sha1;

use crate::permit::{Action, Permit};

/// Room for keys of users that have just been deleted, before these are looked for.
const KEYS_SPARE: usize = 64;
/// What both passwords are made to sign, so that they are compared without telling where they differ.
const CHALLENGE: &[u8] = b"basic";

/// How access is controlled.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    pub is_enabled: bool,
    /// Super users are told passwords.
    pub shows_passwords: bool,
    /// The cluster's name, as policies on it name it.
    pub cluster: String,
}

/// Decides by users and policies.
pub struct Access {
    config: AccessConfig,
    accounts: Arc<Accounts>,
    seal: Seal,
    keys: RwLock<HashMap<Arc<str>, Key>>,
    strangers: Counter,
}

/// A user's opened secret; good for this very account only.
struct Key {
    account: Arc<Account>,
    mac: Hmac<Sha1>,
}

impl Access {
    #[must_use]
    pub fn new(config: AccessConfig, accounts: Arc<Accounts>, seal: Seal) -> Self {
        Self { config, accounts, seal, keys: RwLock::default(), strangers: Counter::default() }
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        let help = "Calls whose caller did not prove to be who it said";
        registry.register("authentication_failures", help, self.strangers.clone());
    }

    /// A password under the node's key.
    ///
    /// # Errors
    /// If there is no chance to be had.
    pub fn seal(&self, user: &str, password: &str) -> Result<String, AdminError> {
        self.seal.seal(user, password).map_err(|error| AdminError::Internal(error.to_string()))
    }

    fn enabled_account(&self, user: &str) -> Result<Arc<Account>, Stranger> {
        if user.is_empty() {
            return Err(Stranger::Nobody);
        }
        let account = self.accounts.get(user).ok_or_else(|| Stranger::Unknown(user.to_owned()))?;
        if account.config.status == UserStatus::Disable {
            return Err(Stranger::Disabled(user.to_owned()));
        }
        Ok(account)
    }

    /// The account and its key, which is opened if it was not yet.
    fn key(&self, user: &str) -> Result<(Arc<Account>, Hmac<Sha1>), Stranger> {
        let account = self.enabled_account(user)?;
        if let Some(key) = self.keys.read().get(user).filter(|key| Arc::ptr_eq(&key.account, &account)) {
            return Ok((account, key.mac.clone()));
        }
        let Some(secret) = self.seal.open(user, &account.config.sealed) else {
            tracing::error!(
                user,
                "a password cannot be opened: the key in the data folder is not the one it was sealed with"
            );
            return Err(Stranger::Signature);
        };
        let mac = Hmac::new_from_slice(secret.as_bytes()).map_err(|_| Stranger::Signature)?;
        let mut keys = self.keys.write();
        if keys.len() > self.accounts.len() + KEYS_SPARE {
            keys.retain(|user, _| self.accounts.get(user).is_some());
        }
        let key = Key { account: Arc::clone(&account), mac: Hmac::clone(&mac) };
        keys.insert(Arc::clone(account.name.shared()), key);
        Ok((account, mac))
    }

    fn counted<T>(&self, outcome: Result<T, Stranger>) -> Result<T, Stranger> {
        if let Err(stranger) = &outcome {
            self.strangers.inc();
            tracing::debug!(%stranger, "a caller is not who it says");
        }
        outcome
    }

    /// Whom the rules are asked for; `None`: everything is allowed.
    fn subject(&self, session: &Session) -> Result<Option<Arc<Account>>, String> {
        if !self.config.is_enabled || is_own(session) {
            return Ok(None);
        }
        let user = session.user.as_deref().ok_or_else(|| Stranger::Nobody.to_string())?;
        let account = self.enabled_account(user).map_err(|stranger| stranger.to_string())?;
        Ok((account.config.kind != UserKind::Super).then_some(account))
    }
}

/// A part of the node itself asks.
fn is_own(session: &Session) -> bool {
    session.protocol == Session::INTERNAL
}

fn decide(
    account: &Account,
    session: &Session,
    kind: ResourceKind,
    name: &str,
    actions: Actions,
) -> Result<(), String> {
    let from = session.peer.ip().to_canonical();
    let verdict = account.rules.decide(&Wish { kind, name, actions, from });
    if verdict.allows() {
        return Ok(());
    }
    let (user, reason) = (&account.name, verdict.reason());
    Err(format!("User:{user} has no permission to access {kind}:{name} from {from}, {reason}"))
}

impl Authenticate for Access {
    fn is_required(&self) -> bool {
        self.config.is_enabled
    }

    fn signed(&self, user: &str, content: &[u8], signature: &[u8]) -> Result<Arc<str>, Stranger> {
        let outcome = self.key(user).and_then(|(account, mut mac)| {
            mac.update(content);
            mac.verify_slice(signature).map_err(|_| Stranger::Signature)?;
            Ok(Arc::clone(account.name.shared()))
        });
        self.counted(outcome)
    }

    fn password(&self, user: &str, password: &str) -> Result<Arc<str>, Stranger> {
        let outcome = self.key(user).and_then(|(account, mut own)| {
            let mut said =
                Hmac::<Sha1>::new_from_slice(password.as_bytes()).map_err(|_| Stranger::Signature)?;
            said.update(CHALLENGE);
            own.update(CHALLENGE);
            own.verify(&said.finalize().into_bytes()).map_err(|_| Stranger::Signature)?;
            Ok(Arc::clone(account.name.shared()))
        });
        self.counted(outcome)
    }
}

impl Permit for Access {
    fn may(&self, session: &Session, action: Action<'_>) -> Result<(), String> {
        let Some(account) = self.subject(session)? else { return Ok(()) };
        needs::each(action, &self.config.cluster, &mut |kind, name, actions| {
            decide(&account, session, kind, name, actions)
        })
    }

    fn prepare(&self, session: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
        operations::prepare(self, session, operation, request)
    }

    fn finish(&self, session: &Session, operation: &str, answer: Value) -> Value {
        operations::finish(self, session, operation, answer)
    }
}
