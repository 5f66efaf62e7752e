//! Verb `read`: jobs by id, live or ended.

use fred::prelude::Value;

use crate::domain::{Job, JobId, RequestId, Workspace, bounds};

use super::reply::{Reply, corrupt, text};
use super::views::Scope;
use super::{Store, StoreError, codec};

const HOUR_MS: u64 = 3_600_000;

/// A job and where it is kept.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The job.
    pub job: Job,
    /// Where an ended job's record is, in hours since the epoch; `None` for live and dead jobs.
    pub bucket: Option<i64>,
}

impl Store {
    /// One job, if it exists and `scope` may see it.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn job(&self, scope: &Scope, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.stored(scope, id).await?.map(|stored| stored.job))
    }

    /// One job and where it is kept.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn stored(&self, scope: &Scope, id: JobId) -> Result<Option<Stored>, StoreError> {
        let found = self.jobs(&[id]).await?.pop().flatten();
        #[cfg(feature = "chaos")]
        if super::planted::is_on(self, super::planted::Switch::CrossWorkspaceRead) {
            return Ok(found);
        }
        Ok(found.filter(|stored| scope.sees(&stored.job.workspace)))
    }

    /// Up to 100 jobs in the order asked for; `None` for those that are not kept.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Stored>>, StoreError> {
        if ids.len() > bounds::SCRIPT_ITEMS {
            return Err(corrupt("more than 100 ids in one read"));
        }
        // One hour of slack: the id's clock is an estimate of Redis time.
        let oldest = self.inner.options.retention.as_secs() / 3600 + 1;
        let mut args: Vec<Value> = vec!["-".into(), oldest.to_string().into()];
        for id in ids {
            args.push(id.to_string().into());
            args.push((id.unix_ms() / HOUR_MS).saturating_sub(1).to_string().into());
        }
        let mut reply = Reply::array(self.run(&self.inner.scripts.read, args).await?)?;
        self.saw_time(&reply.text()?)?;
        ids.iter().map(|id| one(*id, reply.value()?)).collect()
    }

    /// The job that has a client's request id, if its idempotency key still lives.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn job_of_request(&self, ws: &Workspace, id: &RequestId) -> Result<Option<JobId>, StoreError> {
        let key = self.inner.keys.idempotency(ws.as_str(), id.as_str());
        let held = text(self.inner.link.command("GET", vec![key.into()]).await?)?;
        Ok(held.get(..22).and_then(|id| id.parse().ok()))
    }
}

fn one(id: JobId, value: Value) -> Result<Option<Stored>, StoreError> {
    let Value::Array(_) = value else { return Ok(None) };
    let mut parts = Reply::array(value)?;
    if parts.len() == 2 {
        let done = parts.text()?;
        let bucket = parts.text()?.parse().map_err(|_| corrupt("a done bucket"))?;
        return Ok(Some(Stored { job: codec::ended_job(id, &done)?, bucket: Some(bucket) }));
    }
    let (record, entry, due, progress) = (parts.text()?, parts.text()?, parts.text()?, parts.text()?);
    let (job, _) = codec::live_job(id, &record, &entry, &due, &progress)?;
    Ok(Some(Stored { job, bucket: None }))
}
