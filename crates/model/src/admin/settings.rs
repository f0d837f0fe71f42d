//! Shapes of operations on a node's settings, and the door behind which the node keeps them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AdminError;

/// A node's settings, as far as operations see them.
pub trait Settings: Send + Sync + 'static {
    /// All settings in force, by name.
    fn list(&self) -> Vec<Setting>;
    /// Changes some, all or none, for good: checks them, keeps them, puts them into force.
    /// Without a value a setting is again what the configuration file (or its default) says.
    ///
    /// # Errors
    /// If one does not exist, cannot be changed while the node runs, or does not fit.
    fn change(&self, changes: BTreeMap<String, Option<Value>>) -> Result<Vec<Setting>, AdminError>;
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRequest {
    /// Only names that contain this.
    #[serde(default)]
    pub contains: Option<String>,
    /// Only what `config.put` has changed.
    #[serde(default)]
    pub changed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConfigPutRequest {
    /// Values by name, as `store.retention_ms`. `null`: again what the configuration file says.
    pub settings: BTreeMap<String, Option<Value>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// `section.key`
    pub name: String,
    /// In force; `null` if there is none. What is secret is masked.
    pub value: Option<Value>,
    /// Can be changed while the node runs.
    pub live: bool,
    /// What the configuration says, where `config.put` has changed it.
    #[serde(default)]
    pub configured: Option<Value>,
    #[serde(default)]
    pub changed: bool,
}
