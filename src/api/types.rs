//! Job types.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A job type that this server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Type")]
pub struct TypeView {
    /// Its name.
    #[serde(rename = "type")]
    pub name: String,
    /// What it does, in a line.
    pub summary: String,
    /// JSON Schema (2020-12) of `input`.
    pub input_schema: serde_json::Value,
    /// Run deadline of one attempt unless the job says otherwise.
    pub timeout_ms: u64,
    /// Attempts unless the job says otherwise.
    pub max_attempts: u32,
    /// Whether it has effects outside, and so needs to be on the list of allowed actions.
    pub is_action: bool,
    /// Whether jobs of it are accepted.
    pub allowed: bool,
}

/// All types, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TypeList {
    /// The types.
    pub types: Vec<TypeView>,
}
