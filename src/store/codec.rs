//! Jobs as text: tab-separated fields that Lua can cut, then lines that only Rust reads.
//!
//! ```text
//! record  see record.rs
//! entry   state attempt crashes started worker attempt_id extra
//!         failure
//! done    letter finished attempt crashes started attempt_id
//!         failure / progress / result, a line each, then the record
//! ```

mod effects;
mod operation;
mod record;

use serde_json::{Value, json};

use crate::domain::{AttemptId, Failure, FailureReason, HeldReason, Job, JobId, JobState, RawJson, Timestamp};

use super::StoreError;
use super::reply::corrupt;

pub(super) use effects::{approval, effect, effects};
pub(super) use operation::{counts, ids as operation_ids, operation_from, operation_to};
use record::from_record;
pub(super) use record::{USUAL_ATTEMPTS, made, new_job, record, without_input};

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

/// The done record of a succeeded job; `head` is its record without the input. The scripts rely on its
/// time having 13 digits.
pub(super) fn succeeded(
    at: Timestamp,
    facts: &str,
    progress: Option<&RawJson>,
    result: &RawJson,
    head: &str,
) -> String {
    let progress = progress.map(RawJson::as_str).unwrap_or_default();
    format!("s\t{:013}\t{facts}\n\n{progress}\n{}\n{head}", at.unix_ms(), result.as_str())
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
    use super::record::tests::spec;
    use super::*;

    #[test]
    fn a_succeeded_job_keeps_its_result_and_drops_its_input() {
        let id = JobId::new(1_000, 0);
        let facts = facts(2, 1, Timestamp::from_unix_ms(1500), AttemptId::random());
        let result = RawJson::from_compact("{\"ok\":true}");
        let done = succeeded(Timestamp::from_unix_ms(1600), &facts, None, &result, without_input(&record(id, &spec())));
        let job = ended_job(id, &done).unwrap();
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
