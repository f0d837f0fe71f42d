//! Who there is, for those who ask at every call: read by many, written by the one who applies the log.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::policy::Policy;
use super::rules::Rules;
use super::user::{UserConfig, UserName};

/// A user and what it may do. Never changes: a change makes another one.
#[derive(Debug)]
pub struct Account {
    pub name: UserName,
    pub config: UserConfig,
    pub policies: Vec<Policy>,
    pub rules: Rules,
}

impl Account {
    fn new(name: UserName, config: UserConfig, policies: Vec<Policy>) -> Arc<Self> {
        let rules = Rules::of(&policies);
        Arc::new(Self { name, config, policies, rules })
    }
}

/// All users, by name.
#[derive(Debug, Default)]
pub struct Accounts {
    by_name: RwLock<BTreeMap<Arc<str>, Arc<Account>>>,
}

impl Accounts {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Account>>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, Arc<Account>>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Account>> {
        self.read().get(name).cloned()
    }

    #[must_use]
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.read().values().cloned().collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// A user is made or changed; its policies stay.
    pub fn put(&self, name: UserName, config: UserConfig) {
        let mut by_name = self.write();
        let policies = by_name.get(name.as_str()).map(|known| known.policies.clone()).unwrap_or_default();
        by_name.insert(Arc::clone(name.shared()), Account::new(name, config, policies));
    }

    /// The policies of a user, all of them. Of a user that is not there, nothing is kept.
    pub fn put_policies(&self, name: &UserName, policies: Vec<Policy>) {
        let mut by_name = self.write();
        if let Some(known) = by_name.get_mut(name.as_str()) {
            *known = Account::new(known.name.clone(), known.config.clone(), policies);
        }
    }

    /// A user goes, with its policies.
    pub fn remove(&self, name: &UserName) {
        self.write().remove(name.as_str());
    }
}
