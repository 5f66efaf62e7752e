//! Limits of a workspace.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::json::Json;
use super::read::Fields;

/// How much of the fleet a workspace may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Its share in line relative to other workspaces; default 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100, example = 1)]
    pub weight: u32,
    /// Jobs running at once in each queue; `null` is no cap.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_running: Option<u32>,
}

fn one() -> u32 {
    1
}

impl Limits {
    /// Reads limits; absent ones get their defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let weight = fields.integer("weight", 1, 100);
        let max_running = fields.integer("max_running", 1, 1_000_000);
        fields.finish()?;
        let small = |n: u64| u32::try_from(n).ok();
        Ok(Self { weight: weight.and_then(small).unwrap_or_else(one), max_running: max_running.and_then(small) })
    }
}
