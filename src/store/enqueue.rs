//! Verb `enqueue`: up to 100 jobs of one queue, written whole or not at all.

use fred::prelude::Value;

use crate::domain::{Job, JobId, JobSpec, QueueName, Timestamp, bounds};

use super::reply::{Reply, corrupt};
use super::{Store, StoreError, codec};

/// As `is_now` in Lua: a stamp that is off by more is replaced with the time.
const STAMP_MS: u64 = 100;

/// What became of one item.
#[derive(Clone, Debug)]
pub enum Enqueued {
    /// Written now, or before by a call whose reply was lost.
    New(Box<Job>),
    /// The same request was accepted before, as this job.
    Replay(JobId),
    /// The request id belongs to another body.
    OtherBody(JobId),
    /// The queue is at its depth limit.
    Full,
    /// The queue takes no new jobs.
    Draining,
    /// The request id's key holds something that is not ours.
    Broken,
}

impl Store {
    /// Writes jobs under ids made by the caller. Repeating a call whose outcome is unknown with the
    /// same ids is safe and answers [`Enqueued::New`] again.
    ///
    /// # Errors
    /// `Full`, `ReadOnly` and `Unavailable`: none was written. `Unknown`: all or none were.
    /// `NotDurable`: all that have room and no other body were.
    pub async fn enqueue(&self, queue: &QueueName, items: &[(JobId, JobSpec)]) -> Result<Vec<Enqueued>, StoreError> {
        if items.len() > bounds::SCRIPT_ITEMS {
            return Err(corrupt("more than 100 items in one enqueue"));
        }
        let o = &self.inner.options;
        let stamp = self.now_estimate();
        let mut args: Vec<Value> = Vec::with_capacity(8 + items.len() * 6);
        args.extend([
            queue.as_str().into(),
            o.events_kept.to_string().into(),
            if o.listing_index { "1" } else { "0" }.into(),
            o.max_depth.to_string().into(),
            o.idempotency_ttl.as_secs().to_string().into(),
            bounds::IN_LINE_DEFAULT.as_millis().to_string().into(),
            items.len().to_string().into(),
            stamp.unix_ms().to_string().into(),
        ]);
        for (id, spec) in items {
            args.extend([
                self.inner.keys.idempotency(spec.workspace.as_str(), spec.request_id.as_str()).into(),
                format!("{id}{}", spec.fingerprint).into(),
                spec.workspace.as_str().into(),
                format!("{}\t{}", spec.priority, spec.job_type).into(),
                times(spec).into(),
                codec::record(spec, stamp, expiry(spec, stamp)).into(),
            ]);
        }
        #[cfg(feature = "chaos")]
        super::planted::reserve_keys(self, items).await?;
        let mut reply = Reply::array(self.run(&self.inner.scripts.enqueue, args).await?)?;
        let now = self.saw_time(&reply.text()?)?;
        let answers = reply.texts()?;
        if answers.len() != items.len() {
            return Err(corrupt("an enqueue reply of another length"));
        }
        #[cfg(feature = "chaos")]
        super::planted::count_apart(self, queue, &answers).await?;
        let created = if stamp.unix_ms().abs_diff(now.unix_ms()) <= STAMP_MS { stamp } else { now };
        answers.iter().zip(items).map(|(answer, (id, spec))| outcome(answer, *id, spec, created)).collect()
    }
}

/// Its last moment in line.
fn expiry(spec: &JobSpec, created: Timestamp) -> Timestamp {
    spec.expires_at.unwrap_or_else(|| spec.run_at.unwrap_or(created).max(created).plus(bounds::IN_LINE_DEFAULT))
}

/// The times a client asked for; nothing when it asked for none, as most do not.
fn times(spec: &JobSpec) -> String {
    let ms = |t: Option<Timestamp>| t.map(|t| t.unix_ms().to_string()).unwrap_or_default();
    match (spec.run_at, spec.expires_at) {
        (None, None) => String::new(),
        (run_at, expires_at) => format!("{}\t{}", ms(run_at), ms(expires_at)),
    }
}

fn outcome(answer: &str, id: JobId, spec: &JobSpec, created: Timestamp) -> Result<Enqueued, StoreError> {
    let (code, rest) = answer.split_at_checked(1).ok_or_else(|| corrupt("an empty enqueue answer"))?;
    let owned = |known: fn(JobId) -> Enqueued| rest.parse::<JobId>().map_or(Enqueued::Broken, known);
    Ok(match code {
        "n" => Enqueued::New(Box::new(codec::new_job(id, spec, created, expiry(spec, created)))),
        "r" => owned(Enqueued::Replay),
        "m" => owned(Enqueued::OtherBody),
        "F" => Enqueued::Full,
        "D" => Enqueued::Draining,
        "E" => Enqueued::Broken,
        _ => return Err(corrupt("an unknown enqueue answer")),
    })
}
