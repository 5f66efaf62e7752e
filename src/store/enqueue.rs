//! Verb `enqueue`: up to 100 jobs of one queue, written whole or not at all.

use std::borrow::Borrow;

use fred::prelude::Value;

use crate::domain::{Job, JobId, JobSpec, QueueName, Timestamp, bounds};

use super::reply::{Reply, corrupt};
use super::{Store, StoreError, codec};

/// How far ahead of Redis' time the time in an id may be to count, in milliseconds.
pub(super) const AHEAD_MS: i64 = 100;
/// How far behind.
pub(super) const BEHIND_MS: i64 = 10_000;

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
    pub async fn enqueue<S: Borrow<JobSpec> + Sync>(
        &self,
        queue: &QueueName,
        items: &[(JobId, S)],
    ) -> Result<Vec<Enqueued>, StoreError> {
        if items.len() > bounds::SCRIPT_ITEMS {
            return Err(corrupt("more than 100 items in one enqueue"));
        }
        let o = &self.inner.options;
        let told = || items.iter().map(|(id, _)| codec::made(*id).unix_ms());
        let (latest, earliest) = (told().max().unwrap_or_default(), told().min().unwrap_or_default());
        let mut args: Vec<Value> = Vec::with_capacity(8 + items.len() * 6);
        args.extend([
            queue.as_str().into(),
            o.events_kept.to_string().into(),
            if o.listing_index { "1" } else { "0" }.into(),
            o.max_depth.to_string().into(),
            o.idempotency_ttl.as_secs().to_string().into(),
            items.len().to_string().into(),
            (latest - AHEAD_MS).to_string().into(),
            (earliest + BEHIND_MS).to_string().into(),
        ]);
        for (id, spec) in items {
            let spec: &JobSpec = spec.borrow();
            args.extend([
                self.inner.keys.idempotency(spec.workspace.as_str(), spec.request_id.as_str()).into(),
                format!("{id}{}", spec.fingerprint).into(),
                spec.workspace.as_str().into(),
                format!("{}\t{}", spec.priority, spec.job_type).into(),
                times(spec).into(),
                codec::record(*id, spec).into(),
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
        answers.iter().zip(items).map(|(answer, (id, spec))| outcome(answer, *id, spec.borrow(), now)).collect()
    }
}

/// The times a client asked for; nothing when it asked for none, as most do not.
fn times(spec: &JobSpec) -> String {
    let ms = |t: Option<Timestamp>| t.map(|t| t.unix_ms().to_string()).unwrap_or_default();
    match (spec.run_at, spec.expires_at) {
        (None, None) => String::new(),
        (run_at, expires_at) => format!("{}\t{}", ms(run_at), ms(expires_at)),
    }
}

fn outcome(answer: &str, id: JobId, spec: &JobSpec, now: Timestamp) -> Result<Enqueued, StoreError> {
    let (code, rest) = answer.split_at_checked(1).ok_or_else(|| corrupt("an empty enqueue answer"))?;
    let new = |created| Enqueued::New(Box::new(codec::new_job(id, spec, created, now)));
    let owned = |known: fn(JobId) -> Enqueued| rest.parse::<JobId>().map_or(Enqueued::Broken, known);
    Ok(match code {
        "n" => new(codec::made(id)),
        "N" => new(now),
        "r" => owned(Enqueued::Replay),
        "m" => owned(Enqueued::OtherBody),
        "F" => Enqueued::Full,
        "D" => Enqueued::Draining,
        "E" => Enqueued::Broken,
        _ => return Err(corrupt("an unknown enqueue answer")),
    })
}
