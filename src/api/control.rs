//! Controls of the whole fleet.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use super::read::Fields;
use super::{ErrorCode, Problem};

/// An order holds this long unless it says otherwise: a forgotten one would fill disks.
pub const LOG_LEVEL_SECONDS: u64 = 600;

/// The longest that an order holds: a day.
pub const LOG_LEVEL_MOST: u64 = 86_400;

/// The longest level.
const LEVEL: usize = 500;

/// What every process is to log for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLogLevel {
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`, or directives such as `info,windlass::http=debug`.
    #[schema(example = "debug", max_length = 500)]
    pub level: String,
    /// For how long; 600 if it is left out.
    #[schema(minimum = 1, maximum = 86_400)]
    pub for_seconds: Option<u64>,
}

impl SetLogLevel {
    /// Reads an order. Whether the level makes sense is for others to say.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        if !fields.has("level") {
            fields.take("level");
            fields.fail(ErrorCode::MissingField, "level", "is required");
        }
        let level = fields.short_text("level", LEVEL).unwrap_or_default();
        let for_seconds = fields.integer("for_seconds", 1, LOG_LEVEL_MOST);
        fields.finish()?;
        Ok(Self { level, for_seconds })
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLevel {
    /// What is in force: the order, or the settings of this API process.
    pub level: String,
    /// The settings of this API process; other processes may have others.
    pub configured: String,
    /// When every process goes back to its settings, by Redis' clock; `null` without an order.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Who gave the order.
    pub by: Option<String>,
}
