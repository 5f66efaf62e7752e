//! The input of `webhook.send`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::request_headers;

/// Input of one `webhook.send` job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookInput {
    /// Where to; not yet checked.
    pub(super) url: String,
    /// Sent byte for byte as the client wrote it.
    pub(super) payload: Box<RawValue>,
    /// Not yet checked.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// The workspace's credential whose keys sign, instead of those of the settings.
    #[serde(default)]
    pub(super) credential: Option<String>,
}

/// JSON Schema of the input.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["url", "payload"],
        "additionalProperties": false,
        "properties": {
            "url": {
                "type": "string", "minLength": 1, "maxLength": 2048,
                "description": "http or https; the host must be on the server's list (WEBHOOK_ALLOWED_HOSTS)."
            },
            "payload": {"description": "Any JSON value; posted as it is."},
            "headers": request_headers::schema(),
            "credential": {
                "type": "string", "minLength": 1, "maxLength": 64,
                "description": "The workspace's credential of kind `webhook` whose keys sign; without it those of the \
                                server's settings do."
            }
        }
    })
}
