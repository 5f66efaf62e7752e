//! The headers that a client may set on an outgoing request.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
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

/// A header name that a client may choose.
pub(super) fn name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text).map_err(|_| "headers: a name is not a valid header name")?;
    let text = name.as_str();
    if RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(format!("headers: `{text}` cannot be set"));
    }
    Ok(name)
}

/// The client's headers, checked.
pub(super) fn checked(given: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (text, value) in given {
        let name = name(text)?;
        if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(format!("headers: the value of `{name}` must be printable ASCII"));
        }
        let value = HeaderValue::try_from(value).map_err(|_| format!("headers: the value of `{name}` is not valid"))?;
        if headers.insert(name, value).is_some() {
            return Err("headers: a name occurs twice".into());
        }
    }
    Ok(headers)
}

/// JSON Schema of the headers.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "maxProperties": MAX_HEADERS,
        "propertyNames": {"minLength": 1, "maxLength": 64},
        "additionalProperties": {"type": "string", "maxLength": 1024},
        "description": "Extra request headers. Credentials and webhook-* cannot be set."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&str, &str)]) -> Result<HeaderMap, String> {
        checked(&given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn harmless_headers_pass() {
        assert_eq!(headers(&[("X-Trace", "a b")]).unwrap()["x-trace"], "a b");
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
            assert!(headers(&[(name, value)]).is_err(), "{name}: {value:?}");
        }
        assert!(headers(&[("x-a", "1"), ("X-A", "2")]).is_err());
    }
}
