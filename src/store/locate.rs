//! Verb `locate`: why a job waits.

use std::collections::BTreeMap;

use crate::domain::{Job, JobId, JobState};

use super::heartbeat::WorkerAbout;
use super::reply::Reply;
use super::summary::switched_by;
use super::views::{Blocker, Scope, Why};
use super::{Store, StoreError};

impl Store {
    /// What one job waits for, if it exists and `scope` may see it.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn why(&self, scope: &Scope, id: JobId) -> Result<Option<Why>, StoreError> {
        let Some(job) = self.job(scope, id).await? else { return Ok(None) };
        let args = vec![
            job.queue.as_str().into(),
            id.to_string().into(),
            job.workspace.as_str().into(),
            job.job_type.as_str().into(),
            job.priority.as_str().into(),
        ];
        let mut reply = Reply::array(self.run(&self.inner.scripts.locate, args).await?)?;
        let (parked, rank) = (reply.text()?, reply.text()?);
        let blocked: BTreeMap<String, String> = reply.nested()?.pairs()?.into_iter().collect();
        let limits = reply.text()?;
        let workers = u64::try_from(reply.int()?).unwrap_or_default();
        let about: Vec<WorkerAbout> =
            reply.nested()?.texts()?.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let blocker = match job.state {
            JobState::Pending => in_line(&job, &parked, &blocked, &limits, &about),
            JobState::Scheduled => match job.run_at {
                Some(at) if job.attempt > 0 || job.crashes > 0 || job.failure.is_some() => Blocker::Backoff(at),
                Some(at) => Blocker::RunAt(at),
                None => Blocker::InLine,
            },
            JobState::Held => Blocker::Held,
            _ => Blocker::None,
        };
        let position = (job.state == JobState::Pending).then(|| rank.parse().ok()).flatten();
        Ok(Some(Why { job, blocker, position, workers }))
    }
}

fn in_line(
    job: &Job,
    parked: &str,
    blocked: &BTreeMap<String, String>,
    limits: &str,
    about: &[WorkerAbout],
) -> Blocker {
    let switch = |field: String| blocked.get(&field).map(|text| switched_by(text));
    if let Some(by) = switch("q".to_owned()) {
        return Blocker::QueuePaused(by);
    }
    if let Some(by) = switch(format!("t:{}", job.job_type)) {
        return Blocker::TypePaused(by);
    }
    if let Some(by) = switch(format!("w:{}", job.workspace)) {
        return Blocker::WorkspacePaused(by);
    }
    if about.is_empty() {
        return Blocker::NoWorker;
    }
    if !about.iter().any(|worker| worker.types.iter().any(|name| name == job.job_type.as_str())) {
        return Blocker::TypeNotOffered;
    }
    match parked.get(..1) {
        Some("c") => {
            let cap = limits.split('\t').nth(1).and_then(|cap| cap.parse().ok()).unwrap_or_default();
            Blocker::WorkspaceCap { max_running: cap }
        }
        Some("s") => Blocker::Suspect { crashes: job.crashes },
        _ => Blocker::InLine,
    }
}
