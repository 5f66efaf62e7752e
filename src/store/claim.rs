//! Verb `claim`: take jobs for a worker that has nothing to report. Also the types that `cycle`
//! shares with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::prelude::Value;

use crate::domain::{AttemptId, Job, JobId, JobType, QueueName, Timestamp, WorkerId};
use crate::metrics;

use super::reply::{Reply, corrupt, text_of};
use super::{Store, StoreError, codec};

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest<'a> {
    /// From which queue.
    pub queue: &'a QueueName,
    /// At most this many, 0 to 100.
    pub want: usize,
    /// By whom.
    pub worker: WorkerId,
    /// Fences every job of this claim; fresh for each call.
    pub attempt_id: AttemptId,
    /// From now to the lease's end.
    pub lease: Duration,
    /// Whether a suspect ([`Job::is_suspect`](crate::domain::Job::is_suspect)) may be among them (one at most).
    pub may_suspect: bool,
    /// Whether leases that ran out may be taken away; not right after a broken connection.
    pub may_reap: bool,
    /// Types this worker runs.
    pub types: &'a [JobType],
}

/// A job under a lease; cheap to clone.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job; `attempt` is the one that begins now.
    pub job: Arc<Job>,
    /// The fence.
    pub attempt_id: AttemptId,
    /// Whether no worker had it before. The first attempt after a redrive, or after a hold, is not.
    pub is_new: bool,
    /// Its record without the input: what is kept on success.
    pub(super) head: Arc<str>,
}

/// What a claim brought.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The jobs.
    pub jobs: Vec<Claimed>,
    /// Redis time of the claim.
    pub now: Timestamp,
    /// Until something else becomes due; `None` when nothing is scheduled or leased.
    pub next_due: Option<Duration>,
    /// Work waits that this worker cannot take; another was rung.
    pub declined: bool,
}

pub(super) fn claim_args(store: &Store, r: &ClaimRequest<'_>) -> Vec<Value> {
    let o = &store.inner.options;
    let flag = |on: bool| if on { "1" } else { "0" };
    let types: Vec<&str> = r.types.iter().map(JobType::as_str).collect();
    let lease = r.lease;
    #[cfg(feature = "chaos")]
    let lease = super::planted::by_own_clock(store, lease);
    vec![
        r.queue.as_str().into(),
        o.events_kept.to_string().into(),
        o.idempotency_ttl.as_secs().to_string().into(),
        o.retention.as_secs().to_string().into(),
        r.want.min(crate::domain::bounds::SCRIPT_ITEMS).to_string().into(),
        r.worker.to_string().into(),
        r.attempt_id.to_string().into(),
        lease.as_millis().to_string().into(),
        flag(r.may_suspect).into(),
        flag(r.may_reap).into(),
        types.join(" ").into(),
    ]
}

/// Reads the reply that `claim` and `cycle` share: claims and finish answers.
pub(super) fn read_claims(store: &Store, value: Value, token: AttemptId) -> Result<(Claims, Vec<i64>), StoreError> {
    let mut reply = Reply::array(value)?;
    let now = store.saw_time(&reply.text()?)?;
    let due: i64 = reply.text()?.parse().map_err(|_| corrupt("a due time"))?;
    let declined = reply.text()? == "1";
    let mut ended = reply.nested()?;
    let answers =
        ended.texts()?.iter().map(|a| a.parse().map_err(|_| corrupt("a finish answer"))).collect::<Result<_, _>>()?;
    let first = reply.text()?;
    let again: HashMap<String, String> = reply.nested()?.pairs()?.into_iter().collect();
    let mut jobs = Vec::new();
    let mut found = reply.nested()?;
    while !found.is_empty() {
        let (id, record) = (found.value()?, found.value()?);
        let (id, record) = (text_of(&id)?, text_of(&record)?);
        let (entry, is_new) = again.get(&*id).map_or((&first, true), |entry| (entry, false));
        let decoded = id.parse::<JobId>().map_err(|_| corrupt("a job id"));
        match decoded.and_then(|id| codec::live_job(id, &record, entry, "", "")) {
            Ok((job, _)) => {
                let head = codec::without_input(&record).into();
                jobs.push(Claimed { job: job.into(), attempt_id: token, is_new, head });
            }
            // Its neighbours run; it comes back when its lease has run out, uncharged.
            Err(error) => {
                ::metrics::counter!(metrics::UNREADABLE_JOBS.name).increment(1);
                tracing::error!(job_id = %id, %error, "a claimed job cannot be read");
            }
        }
    }
    let next_due = u64::try_from(due).ok().map(Duration::from_millis);
    Ok((Claims { jobs, now, next_due, declined }, answers))
}

impl Store {
    /// Claims jobs.
    ///
    /// # Errors
    /// `Unknown`: jobs may be leased to this call's attempt id; the worker does not know them, so
    /// their leases run out and nothing is charged.
    pub async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        let value = self.run(&self.inner.scripts.claim, claim_args(self, request)).await?;
        Ok(read_claims(self, value, request.attempt_id)?.0)
    }
}
