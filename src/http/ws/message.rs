//! What a client says over a WebSocket.

use secrecy::SecretString;

use crate::api::ErrorCode;
use crate::api::job::json_problem;
use crate::api::json::{self, Json};
use crate::domain::{JobId, bounds};

use super::super::error::ApiError;

/// The longest name of a message.
const ID: usize = 128;

/// The fields of a message that are fields of a job; all others are fields of its input, unless `input` is there.
const OF_THE_JOB: &[&str] = &[
    "client_request_id",
    "queue",
    "priority",
    "timeout_ms",
    "max_attempts",
    "run_at",
    "expires_at",
    "metadata",
    "callback_url",
];

/// One message.
pub(super) struct Message {
    /// What the client calls it.
    pub(super) id: Option<String>,
    pub(super) asked: Asked,
}

/// What a message asks for.
pub(super) enum Asked {
    /// The first message of a connection without a key.
    Auth {
        key: SecretString,
        /// For a key that is bound to no workspace.
        workspace: Option<String>,
    },
    /// A job.
    Submit {
        /// Whether its text is told as it comes, else its result at the end.
        stream: bool,
        /// As `POST /ai/jobs` takes it.
        document: Json,
    },
    /// To follow a job.
    Attach {
        job: JobId,
        /// The number of the last piece of text that the client has.
        after: Option<u64>,
    },
    /// To cancel a job.
    Cancel { job: JobId },
}

type Members = Vec<(String, Json)>;

/// Reads a message; what is wrong with it, with its name as far as it could be read.
pub(super) fn read(text: &str) -> Result<Message, (Option<String>, ApiError)> {
    if text.len() > bounds::BODY {
        let detail = format!("a message may have at most {} bytes", bounds::BODY);
        return Err((None, ApiError::new(ErrorCode::BodyTooLarge, detail)));
    }
    let document = json::read(text.as_bytes()).map_err(|error| (None, json_problem(error).into()))?;
    let Json::Object(mut members) = document else {
        let detail = format!("a message must be an object, not {}", document.type_name());
        return Err((None, ApiError::new(ErrorCode::InvalidField, detail)));
    };
    let id = match take(&mut members, "id") {
        None => None,
        Some(Json::String(id)) if id.len() <= ID => Some(id),
        Some(_) => {
            return Err((None, ApiError::at(ErrorCode::InvalidField, "/id", "must be a text of up to 128 bytes")));
        }
    };
    match asked(members) {
        Ok(asked) => Ok(Message { id, asked }),
        Err(error) => Err((id, error)),
    }
}

fn asked(mut members: Members) -> Result<Asked, ApiError> {
    let kind = text(&mut members, "type")?;
    let asked = match kind.as_str() {
        "query" | "stream" => return Ok(submission(members, kind == "stream")),
        "auth" => {
            let workspace = take(&mut members, "workspace").and_then(|name| match name {
                Json::String(name) => Some(name),
                _ => None,
            });
            Asked::Auth { key: text(&mut members, "key")?.into(), workspace }
        }
        "attach" => Asked::Attach { job: job(&mut members)?, after: after(&mut members)? },
        "cancel" => Asked::Cancel { job: job(&mut members)? },
        _ => {
            let detail = "must be query, stream, attach, cancel or auth";
            return Err(ApiError::at(ErrorCode::InvalidField, "/type", detail));
        }
    };
    match members.first() {
        None => Ok(asked),
        Some((key, _)) => {
            let mut pointer = String::new();
            json::push_pointer(&mut pointer, key);
            Err(ApiError::at(ErrorCode::UnknownField, &pointer, "is not a field of this message"))
        }
    }
}

/// The document of a job: what is wrong with it is for the same code to say that reads a body.
fn submission(mut members: Members, stream: bool) -> Asked {
    let mut input = match take(&mut members, "input") {
        Some(input) => input,
        None => {
            let (job, mut input): (Members, Members) =
                members.into_iter().partition(|(name, _)| OF_THE_JOB.contains(&name.as_str()));
            members = job;
            if let Some(prompt) = take(&mut input, "prompt") {
                let message = [("role", Json::String("user".to_owned())), ("content", prompt)];
                let message = message.map(|(name, value)| (name.to_owned(), value));
                input.push(("messages".to_owned(), Json::Array(vec![Json::Object(message.into())])));
            }
            Json::Object(input)
        }
    };
    if let Json::Object(input) = &mut input
        && stream
        && !input.iter().any(|(name, _)| name == "stream")
    {
        input.push(("stream".to_owned(), Json::Bool(true)));
    }
    if !members.iter().any(|(name, _)| name == "client_request_id") {
        let minted = format!("ws-{}", uuid::Uuid::now_v7());
        members.push(("client_request_id".to_owned(), Json::String(minted)));
    }
    members.push(("type".to_owned(), Json::String("llm.chat".to_owned())));
    members.push(("input".to_owned(), input));
    Asked::Submit { stream, document: Json::Object(members) }
}

/// `null` counts as absent.
fn take(members: &mut Members, name: &str) -> Option<Json> {
    let at = members.iter().position(|(key, _)| key == name)?;
    Some(members.remove(at).1).filter(|value| *value != Json::Null)
}

fn text(members: &mut Members, name: &str) -> Result<String, ApiError> {
    match take(members, name) {
        Some(Json::String(text)) => Ok(text),
        Some(_) => Err(ApiError::at(ErrorCode::InvalidField, &format!("/{name}"), "must be a text")),
        None => Err(ApiError::at(ErrorCode::MissingField, &format!("/{name}"), "is required")),
    }
}

/// Text that is no id names no job.
fn job(members: &mut Members) -> Result<JobId, ApiError> {
    text(members, "job")?.parse().map_err(|_| ApiError::no_job())
}

fn after(members: &mut Members) -> Result<Option<u64>, ApiError> {
    let number = match take(members, "after_seq") {
        None => return Ok(None),
        Some(Json::Number(number)) => number.parse().ok(),
        Some(_) => None,
    };
    let refuse = || ApiError::at(ErrorCode::InvalidField, "/after_seq", "must be a whole number, 0 or more");
    number.map(Some).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> serde_json::Value {
        match read(text).map(|message| message.asked) {
            Ok(Asked::Submit { document, .. }) => document.to_value(),
            _ => panic!("no job"),
        }
    }

    fn code(text: &str) -> String {
        let Err((_, error)) = read(text) else { panic!("accepted: {text}") };
        error.into_problem().code
    }

    #[test]
    fn fields_beside_the_type_are_the_input_of_the_job() {
        let job =
            document(r#"{"type":"stream","id":"a","prompt":"hi","model":"m","timeout_ms":5,"client_request_id":"r"}"#);
        let input = serde_json::json!({
            "messages": [{"role": "user", "content": "hi"}], "model": "m", "stream": true
        });
        assert_eq!((&job["type"], &job["input"]), (&"llm.chat".into(), &input));
        assert_eq!((&job["timeout_ms"], &job["client_request_id"]), (&5.into(), &"r".into()));
    }

    #[test]
    fn an_input_stands_as_it_is_and_a_request_id_is_minted() {
        let job = document(r#"{"type":"query","input":{"messages":[]},"model":"m"}"#);
        assert_eq!(job["input"], serde_json::json!({"messages": []}));
        assert_eq!(job["model"], "m", "refused by whoever reads the job");
        assert!(job["client_request_id"].as_str().is_some_and(|id| id.starts_with("ws-")));
    }

    #[test]
    fn what_is_no_message_is_refused_by_a_stable_code() {
        for (text, expected) in [
            ("nonsense", "invalid_json"),
            ("[]", "invalid_field"),
            (r#"{"type":"sing"}"#, "invalid_field"),
            (r#"{"id":"a"}"#, "missing_field"),
            (r#"{"id":7,"type":"query"}"#, "invalid_field"),
            (r#"{"type":"cancel"}"#, "missing_field"),
            (r#"{"type":"cancel","job":"x"}"#, "not_found"),
            (r#"{"type":"attach","job":"0000000000000000000000","after_seq":-1}"#, "invalid_field"),
            (r#"{"type":"cancel","job":"0000000000000000000000","why":1}"#, "unknown_field"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
        assert_eq!(code(&format!("{{\"type\":\"{}\"}}", "x".repeat(bounds::BODY))), "body_too_large");
    }
}
