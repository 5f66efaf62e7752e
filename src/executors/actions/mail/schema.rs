//! JSON Schema of a mail, for each of the ways out.

use serde_json::{Value, json};

/// A way out; some fields belong to one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The Gmail API.
    Gmail,
    /// A mail server.
    Smtp,
    /// Microsoft Graph.
    Outlook,
}

/// Recipients in all.
pub(super) const MAX_RECIPIENTS: usize = 100;

/// Files of one mail.
pub(super) const MAX_ATTACHMENTS: usize = 10;

/// RFC 5322 §2.1.1: the longest line.
pub(super) const SUBJECT_LIMIT: usize = 998;

/// Headers a client may add. Exchange takes five ("Maximum number of headers in one message should be less than or equal
/// to 5"), and each becomes a property of the mailbox for good.
pub(super) const MAX_HEADERS: usize = 5;

/// JSON Schema of the input.
pub(super) fn schema(way: Way) -> Value {
    let parties =
        |least: usize| json!({"type": "array", "minItems": least, "maxItems": MAX_RECIPIENTS, "items": party()});
    let mut properties = json!({
        "to": parties(1),
        "cc": parties(0),
        "bcc": parties(0),
        "subject": {"type": "string", "maxLength": SUBJECT_LIMIT},
        "text": {"type": "string", "description": "The plain text; at least one of text and html."},
        "html": {"type": "string", "description": "The HTML; sent as it is."},
        "from": party(),
        "reply_to": party(),
        "headers": {
            "type": "object",
            "maxProperties": MAX_HEADERS,
            "propertyNames": {"pattern": "^[Xx]-[A-Za-z0-9-]{1,62}$"},
            "additionalProperties": {"type": "string", "maxLength": 512},
            "description": "Headers of your own; their names begin with X-."
        },
        "attachments": {"type": "array", "maxItems": MAX_ATTACHMENTS, "items": attachment()},
        "credential": {"type": "string", "minLength": 1, "maxLength": 64,
            "description": "The credential's name; the only one of its kind, or `default`, when left out."}
    });
    let message_id = json!({"type": "string", "minLength": 5, "maxLength": 250});
    if way != Way::Outlook {
        properties["in_reply_to"] = message_id.clone();
        properties["references"] = json!({"type": "array", "maxItems": 50, "items": message_id});
    }
    match way {
        Way::Gmail => properties["thread_id"] = json!({"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}),
        Way::Outlook => {
            properties["mailbox"] = json!({"type": "string", "minLength": 1, "maxLength": 254,
            "description": "Whose mailbox, when the credential is an application's: an address or an id."})
        }
        Way::Smtp => {}
    }
    json!({
        "type": "object",
        "required": ["to", "subject"],
        "anyOf": [{"required": ["text"]}, {"required": ["html"]}],
        "additionalProperties": false,
        "properties": properties
    })
}

fn party() -> Value {
    let address = json!({"type": "string", "minLength": 3, "maxLength": 254});
    json!({"anyOf": [
        address,
        {
            "type": "object",
            "required": ["address"],
            "additionalProperties": false,
            "properties": {"address": address, "name": {"type": "string", "minLength": 1, "maxLength": 128}}
        }
    ]})
}

fn attachment() -> Value {
    json!({
        "type": "object",
        "required": ["filename", "content_type", "content_base64"],
        "additionalProperties": false,
        "properties": {
            "filename": {"type": "string", "minLength": 1, "maxLength": 128},
            "content_type": {"type": "string", "minLength": 3, "maxLength": 128},
            "content_base64": {"type": "string", "description": "Standard base64 with padding."}
        }
    })
}
