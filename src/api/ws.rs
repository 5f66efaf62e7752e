//! What a server says over a WebSocket: one JSON object a message, told apart by `type`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::job::FailureView;

/// The subprotocol of this version.
pub const SUBPROTOCOL: &str = "windlass.v1";

/// One message to the client. `id` is what the client named its own message, `job` the job that it is about.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// The key is good; only after an `auth` message.
    Ready,
    /// A `query` or `stream` made a job, or found the one it made before.
    Accepted {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job.
        job: String,
        /// The client's, or the one that was made for it.
        client_request_id: String,
        /// The job was already there.
        replayed: bool,
    },
    /// A piece of text.
    Stream {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job.
        job: String,
        /// The attempt that wrote it.
        attempt: u32,
        /// Its number: pieces of a job are counted from 1, over all attempts.
        seq: u64,
        /// The text, possibly empty.
        text: String,
        /// Text was left out here; the result has all of it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// All text so far is void: an answer began anew.
    Reset {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job.
        job: String,
        /// The attempt that began it.
        attempt: u32,
    },
    /// The result of a `query`.
    Response {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job.
        job: String,
        /// What the job brought.
        result: Box<RawValue>,
    },
    /// The job ended; nothing more is said of it.
    Done {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job.
        job: String,
        /// How it ended.
        state: String,
        /// What the result says of the tokens it took, if it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<serde_json::Value>,
        /// Why it did not succeed.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<FailureView>,
    },
    /// Something could not be done.
    Error {
        /// The client's name for its message.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The job, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<String>,
        /// The stable code, the same as over HTTP.
        code: String,
        /// What happened this time, for people.
        detail: String,
    },
}
