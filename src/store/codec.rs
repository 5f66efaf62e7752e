//! Job records as text: a tab-separated header that Lua can cut, then lines that only Rust reads.
//!
//! ```text
//! record  created expires workspace type queue band max_attempts timeout run_at fingerprint request_id
//!         metadata
//!         callback
//!         input
//! entry   state attempt crashes started worker attempt_id extra
//!         failure
//! done    letter finished attempt crashes started attempt_id
//!         failure / progress / result, a line each, then the record
//! ```

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{
    AttemptId, Failure, FailureReason, HeldReason, Job, JobId, JobSpec, JobState, JobType, Priority, QueueName,
    RawJson, RequestId, Timestamp, Workspace,
};

use super::StoreError;
use super::reply::corrupt;

/// What most jobs have is left out of their records: Redis rounds the memory of a value up to steps of
/// 64 bytes, and a job of 200 bytes of input takes a step less without these.
const DEFAULT_QUEUE: &str = "default";
const NO_METADATA: &str = "{}";

/// A record. The scripts rely on its times having 13 digits.
pub(super) fn record(spec: &JobSpec, created: Timestamp, expires: Timestamp) -> String {
    let run_at = spec.run_at.map(|t| t.unix_ms().to_string()).unwrap_or_default();
    format!(
        "{:013}\t{:013}\t{}\t{}\t{}\t{}\t{}\t{}\t{run_at}\t{}\t{}\n{}\n{}\n{}",
        created.unix_ms(),
        expires.unix_ms(),
        spec.workspace,
        spec.job_type,
        Some(spec.queue.as_str()).filter(|name| *name != DEFAULT_QUEUE).unwrap_or_default(),
        Some(spec.priority).filter(|band| *band != Priority::Normal).map_or("", |band| band.as_str()),
        spec.max_attempts,
        spec.timeout.as_millis(),
        spec.fingerprint,
        spec.request_id,
        Some(spec.metadata.as_str()).filter(|text| *text != NO_METADATA).unwrap_or_default(),
        spec.callback_url.as_deref().unwrap_or_default(),
        spec.input.as_str(),
    )
}

/// The record without its input: what is kept of a succeeded job.
pub(super) fn without_input(record: &str) -> &str {
    let end = record.char_indices().filter(|(_, c)| *c == '\n').nth(2).map_or(record.len(), |(at, _)| at + 1);
    &record[..end]
}

/// What an attempts entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: char,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) started_at: Option<Timestamp>,
    pub(super) worker: String,
    pub(super) extra: String,
    pub(super) failure: Option<Failure>,
}

impl Entry {
    fn untouched() -> Self {
        Self {
            state: 'w',
            attempt: 0,
            crashes: 0,
            started_at: None,
            worker: String::new(),
            extra: String::new(),
            failure: None,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        if text.is_empty() {
            return Ok(Self::untouched());
        }
        let (head, failure) = text.split_once('\n').ok_or_else(|| corrupt("an attempts entry without a line end"))?;
        let parts: Vec<&str> = head.split('\t').collect();
        let [state, attempt, crashes, started, worker, _token, extra] = parts[..] else {
            return Err(corrupt("an attempts entry with other fields"));
        };
        Ok(Self {
            state: state.chars().next().unwrap_or('w'),
            attempt: number(attempt)?,
            crashes: number(crashes)?,
            started_at: moment(started)?,
            worker: worker.to_owned(),
            extra: extra.to_owned(),
            failure: failure_from(failure),
        })
    }
}

/// A failure as JSON.
pub(super) fn failure_to(failure: &Failure) -> String {
    json!({
        "reason": failure.reason.as_str(),
        "message": failure.message,
        "fingerprint": failure.fingerprint,
        "at": failure.at.unix_ms(),
    })
    .to_string()
}

/// Unknown reasons of a newer version read as `error`; scripts leave the fingerprint out.
fn failure_from(text: &str) -> Option<Failure> {
    let value: Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reason = FailureReason::from_word(&word("reason")).unwrap_or(FailureReason::Error);
    let fingerprint = match word("fingerprint") {
        empty if empty.is_empty() => reason.as_str().to_owned(),
        set => set,
    };
    let at = Timestamp::from_unix_ms(value.get("at").and_then(Value::as_i64).unwrap_or_default());
    Some(Failure { reason, message: word("message"), fingerprint, at })
}

/// The facts that end an attempt, in the order the finish script wants them.
pub(super) fn facts(attempt: u32, crashes: u32, started_at: Timestamp, token: AttemptId) -> String {
    format!("{attempt}\t{crashes}\t{}\t{token}", started_at.unix_ms())
}

/// The done record of a succeeded job. The scripts rely on its time having 13 digits.
pub(super) fn succeeded(
    at: Timestamp,
    facts: &str,
    progress: Option<&RawJson>,
    result: &RawJson,
    record: &str,
) -> String {
    let progress = progress.map(RawJson::as_str).unwrap_or_default();
    format!("s\t{:013}\t{facts}\n\n{progress}\n{}\n{}", at.unix_ms(), result.as_str(), without_input(record))
}

/// A live job from its record, entry, due time and progress.
pub(super) fn live_job(
    id: JobId,
    record: &str,
    entry: &str,
    due: &str,
    progress: &str,
) -> Result<(Job, Entry), StoreError> {
    let entry = Entry::parse(entry)?;
    let mut job = from_record(id, record)?;
    job.attempt = entry.attempt;
    job.crashes = entry.crashes;
    job.started_at = entry.started_at;
    job.failure = entry.failure.clone();
    job.progress = raw(progress);
    job.state = match entry.state {
        'r' => JobState::Running,
        'h' => JobState::Held,
        'd' => JobState::Dead,
        _ if due.is_empty() => JobState::Pending,
        _ => JobState::Scheduled,
    };
    if !due.is_empty() {
        job.run_at = Some(Timestamp::from_unix_ms(due.parse::<f64>().map_err(|_| corrupt("a due time"))? as i64));
    }
    if job.state == JobState::Held {
        job.held_reason = HeldReason::from_word(&entry.extra);
    }
    if job.state == JobState::Dead {
        job.finished_at = moment(entry.extra.split(' ').next().unwrap_or_default())?;
    }
    Ok((job, entry))
}

/// A terminal job from its done record.
pub(super) fn ended_job(id: JobId, done: &str) -> Result<Job, StoreError> {
    let mut lines = done.splitn(5, '\n');
    let mut line = || lines.next().ok_or_else(|| corrupt("a done record with other lines"));
    let (head, failure, progress, result, record) = (line()?, line()?, line()?, line()?, line()?);
    let parts: Vec<&str> = head.split('\t').collect();
    let [letter, finished, attempt, crashes, started, _token] = parts[..] else {
        return Err(corrupt("a done record with other fields"));
    };
    let mut job = from_record(id, record)?;
    job.state = match letter {
        "s" => JobState::Succeeded,
        "c" => JobState::Cancelled,
        "e" => JobState::Expired,
        _ => return Err(corrupt("a done record of an unknown state")),
    };
    job.finished_at = moment(finished)?;
    job.attempt = number(attempt)?;
    job.crashes = number(crashes)?;
    job.started_at = moment(started)?;
    job.failure = failure_from(failure);
    job.progress = raw(progress);
    job.result = raw(result);
    Ok(job)
}

/// A new job as its submitter sees it.
pub(super) fn new_job(id: JobId, spec: &JobSpec, created: Timestamp, expires: Timestamp) -> Job {
    let waits = spec.run_at.is_some_and(|at| at > created);
    Job {
        id,
        workspace: spec.workspace.clone(),
        request_id: spec.request_id.clone(),
        job_type: spec.job_type.clone(),
        queue: spec.queue.clone(),
        priority: spec.priority,
        state: if waits { JobState::Scheduled } else { JobState::Pending },
        attempt: 0,
        max_attempts: spec.max_attempts,
        crashes: 0,
        created_at: created,
        run_at: spec.run_at,
        started_at: None,
        finished_at: None,
        expires_at: expires,
        timeout: spec.timeout,
        progress: None,
        result: None,
        failure: None,
        held_reason: None,
        callback_url: spec.callback_url.clone(),
        metadata: spec.metadata.clone(),
        input: Some(spec.input.clone()),
    }
}

fn from_record(id: JobId, record: &str) -> Result<Job, StoreError> {
    let mut lines = record.splitn(4, '\n');
    let mut line = || lines.next().ok_or_else(|| corrupt("a record with other lines"));
    let (head, metadata, callback, input) = (line()?, line()?, line()?, line()?);
    let parts: Vec<&str> = head.splitn(11, '\t').collect();
    let [created, expires, workspace, kind, queue, band, attempts, timeout, run_at, _print, request] = parts[..] else {
        return Err(corrupt("a record with other fields"));
    };
    let bad = |what: &'static str| move |_| corrupt(what);
    Ok(Job {
        id,
        workspace: Workspace::new(workspace).map_err(bad("a workspace"))?,
        request_id: RequestId::new(request).map_err(bad("a client_request_id"))?,
        job_type: JobType::new(kind).map_err(bad("a type"))?,
        queue: QueueName::new(or(queue, DEFAULT_QUEUE)).map_err(bad("a queue"))?,
        priority: Priority::from_word(or(band, Priority::Normal.as_str())).ok_or_else(|| corrupt("a priority"))?,
        state: JobState::Pending,
        attempt: 0,
        max_attempts: number(attempts)?,
        crashes: 0,
        created_at: moment(created)?.ok_or_else(|| corrupt("a creation time"))?,
        run_at: moment(run_at)?,
        started_at: None,
        finished_at: None,
        expires_at: moment(expires)?.ok_or_else(|| corrupt("an expiry time"))?,
        timeout: Duration::from_millis(u64::from(number(timeout)?)),
        progress: None,
        result: None,
        failure: None,
        held_reason: None,
        callback_url: (!callback.is_empty()).then(|| callback.to_owned()),
        metadata: RawJson::from_compact(or(metadata, NO_METADATA)),
        input: raw(input),
    })
}

/// The text, or what an empty one stands for.
fn or<'a>(text: &'a str, usual: &'a str) -> &'a str {
    if text.is_empty() { usual } else { text }
}

fn raw(text: &str) -> Option<RawJson> {
    (!text.is_empty()).then(|| RawJson::from_compact(text))
}

fn number(text: &str) -> Result<u32, StoreError> {
    text.parse().map_err(|_| corrupt("a number"))
}

fn moment(text: &str) -> Result<Option<Timestamp>, StoreError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(|ms| Some(Timestamp::from_unix_ms(ms))).map_err(|_| corrupt("a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JobSpec {
        JobSpec {
            workspace: Workspace::new("ws").unwrap(),
            request_id: RequestId::new("req 1").unwrap(),
            job_type: JobType::new("echo").unwrap(),
            queue: QueueName::default_queue(),
            priority: Priority::Low,
            run_at: None,
            expires_at: None,
            timeout: Duration::from_secs(60),
            max_attempts: 3,
            callback_url: None,
            metadata: RawJson::from_compact("{\"a\":\"b\"}"),
            input: RawJson::from_compact("{\"n\":9007199254740993}"),
            fingerprint: "f".into(),
        }
    }

    #[test]
    fn a_record_keeps_every_field_and_byte() {
        let record = record(&spec(), Timestamp::from_unix_ms(1000), Timestamp::from_unix_ms(2000));
        let (job, _) = live_job(JobId::new(1000, 0), &record, "", "", "").unwrap();
        assert_eq!(job.request_id.as_str(), "req 1");
        assert_eq!(job.priority, Priority::Low);
        assert_eq!((job.created_at.unix_ms(), job.expires_at.unix_ms()), (1000, 2000));
        assert_eq!(job.input.unwrap().as_str(), "{\"n\":9007199254740993}");
        assert_eq!(job.state, JobState::Pending);
    }

    #[test]
    fn a_succeeded_job_keeps_its_result_and_drops_its_input() {
        let record = record(&spec(), Timestamp::from_unix_ms(1000), Timestamp::from_unix_ms(2000));
        let facts = facts(2, 1, Timestamp::from_unix_ms(1500), AttemptId::random());
        let result = RawJson::from_compact("{\"ok\":true}");
        let done = succeeded(Timestamp::from_unix_ms(1600), &facts, None, &result, &record);
        let job = ended_job(JobId::new(1000, 0), &done).unwrap();
        assert_eq!(job.state, JobState::Succeeded);
        assert_eq!((job.attempt, job.crashes), (2, 1));
        assert_eq!(job.result.unwrap().as_str(), "{\"ok\":true}");
        assert!(job.input.is_none());
        assert_eq!(job.metadata.as_str(), "{\"a\":\"b\"}");
    }

    #[test]
    fn a_failure_from_a_script_has_a_fingerprint() {
        let failure = failure_from("{\"reason\":\"poison\",\"message\":\"m\",\"at\":5}").unwrap();
        assert_eq!((failure.reason, failure.fingerprint.as_str()), (FailureReason::Poison, "poison"));
    }
}
