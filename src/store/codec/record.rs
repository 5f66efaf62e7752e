//! What was submitted, as text.
//!
//! ```text
//! workspace type fingerprint options request_id
//! input
//! ```
//!
//! Tabs stand between the fields of the first line. An option is a letter and its value: `C` created, `X`
//! expires (both by 13 digits), `Q` queue, `B` band, `M` attempts, `T` timeout (ms), `R` run at, `U` callback or, after
//! `by:`, the key that asked for it, `D` metadata. A version that knows no `by:` takes it for a callback, which it ignores;
//! a letter of its own would be a record that it cannot read.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use crate::domain::{
    Job, JobId, JobSpec, JobState, JobType, Priority, QueueName, RawJson, RequestId, Timestamp, Workspace, bounds,
};

use super::super::StoreError;
use super::super::reply::corrupt;
use super::{moment, number, raw};

/// What most jobs have is left out of their records: Redis rounds the memory of a value up to steps of
/// 64 bytes, and a job of 200 bytes of input takes a step less without these. Part of the format: a change
/// of a default elsewhere must not change what a record says.
mod usual {
    use std::time::Duration;

    pub(super) const QUEUE: &str = "default";
    pub(super) const METADATA: &str = "{}";
    pub(super) const ATTEMPTS: u32 = 3;
    pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
}

/// Attempts of a job whose record names none.
pub(in crate::store) const USUAL_ATTEMPTS: u32 = usual::ATTEMPTS;

/// Before the id of the key that asked for a job. No URL begins with it.
const REQUESTER: &str = "by:";

/// A record. An option is a letter and its value. When the job was made is in its id; a script that knows
/// better puts `C` before the other options, and `X` behind it.
pub(in crate::store) fn record(id: JobId, spec: &JobSpec) -> String {
    let mut options = String::new();
    let mut option = |letter: char, value: &dyn Display| {
        options.push(letter);
        // Writing to a String does not fail.
        let _ = write!(options, "{value}\t");
    };
    if spec.expires_at.is_some() || spec.run_at.is_some() {
        option('X', &format_args!("{:013}", last_moment(spec, made(id)).unix_ms()));
    }
    if spec.queue.as_str() != usual::QUEUE {
        option('Q', &spec.queue);
    }
    if spec.priority != Priority::Normal {
        option('B', &spec.priority);
    }
    if spec.max_attempts != usual::ATTEMPTS {
        option('M', &spec.max_attempts);
    }
    if spec.timeout != usual::TIMEOUT {
        option('T', &spec.timeout.as_millis());
    }
    if let Some(run_at) = spec.run_at {
        option('R', &run_at.unix_ms());
    }
    if let Some(url) = &spec.callback_url {
        option('U', url);
    }
    if let Some(key) = &spec.requester {
        option('U', &format_args!("{REQUESTER}{key}"));
    }
    if spec.metadata.as_str() != usual::METADATA {
        option('D', &spec.metadata.as_str());
    }
    format!(
        "{}\t{}\t{}\t{options}{}\n{}",
        spec.workspace,
        spec.job_type,
        spec.fingerprint,
        spec.request_id,
        spec.input.as_str()
    )
}

/// When a job was made, as its id says.
pub(in crate::store) fn made(id: JobId) -> Timestamp {
    Timestamp::from_unix_ms(i64::try_from(id.unix_ms()).unwrap_or_default())
}

/// Its last moment in line.
fn last_moment(spec: &JobSpec, created: Timestamp) -> Timestamp {
    spec.expires_at.unwrap_or_else(|| spec.run_at.unwrap_or(created).max(created).plus(bounds::IN_LINE_DEFAULT))
}

/// A record without its input.
pub(in crate::store) fn without_input(record: &str) -> &str {
    record.find('\n').map_or(record, |at| &record[..=at])
}

/// A new job as its submitter sees it, written at `now`.
pub(in crate::store) fn new_job(id: JobId, spec: &JobSpec, created: Timestamp, now: Timestamp) -> Job {
    let waits = spec.run_at.is_some_and(|at| at > now);
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
        expires_at: last_moment(spec, created),
        timeout: spec.timeout,
        progress: None,
        result: None,
        failure: None,
        held_reason: None,
        callback_url: spec.callback_url.clone(),
        requester: spec.requester.clone(),
        metadata: spec.metadata.clone(),
        input: Some(spec.input.clone()),
    }
}

/// The job that a record tells of, in line and untouched.
pub(super) fn from_record(id: JobId, record: &str) -> Result<Job, StoreError> {
    let (head, input) = record.split_once('\n').ok_or_else(|| corrupt("a record with other lines"))?;
    let mut fields = head.split('\t');
    let mut field = || fields.next().ok_or_else(|| corrupt("a record with other fields"));
    let (workspace, kind, _fingerprint) = (field()?, field()?, field()?);
    let bad = |what: &'static str| move |_| corrupt(what);
    let created = made(id);
    let mut job = Job {
        id,
        workspace: Workspace::new(workspace).map_err(bad("a workspace"))?,
        request_id: RequestId::new(fields.next_back().unwrap_or_default()).map_err(bad("a client_request_id"))?,
        job_type: JobType::new(kind).map_err(bad("a type"))?,
        queue: QueueName::default_queue(),
        priority: Priority::Normal,
        state: JobState::Pending,
        attempt: 0,
        max_attempts: usual::ATTEMPTS,
        crashes: 0,
        created_at: created,
        run_at: None,
        started_at: None,
        finished_at: None,
        expires_at: created.plus(bounds::IN_LINE_DEFAULT),
        timeout: usual::TIMEOUT,
        progress: None,
        result: None,
        failure: None,
        held_reason: None,
        callback_url: None,
        requester: None,
        metadata: RawJson::from_compact(usual::METADATA),
        input: raw(input),
    };
    fields.try_for_each(|option| set(&mut job, option))?;
    Ok(job)
}

/// Reads one option of a record.
fn set(job: &mut Job, option: &str) -> Result<(), StoreError> {
    let (letter, value) = option.split_at_checked(1).ok_or_else(|| corrupt("an empty option of a record"))?;
    let time = || moment(value)?.ok_or_else(|| corrupt("a time"));
    match letter {
        "C" => job.created_at = time()?,
        "X" => job.expires_at = time()?,
        "Q" => job.queue = QueueName::new(value).map_err(|_| corrupt("a queue"))?,
        "B" => job.priority = Priority::from_word(value).ok_or_else(|| corrupt("a priority"))?,
        "M" => job.max_attempts = number(value)?,
        "T" => job.timeout = Duration::from_millis(u64::from(number(value)?)),
        "R" => job.run_at = Some(time()?),
        "U" => match value.strip_prefix(REQUESTER) {
            Some(key) => job.requester = Some(key.to_owned()),
            None => job.callback_url = Some(value.to_owned()),
        },
        "D" => job.metadata = RawJson::from_compact(value),
        _ => return Err(corrupt("an unknown option of a record")),
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::live_job;
    use super::*;

    pub(in super::super) fn spec() -> JobSpec {
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
            requester: None,
            metadata: RawJson::from_compact("{\"a\":\"b\"}"),
            input: RawJson::from_compact("{\"n\":9007199254740993}"),
            fingerprint: "f".into(),
            origin: None,
        }
    }

    #[test]
    fn a_record_keeps_every_field_and_byte() {
        let id = JobId::new(1_000, 0);
        let spec = JobSpec {
            run_at: Some(Timestamp::from_unix_ms(5_000)),
            expires_at: Some(Timestamp::from_unix_ms(9_000)),
            queue: QueueName::new("mail").unwrap(),
            max_attempts: 5,
            timeout: Duration::from_millis(1_500),
            callback_url: Some("https://example.com/a".into()),
            requester: Some("key1".into()),
            ..spec()
        };
        let (job, _) = live_job(id, &record(id, &spec), "", "", "").unwrap();
        let mut made = new_job(id, &spec, made(id), made(id));
        made.state = JobState::Pending; // that it waits, its place says
        assert_eq!(format!("{job:?}"), format!("{made:?}"));
    }

    #[test]
    fn what_is_usual_takes_no_room() {
        let spec = JobSpec { priority: Priority::Normal, metadata: RawJson::from_compact("{}"), ..spec() };
        let id = JobId::new(1_000, 0);
        let record = record(id, &spec);
        assert_eq!(record, "ws\techo\tf\treq 1\n{\"n\":9007199254740993}");
        let (job, _) = live_job(id, &record, "", "", "").unwrap();
        assert_eq!((job.created_at.unix_ms(), job.max_attempts), (1_000, 3));
        assert_eq!(job.expires_at, job.created_at.plus(Duration::from_secs(7 * 86_400)));
        assert_eq!(job.input.unwrap().as_str(), "{\"n\":9007199254740993}");
    }

    #[test]
    fn scripts_know_the_usual_time_in_line() {
        let ours = format!("local IN_LINE = {} ", bounds::IN_LINE_DEFAULT.as_millis());
        assert!(include_str!("../lua/lib/times.lua").contains(&ours), "{ours}");
    }

    #[test]
    fn times_that_a_script_knew_better_count() {
        let record = "ws\techo\tf\tC0000000002000\tX0000000003000\tBlow\tr1\nnull";
        let (job, _) = live_job(JobId::new(1_000, 0), record, "", "", "").unwrap();
        assert_eq!((job.created_at.unix_ms(), job.expires_at.unix_ms()), (2_000, 3_000));
        assert_eq!(job.priority, Priority::Low);
    }
}
