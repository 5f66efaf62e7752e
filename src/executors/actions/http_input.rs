//! The input of `http.request`.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::EffectClass;

use super::request_headers;

/// Statuses that a job may expect.
const STATUSES: usize = 20;

/// Input of one `http.request` job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpInput {
    /// Not yet checked.
    #[serde(default = "get")]
    pub(super) method: String,
    /// Not yet checked.
    pub(super) url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON, sent byte for byte as the client wrote it.
    #[serde(default)]
    pub(super) body: Option<Box<RawValue>>,
    /// Any other body.
    #[serde(default)]
    pub(super) text: Option<String>,
    /// What the text is.
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    pub(super) credential: Option<String>,
    #[serde(default)]
    idempotency_key_header: Option<String>,
    /// Empty: any 2xx.
    #[serde(default)]
    pub(super) expect_status: Vec<u16>,
}

fn get() -> String {
    "GET".to_owned()
}

/// An input that fits together.
pub(super) struct Checked {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) class: EffectClass,
    /// The header that carries the effect's key.
    pub(super) key_header: Option<HeaderName>,
}

impl HttpInput {
    /// Checks all but the URL.
    pub(super) fn check(&self) -> Result<Checked, String> {
        let method = match self.method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return Err("method: must be GET, HEAD, POST, PUT, PATCH or DELETE".to_owned()),
        };
        if self.body.is_some() && self.text.is_some() {
            return Err("body and text: only one of them".to_owned());
        }
        let has_body = self.body.is_some() || self.text.is_some();
        if has_body && matches!(method, Method::GET | Method::HEAD) {
            return Err("body: GET and HEAD have none".to_owned());
        }
        if self.content_type.is_some() && self.text.is_none() {
            return Err("content_type: goes with text only".to_owned());
        }
        let mut headers = request_headers::checked(&self.headers)?;
        if let Some(kind) = self.content_type() {
            let value = HeaderValue::try_from(kind).map_err(|_| "content_type: not a valid header value")?;
            headers.insert(header::CONTENT_TYPE, value);
        }
        let key_header = self.idempotency_key_header.as_deref().map(request_headers::name).transpose()?;
        if key_header.as_ref().is_some_and(|name| headers.contains_key(name)) {
            return Err("idempotency_key_header: this header is set by `headers` already".to_owned());
        }
        let class = class(&method, key_header.is_some());
        Ok(Checked { method, headers, class, key_header })
    }

    fn content_type(&self) -> Option<&str> {
        match (&self.body, &self.text) {
            (Some(_), _) => Some("application/json"),
            (None, Some(_)) => Some(self.content_type.as_deref().unwrap_or("text/plain; charset=utf-8")),
            (None, None) => None,
        }
    }
}

/// RFC 9110 §9.2.2: GET, HEAD, PUT and DELETE are idempotent, POST and PATCH are not, unless the other side honours a
/// key.
fn class(method: &Method, keyed: bool) -> EffectClass {
    match *method {
        Method::POST | Method::PATCH if keyed => EffectClass::Keyed,
        Method::POST | Method::PATCH => EffectClass::Once,
        _ => EffectClass::Repeatable,
    }
}

/// JSON Schema of the input.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "properties": {
            "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "description": "Default: GET."},
            "url": {
                "type": "string", "minLength": 1, "maxLength": 2048,
                "description": "http or https; the host must be on the server's list (HTTP_ALLOWED_HOSTS)."
            },
            "headers": request_headers::schema(),
            "body": {"description": "Any JSON value; sent as it is."},
            "text": {"type": "string", "maxLength": 200_000, "description": "A body that is no JSON."},
            "content_type": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$"},
            "credential": {
                "type": "string", "minLength": 1, "maxLength": 64,
                "description": "The workspace's credential of kind `http_header`; sent to its own host only."
            },
            "idempotency_key_header": {
                "type": "string", "minLength": 1, "maxLength": 64,
                "description": "Name of the header that carries the key of this job's effect, such as \
                                Idempotency-Key. With it a POST or PATCH is tried again after a lost answer; without \
                                it the job is held then."
            },
            "expect_status": {
                "type": "array", "maxItems": STATUSES, "items": {"type": "integer", "minimum": 200, "maximum": 599},
                "description": "Default: any 2xx."
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: Value) -> Result<Checked, String> {
        HttpInput::deserialize(&input).map_err(|e| e.to_string())?.check()
    }

    #[test]
    fn the_method_and_a_key_decide_what_a_lost_answer_leads_to() {
        let key = json!("Idempotency-Key");
        for (method, keyed, wanted) in [
            ("GET", false, EffectClass::Repeatable),
            ("HEAD", false, EffectClass::Repeatable),
            ("PUT", false, EffectClass::Repeatable),
            ("DELETE", true, EffectClass::Repeatable),
            ("POST", false, EffectClass::Once),
            ("PATCH", false, EffectClass::Once),
            ("POST", true, EffectClass::Keyed),
            ("PATCH", true, EffectClass::Keyed),
        ] {
            let mut input = json!({"method": method, "url": "https://x"});
            if keyed {
                input["idempotency_key_header"] = key.clone();
            }
            assert_eq!(check(input).map(|checked| checked.class).unwrap(), wanted, "{method}");
        }
    }

    #[test]
    fn inputs_that_do_not_fit_together_are_refused() {
        for (more, word) in [
            (json!({"method": "TRACE"}), "method"),
            (json!({"method": "get"}), "method"),
            (json!({"body": {}}), "GET"),
            (json!({"method": "POST", "body": {}, "text": "x"}), "only one"),
            (json!({"method": "POST", "body": {}, "content_type": "text/x"}), "content_type"),
            (json!({"method": "POST", "text": "x", "content_type": "a\r\nb: c"}), "content_type"),
            (json!({"headers": {"Authorization": "x"}}), "cannot be set"),
            (json!({"idempotency_key_header": "Host"}), "cannot be set"),
            (json!({"idempotency_key_header": "X-A", "headers": {"x-a": "1"}}), "already"),
        ] {
            let mut input = json!({"url": "https://x"});
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let refusal = check(input).err().unwrap_or_default();
            assert!(refusal.contains(word), "{more}: {refusal}");
        }
    }
}
