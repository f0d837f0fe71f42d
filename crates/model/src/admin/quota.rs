//! Requests of the operations on quotas.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quota::QuotaScope;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QuotaRequest {
    pub scope: QuotaScope,
    /// `*`: the one for each that has no quota of its own.
    pub name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct QuotaListRequest {
    /// Only those of this scope.
    #[serde(default)]
    pub scope: Option<QuotaScope>,
}
