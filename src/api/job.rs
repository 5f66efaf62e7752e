//! Jobs: what clients send, what they get back, and how a list of them looks.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::domain::{Failure, Job, JobType, Priority, QueueName, RawJson, RequestId, Timestamp, bounds};

use super::json::{Json, JsonError, JsonErrorKind};
use super::read::{Fields, refuse};
use super::{ErrorCode, FieldError, Problem};

/// A request for a job, as clients write it. Absent and `null` mean the default.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// Your id of the job: the same id and body again return the same job; with another body it
    /// is refused. 1 to 255 bytes, no control characters.
    #[schema(min_length = 1, max_length = 255, example = "req-456")]
    pub client_request_id: String,
    /// What to do; `GET /ai/types` lists what this server knows.
    #[serde(rename = "type")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "echo")]
    pub job_type: String,
    /// What the type works on; its schema is in `GET /ai/types`. Default `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>, example = json!({"text": "hello"}))]
    pub input: Option<Box<RawValue>>,
    /// Where to wait. Default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "default")]
    pub queue: Option<String>,
    /// The band in the queue: `high`, `normal` or `low`. Default `normal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "normal")]
    pub priority: Option<String>,
    /// Not before this moment, at most 365 days ahead. Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub run_at: Option<String>,
    /// Not started after this moment: not before `run_at`, at most 30 days after it (or after
    /// now). Default: 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Run deadline of one attempt, in milliseconds. Default: the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 100, maximum = 86_400_000, example = 60_000)]
    pub timeout_ms: Option<u64>,
    /// Attempts in total. Default: the type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100, example = 3)]
    pub max_attempts: Option<u32>,
    /// Reserved: this release refuses anything but `null`, so that nothing is silently ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Your notes: at most 16 strings and 4 KiB as JSON. Default `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A request for a job after reading: every field checked, no default applied.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The client's id.
    pub request_id: RequestId,
    /// The type as sent; whether it exists is for the registry to say.
    pub job_type: JobType,
    /// The input as compact text.
    pub input: RawJson,
    /// The same input, for validation against the type's schema.
    pub input_value: serde_json::Value,
    /// The queue.
    pub queue: QueueName,
    /// The band.
    pub priority: Priority,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Not started after.
    pub expires_at: Option<Timestamp>,
    /// Run deadline of one attempt; `None` means the type's.
    pub timeout: Option<Duration>,
    /// Attempts in total; `None` means the type's.
    pub max_attempts: Option<u32>,
    /// A JSON object of strings, as compact text.
    pub metadata: RawJson,
    /// See [`fingerprint`].
    pub fingerprint: String,
}

/// The hash that tells a repeated request from a reused id: SHA-256 of the canonical body as
/// sent, without the id and before defaults (an upgrade that changes a default must not turn
/// replays into refusals), as 11 characters of base64url (64 bits). It is compared with one other and never
/// looked up, and whoever finds two bodies with the same only gets a replay of a job of their own.
#[must_use]
pub fn fingerprint(body: &Json) -> String {
    let digest = Sha256::digest(body.canonical(&["client_request_id"]).as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.get(..8).unwrap_or_default())
}

/// Reads a request for a job. `now` bounds the times; a minute of clock skew does no harm.
///
/// # Errors
/// Everything that is wrong with the document, by field.
pub fn read_job(body: Json, now: Timestamp) -> Result<NewJob, Box<Problem>> {
    let fingerprint = fingerprint(&body);
    let mut fields = Fields::of(body)?;
    let request_id = fields.required("client_request_id", RequestId::new);
    let job_type = fields.required("type", JobType::new);
    let input = fields.take_even_null("input").unwrap_or(Json::Object(Vec::new()));
    let queue = fields.parsed("queue", QueueName::new);
    let priority = fields.parsed("priority", |word| Priority::from_word(word).ok_or("must be high, normal or low"));
    let timeout = fields.millis("timeout_ms", bounds::TIMEOUT);
    let max_attempts = fields.integer("max_attempts", 1, bounds::MAX_ATTEMPTS.into());
    let (run_at, expires_at) = read_times(&mut fields, now);
    let metadata = read_metadata(&mut fields);
    if fields.take("callback_url").is_some() {
        fields.fail(ErrorCode::NotSupported, "callback_url", "must be null: this release reports no ends of jobs");
    }
    fields.finish()?;
    let (Some(request_id), Some(job_type)) = (request_id, job_type) else {
        return Err(refuse(vec![(ErrorCode::MissingField, FieldError::new("", "is incomplete"))]));
    };
    Ok(NewJob {
        request_id,
        job_type,
        input: RawJson::from_compact(input.compact()),
        input_value: input.to_value(),
        queue: queue.unwrap_or_else(QueueName::default_queue),
        priority: priority.unwrap_or(Priority::Normal),
        run_at,
        expires_at,
        timeout,
        max_attempts: max_attempts.and_then(|n| u32::try_from(n).ok()),
        metadata,
        fingerprint,
    })
}

/// How far back `expires_at` may lie. A repeated request may come after its own expiry and must
/// still be answered with its job, for as long as the request id is kept.
const EXPIRY_BACK: Duration = Duration::from_secs(86_400);

fn read_times(fields: &mut Fields, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let run_at = fields.time("run_at");
    let expires_at = fields.time("expires_at");
    if run_at.is_some_and(|t| t > now.plus(bounds::RUN_AT_AHEAD)) {
        fields.fail(ErrorCode::InvalidField, "run_at", "must lie at most 365 days ahead");
    }
    if let Some(expires_at) = expires_at {
        let start = run_at.map_or(now, |t| t.max(now));
        if run_at.is_some_and(|t| expires_at < t) {
            fields.fail(ErrorCode::InvalidField, "expires_at", "must not lie before run_at");
        } else if expires_at > start.plus(bounds::IN_LINE_MAX) {
            fields.fail(ErrorCode::InvalidField, "expires_at", "must lie at most 30 days after run_at or now");
        } else if expires_at.plus(EXPIRY_BACK) < now {
            fields.fail(ErrorCode::InvalidField, "expires_at", "lies more than a day in the past");
        }
    }
    (run_at, expires_at)
}

fn read_metadata(fields: &mut Fields) -> RawJson {
    let metadata = fields.take("metadata").unwrap_or(Json::Object(Vec::new()));
    let text = metadata.compact();
    let problem = match &metadata {
        Json::Object(members) if members.len() > bounds::METADATA_KEYS => {
            Some(format!("must have at most {} entries", bounds::METADATA_KEYS))
        }
        Json::Object(members) if members.iter().any(|(_, v)| !matches!(v, Json::String(_))) => {
            Some("must have strings as values".into())
        }
        Json::Object(_) if text.len() > bounds::METADATA => {
            Some(format!("must be at most {} bytes of JSON", bounds::METADATA))
        }
        Json::Object(_) => None,
        other => Some(format!("must be an object of strings, not {}", other.type_name())),
    };
    if let Some(detail) = problem {
        fields.fail(ErrorCode::InvalidField, "metadata", detail);
    }
    RawJson::from_compact(text)
}

/// A refusal of text that is not acceptable JSON.
#[must_use]
pub fn json_problem(error: JsonError) -> Box<Problem> {
    let code = match error.kind {
        JsonErrorKind::Syntax { .. } => ErrorCode::InvalidJson,
        JsonErrorKind::DuplicateKey => ErrorCode::DuplicateKey,
        JsonErrorKind::TooDeep => ErrorCode::TooDeep,
        JsonErrorKind::NumberOutOfRange => ErrorCode::NumberOutOfRange,
    };
    let mut problem = Problem::new(code, error.to_string());
    let pointer = crate::domain::clip_text(&error.pointer, 1024);
    problem.errors = vec![FieldError::new(pointer, error.kind.to_string())];
    Box::new(problem)
}

/// A job as everyone sees it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(title = "Job")]
pub struct JobView {
    /// The engine's id: 22 characters that sort by creation.
    #[schema(pattern = "^[0-9A-Z_a-z~]{22}$")]
    pub id: String,
    /// Your id.
    pub client_request_id: String,
    /// The workspace it belongs to.
    pub workspace: String,
    /// What it does.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Where it waits.
    pub queue: String,
    /// In which band.
    #[schema(schema_with = super::schema::priorities)]
    pub priority: String,
    /// Where it is in its life.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// Charged attempts begun: 0 before the first.
    pub attempt: u32,
    /// Attempts in total.
    pub max_attempts: u32,
    /// When it was accepted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Not before this moment; after a failed attempt, the end of the backoff.
    #[schema(format = DateTime)]
    pub run_at: Option<String>,
    /// Start of the latest attempt.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it became terminal.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Its last moment in line.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Run deadline of one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// The latest progress document.
    #[schema(value_type = Option<serde_json::Value>)]
    pub progress: Option<Box<RawValue>>,
    /// What it brought, once succeeded.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    /// The latest failure.
    pub failure: Option<FailureView>,
    /// Why it is held.
    #[schema(schema_with = super::schema::held_reasons)]
    pub held_reason: Option<String>,
    /// Your notes.
    #[schema(value_type = BTreeMap<String, String>)]
    pub metadata: Box<RawValue>,
    /// Where to go from here.
    pub links: Links,
}

/// A failure of an attempt or of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Failure")]
pub struct FailureView {
    /// What kind of failure.
    #[schema(schema_with = super::schema::failure_reasons)]
    pub reason: String,
    /// For people, at most 2 KiB.
    pub message: String,
    /// The same for failures of the same cause.
    pub fingerprint: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}

/// Paths of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Links {
    /// The job.
    #[serde(rename = "self")]
    pub this: String,
    /// Its changes of state, as server-sent events.
    pub events: String,
    /// What it waits for.
    pub why: String,
    /// `POST` here to cancel it.
    pub cancel: String,
    /// `POST` here to give it another life.
    pub redrive: String,
}

/// A page of jobs, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs; a page may be short, even empty, and still have a next one.
    pub jobs: Vec<JobView>,
    /// Give it as `cursor` to get the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

impl Links {
    /// The paths of the job with this id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let this = format!("/ai/jobs/{id}");
        Self {
            events: format!("{this}/events"),
            why: format!("{this}/why"),
            cancel: format!("{this}/cancel"),
            redrive: format!("{this}/redrive"),
            this,
        }
    }
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            reason: failure.reason.to_string(),
            message: failure.message.clone(),
            fingerprint: failure.fingerprint.clone(),
            at: failure.at.to_string(),
        }
    }
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let id = job.id.to_string();
        Self {
            client_request_id: job.request_id.to_string(),
            workspace: job.workspace.to_string(),
            job_type: job.job_type.to_string(),
            queue: job.queue.to_string(),
            priority: job.priority.to_string(),
            state: job.state.to_string(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            created_at: job.created_at.to_string(),
            run_at: job.run_at.map(|t| t.to_string()),
            started_at: job.started_at.map(|t| t.to_string()),
            finished_at: job.finished_at.map(|t| t.to_string()),
            expires_at: job.expires_at.to_string(),
            timeout_ms: u64::try_from(job.timeout.as_millis()).unwrap_or(u64::MAX),
            progress: job.progress.as_ref().and_then(raw),
            result: job.result.as_ref().and_then(raw),
            failure: job.failure.as_ref().map(FailureView::from),
            held_reason: job.held_reason.map(|r| r.to_string()),
            metadata: raw(&job.metadata).unwrap_or_else(|| RawValue::NULL.to_owned()),
            links: Links::of(&id),
            id,
        }
    }
}

/// Stored text as it goes out, byte for byte; text that is no JSON is left out.
fn raw(json: &RawJson) -> Option<Box<RawValue>> {
    RawValue::from_string(json.as_str().to_owned()).ok()
}

#[cfg(test)]
mod tests;
