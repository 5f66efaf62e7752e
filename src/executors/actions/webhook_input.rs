//! The input of `webhook.send`: its schema, and the headers a client may set.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Headers a client may add.
const MAX_HEADERS: usize = 16;

/// Names that belong to the transport, to the signature, or to credentials. Credentials are refused
/// because a job's input is stored and shown; the signature authenticates the sender.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

/// Prefixes of reserved names.
const RESERVED_PREFIXES: &[&str] = &["webhook-", "proxy-", "sec-", "x-forwarded-", "x-windlass-"];

/// Input of one `webhook.send` job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookInput {
    /// Where to; not yet checked.
    pub(super) url: String,
    /// Sent byte for byte as the client wrote it.
    pub(super) payload: Box<RawValue>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

impl WebhookInput {
    /// The client's headers, checked.
    pub(super) fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| "headers: a name is not a valid header name")?;
            let text = name.as_str();
            if RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
                return Err(format!("headers: `{text}` cannot be set"));
            }
            if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                return Err(format!("headers: the value of `{text}` must be printable ASCII"));
            }
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("headers: the value of `{text}` is not valid"))?;
            if headers.insert(name, value).is_some() {
                return Err("headers: a name occurs twice".into());
            }
        }
        Ok(headers)
    }
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
                "description": "http or https; the host must be on the server's list of allowed webhook hosts."
            },
            "payload": {"description": "Any JSON value; posted as it is."},
            "headers": {
                "type": "object",
                "maxProperties": MAX_HEADERS,
                "propertyNames": {"minLength": 1, "maxLength": 64},
                "additionalProperties": {"type": "string", "maxLength": 1024},
                "description": "Extra request headers. Credentials and webhook-* cannot be set."
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(headers: Value) -> Result<HeaderMap, String> {
        let input = json!({"url": "http://x", "payload": {}, "headers": headers});
        WebhookInput::deserialize(&input).unwrap().headers()
    }

    #[test]
    fn harmless_headers_pass() {
        assert_eq!(headers(json!({"X-Trace": "a b"})).unwrap()["x-trace"], "a b");
    }

    #[test]
    fn headers_cannot_forge_or_smuggle() {
        for (name, value) in [
            ("Host", "x"),
            ("webhook-id", "x"),
            ("Webhook-Signature", "v1,x"),
            ("Authorization", "Bearer x"),
            ("Proxy-Authorization", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "0"),
            ("a b", "x"),
            ("a:", "x"),
            ("x", "a\r\nhost: y"),
            ("x", "\u{1b}[2J"),
            ("x", "ä"),
        ] {
            assert!(headers(json!({name: value})).is_err(), "{name}: {value:?}");
        }
        assert!(headers(json!({"x-a": "1", "X-A": "2"})).is_err());
    }
}
