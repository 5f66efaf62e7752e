//! Verb `locate`: why a job waits.

use std::collections::BTreeMap;

use crate::domain::{Job, JobId, JobState, Timestamp};

use super::crew::{by_workspace, is_offered, read_about};
use super::heartbeat::WorkerAbout;
use super::pause::switched_by;
use super::reply::{Reply, whole_ms};
use super::views::{Ahead, Blocker, Crew, Scope, Why};
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
        let place = Place::read(&job, self.run(&self.inner.scripts.locate, args).await?)?;
        let lost = place.lease.filter(|end| job.state == JobState::Running && *end <= place.now);
        let blocker = match job.state {
            JobState::Pending => place.in_line(&job),
            // The next claim puts it in line: until then it waits for what those in line wait for.
            JobState::Scheduled if job.run_at.is_some_and(|at| at <= place.now) => place.in_line(&job),
            JobState::Running if lost.is_some() => place.in_line(&job),
            JobState::Scheduled => match job.run_at {
                Some(at) if job.attempt > 0 || job.crashes > 0 || job.failure.is_some() => Blocker::Backoff(at),
                Some(at) => Blocker::RunAt(at),
                None => Blocker::InLine,
            },
            JobState::Held => Blocker::Held,
            _ => Blocker::None,
        };
        let position = if job.state == JobState::Pending { place.rank } else { None };
        let Place { workers, crew, ahead, now, .. } = place;
        Ok(Some(Why { job, blocker, position, workers, crew, ahead, lost, now }))
    }
}

/// What the script says of the place of a job.
struct Place {
    parked: String,
    rank: Option<u64>,
    blocked: BTreeMap<String, String>,
    limits: String,
    workers: u64,
    about: Vec<WorkerAbout>,
    crew: Crew,
    ahead: Ahead,
    now: Timestamp,
    lease: Option<Timestamp>,
}

impl Place {
    fn read(job: &Job, value: fred::prelude::Value) -> Result<Self, StoreError> {
        let mut reply = Reply::array(value)?;
        let (parked, rank) = (reply.text()?, reply.text()?.parse().ok());
        let blocked = reply.nested()?.pairs()?.into_iter().collect();
        let limits = reply.text()?;
        let workers = u64::try_from(reply.int()?).unwrap_or_default();
        let about = read_about(&reply.nested()?.texts()?);
        let leases = u64::try_from(reply.int()?).unwrap_or_default();
        let crew = Crew::of(&about, leases, &reply.nested()?.texts()?, Some(&job.job_type));
        let higher = reply.text()?.parse().unwrap_or_default();
        let kinds = reply.nested()?.texts()?;
        let weights: BTreeMap<String, String> = reply.nested()?.pairs()?.into_iter().collect();
        let mut time = || reply.text().map(|text| text.parse::<f64>().ok().map(whole_ms));
        let (now, lease) = (time()?.unwrap_or(Timestamp::from_unix_ms(0)), time()?);
        let ahead = Ahead { higher, in_band: rank.unwrap_or_default(), of: by_workspace(&kinds, &weights) };
        Ok(Self { parked, rank, blocked, limits, workers, about, crew, ahead, now, lease })
    }

    /// The order is that of [`crate::domain::WaitReason`].
    fn in_line(&self, job: &Job) -> Blocker {
        let switch = |field: String| self.blocked.get(&field).map(|text| switched_by(text));
        if let Some(by) = switch("q".to_owned()) {
            return Blocker::QueuePaused(by);
        }
        if let Some(absent) = self.crew.absent(self.workers) {
            return absent;
        }
        if let Some(by) = switch(format!("t:{}", job.job_type)) {
            return Blocker::TypePaused(by);
        }
        if let Some(by) = switch(format!("w:{}", job.workspace)) {
            return Blocker::WorkspacePaused(by);
        }
        if !is_offered(&self.about, job.job_type.as_str()) {
            return Blocker::TypeNotOffered;
        }
        match self.parked.get(..1) {
            Some("c") => {
                let cap = self.limits.split('\t').nth(1).and_then(|cap| cap.parse().ok()).unwrap_or_default();
                Blocker::WorkspaceCap { max_running: cap }
            }
            Some("s") => Blocker::Suspect { crashes: job.crashes },
            _ if self.crew.is_full() => Blocker::SlotsBusy,
            _ => Blocker::InLine,
        }
    }
}
