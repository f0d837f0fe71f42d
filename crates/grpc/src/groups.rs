//! Configurations of groups, remembered for a few seconds: a receive needs one each time. Asked for by the
//! node itself: a client that may consume need not be one that may look at the group.

use std::collections::HashMap;
use std::sync::Arc;

use model::admin::{self, GroupGet, GroupRequest};
use model::{AdminError, Engine, GroupConfig, GroupName, Session};
use parking_lot::RwLock;

use crate::limits::GROUPS_REMEMBERED_MAX;

#[derive(Clone)]
struct Remembered {
    config: Arc<GroupConfig>,
    until_ms: i64,
}

pub(crate) struct Groups {
    known: RwLock<HashMap<GroupName, Remembered>>,
    keep_ms: i64,
}

impl Groups {
    pub(crate) fn new(keep_ms: i64) -> Self {
        Self { known: RwLock::default(), keep_ms }
    }

    fn recall(&self, group: &GroupName, now_ms: i64) -> Option<Arc<GroupConfig>> {
        let known = self.known.read();
        known.get(group).filter(|known| now_ms < known.until_ms).map(|known| known.config.clone())
    }

    fn remember(&self, config: &Arc<GroupConfig>, now_ms: i64) {
        let mut known = self.known.write();
        if known.len() >= GROUPS_REMEMBERED_MAX {
            known.retain(|_, known| now_ms < known.until_ms);
        }
        if known.len() < GROUPS_REMEMBERED_MAX {
            let until_ms = now_ms.saturating_add(self.keep_ms);
            known.insert(config.name.clone(), Remembered { config: config.clone(), until_ms });
        }
    }

    /// The configuration as it was a few seconds ago at most; `None`: there is no such group.
    pub(crate) async fn get(
        &self,
        engine: &dyn Engine,
        group: &GroupName,
        now_ms: i64,
    ) -> Result<Option<Arc<GroupConfig>>, AdminError> {
        match self.recall(group, now_ms) {
            Some(config) => Ok(Some(config)),
            None => self.look_up(engine, group, now_ms).await,
        }
    }

    /// The configuration as it is now.
    pub(crate) async fn look_up(
        &self,
        engine: &dyn Engine,
        group: &GroupName,
        now_ms: i64,
    ) -> Result<Option<Arc<GroupConfig>>, AdminError> {
        let request = GroupRequest { group: group.clone() };
        match admin::run::<GroupGet>(engine, &Session::internal(), request).await {
            Ok(description) => {
                let config = Arc::new(description.config);
                self.remember(&config, now_ms);
                Ok(Some(config))
            }
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
