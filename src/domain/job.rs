//! A job as submitted and as seen from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::failure::words;
use super::{Failure, HeldReason, JobId, JobState, JobType, QueueName, RequestId, SpanRef, Timestamp, Workspace};

/// Bounds that hold whatever the configuration says (design: "everything is bounded").
pub mod bounds {
    use std::time::Duration;

    /// The largest request body, in bytes.
    pub const BODY: usize = 256 * 1024;
    /// The largest result, in bytes of JSON.
    pub const RESULT: usize = 1024 * 1024;
    /// The largest progress document, in bytes of JSON.
    pub const PROGRESS: usize = 4 * 1024;
    /// The largest receipt or note of an effect, in bytes of JSON.
    pub const EFFECT: usize = 4 * 1024;
    /// Bytes of text in one entry of a job's stream.
    pub const DELTA: usize = 16 * 1024;
    /// Bytes of text that are kept of one streaming answer.
    pub const DELTAS: usize = 1024 * 1024;
    /// Entries of `metadata`.
    pub const METADATA_KEYS: usize = 16;
    /// Bytes of `metadata` as JSON.
    pub const METADATA: usize = 4 * 1024;
    /// Jobs in one batch request.
    pub const BATCH: usize = 1_000;
    /// Items in one script call.
    pub const SCRIPT_ITEMS: usize = 100;
    /// Attempts a client may ask for.
    pub const MAX_ATTEMPTS: u32 = 100;
    /// Shortest and longest run time a client may ask for.
    pub const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
    /// How far ahead `run_at` may lie.
    pub const RUN_AT_AHEAD: Duration = Duration::from_secs(365 * 86_400);
    /// Time in line after `run_at` when the client names no `expires_at`. Part of the layout: a record that
    /// names none means this.
    pub const IN_LINE_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
    /// The longest time in line after `run_at`.
    pub const IN_LINE_MAX: Duration = Duration::from_secs(30 * 86_400);
}

words! {
    /// A job's band in its queue.
    Priority {
        /// Before normal jobs.
        High = "high",
        /// The default.
        Normal = "normal",
        /// After normal jobs, yet never starved.
        Low = "low",
    }
}

/// A JSON document as compact text. It is stored and forwarded byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Wraps text that is known to be one compact JSON document without a raw newline (what
    /// `serde_json::to_string` writes).
    #[must_use]
    pub fn from_compact(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// A value as compact JSON.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed document; `null` if the text is not JSON (which its constructors exclude).
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RawJson {
    /// Payloads never reach a log: only the size is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

/// A validated request for a job, ready to be written.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// The tenant, from the caller's key.
    pub workspace: Workspace,
    /// The client's id; one live job per workspace and id.
    pub request_id: RequestId,
    /// What to do.
    pub job_type: JobType,
    /// Where to wait.
    pub queue: QueueName,
    /// In which band.
    pub priority: Priority,
    /// Not before this moment.
    pub run_at: Option<Timestamp>,
    /// Not started after this moment.
    pub expires_at: Option<Timestamp>,
    /// Run deadline of one attempt.
    pub timeout: Duration,
    /// Attempts in total.
    pub max_attempts: u32,
    /// Where to report the end of the job.
    pub callback_url: Option<String>,
    /// The id of the key that asked for it; kept for actions, which it may not approve itself.
    pub requester: Option<String>,
    /// The client's own notes: a JSON object of strings.
    pub metadata: RawJson,
    /// What the executor gets.
    pub input: RawJson,
    /// Hash of the canonical request as sent, without the id and before defaults.
    pub fingerprint: String,
    /// The request that brought it, for traces; not stored.
    pub origin: Option<SpanRef>,
}

impl JobSpec {
    /// A request with defaults for everything else: queue `default`, three attempts of a minute.
    #[must_use]
    pub fn new(workspace: Workspace, request_id: RequestId, job_type: JobType, input: RawJson) -> Self {
        let body = format!("{job_type}\n{}", input.as_str());
        let fingerprint = Sha256::digest(body).iter().take(8).map(|b| format!("{b:02x}")).collect();
        Self {
            workspace,
            request_id,
            job_type,
            queue: QueueName::default_queue(),
            priority: Priority::Normal,
            run_at: None,
            expires_at: None,
            timeout: Duration::from_secs(60),
            max_attempts: 3,
            callback_url: None,
            requester: None,
            metadata: RawJson::from_compact("{}"),
            input,
            fingerprint,
            origin: None,
        }
    }
}

/// A job as everyone sees it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The engine's id.
    pub id: JobId,
    /// The tenant.
    pub workspace: Workspace,
    /// The client's id.
    pub request_id: RequestId,
    /// What it does.
    pub job_type: JobType,
    /// Where it waits.
    pub queue: QueueName,
    /// In which band.
    pub priority: Priority,
    /// Where it is in its life.
    pub state: JobState,
    /// Charged attempts begun: 0 before the first.
    pub attempt: u32,
    /// Attempts in total.
    pub max_attempts: u32,
    /// Worker processes that died while running it.
    pub crashes: u32,
    /// When the engine accepted it.
    pub created_at: Timestamp,
    /// Not before this moment; after a retry, the end of the backoff.
    pub run_at: Option<Timestamp>,
    /// Start of the latest attempt.
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    pub finished_at: Option<Timestamp>,
    /// Its last moment in line.
    pub expires_at: Timestamp,
    /// Run deadline of one attempt.
    pub timeout: Duration,
    /// The latest progress document.
    pub progress: Option<RawJson>,
    /// What it brought, once succeeded.
    pub result: Option<RawJson>,
    /// The latest failure.
    pub failure: Option<Failure>,
    /// Why it is held.
    pub held_reason: Option<HeldReason>,
    /// Where the end is reported.
    pub callback_url: Option<String>,
    /// The id of the key that asked for it, if it is an action.
    pub requester: Option<String>,
    /// The client's own notes.
    pub metadata: RawJson,
    /// The input; absent once the job succeeded.
    pub input: Option<RawJson>,
}

impl Job {
    /// Whether it may be what crashed its workers: from the second crash on (`lua/lib/claim.lua` has the same
    /// number). A process runs one suspect at a time.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= 2
    }
}
