//! What is known of the jobs that events name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::events::JobEvent;
use super::JobStep;
use crate::domain::{Job, JobId, JobState, JobType, QueueName, Workspace, clip_text};
use crate::store::{Shards, StoreError};

/// Jobs remembered; beyond them everything is forgotten, and read again when it is needed.
const MOST: usize = 50_000;
/// Jobs read at once: a record may have a result of 1 MiB.
const AT_ONCE: usize = 20;
/// Bytes of a message that a line of a terminal has room for.
const MESSAGE: usize = 200;

/// What stays the same over a job's life, and how it was left.
#[derive(Clone, Debug)]
struct Face {
    workspace: Workspace,
    job_type: JobType,
    queue: QueueName,
    last: Option<JobState>,
}

/// Jobs that were seen lately.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<JobId, Face>);

impl Known {
    /// The steps that these events are. Reports of progress are none; jobs that are gone are left out.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub(super) async fn steps(&mut self, store: &Shards, events: &[JobEvent]) -> Result<Vec<Arc<JobStep>>, StoreError> {
        let events: Vec<&JobEvent> = events.iter().filter(|event| !event.is_progress).collect();
        let wanted: HashSet<JobId> = events.iter().filter(|event| self.needs(event)).map(|event| event.job).collect();
        let read = read(store, wanted).await?;
        if self.0.len() + read.len() > MOST {
            self.0.clear();
        }
        Ok(events.into_iter().filter_map(|event| self.step(event, read.get(&event.job))).collect())
    }

    /// A job that is not known, that may have moved, or that has a reason to tell.
    fn needs(&self, event: &JobEvent) -> bool {
        !self.0.contains_key(&event.job) || !matches!(event.state, JobState::Running | JobState::Succeeded)
    }

    fn step(&mut self, event: &JobEvent, read: Option<&Job>) -> Option<Arc<JobStep>> {
        if let Some(job) = read {
            let last = self.0.get(&event.job).and_then(|face| face.last);
            let (workspace, job_type, queue) = (job.workspace.clone(), job.job_type.clone(), job.queue.clone());
            self.0.insert(event.job, Face { workspace, job_type, queue, last });
        }
        let face = self.0.get_mut(&event.job)?;
        let from = face.last.replace(event.state).or_else(|| only_from(event.state));
        let (reason, message) = read.map(|job| reason(event, job)).unwrap_or_default();
        Some(Arc::new(JobStep {
            cursor: format!("{}.{}", event.cursor, event.index),
            job: event.job,
            workspace: face.workspace.clone(),
            job_type: face.job_type.clone(),
            queue: face.queue.clone(),
            from,
            state: event.state,
            attempt: event.attempt,
            at: event.at,
            reason,
            message,
        }))
    }
}

async fn read(store: &Shards, wanted: HashSet<JobId>) -> Result<HashMap<JobId, Job>, StoreError> {
    let mut by_shard: HashMap<u8, Vec<JobId>> = HashMap::new();
    for id in wanted {
        by_shard.entry(id.shard()).or_default().push(id);
    }
    let mut found = HashMap::new();
    for ids in by_shard.values() {
        for some in ids.chunks(AT_ONCE) {
            let jobs = store.of(some[0]).jobs(some).await?;
            found.extend(jobs.into_iter().flatten().map(|stored| (stored.job.id, stored.job)));
        }
    }
    Ok(found)
}

/// The state that a job leaves for this one, if it is always the same: so a line is whole though nobody saw the job
/// before.
fn only_from(state: JobState) -> Option<JobState> {
    let mut all = crate::domain::TRANSITIONS.iter().filter(|t| t.to == state).map(|t| t.from);
    let first = all.next()?;
    all.all(|from| from == first).then_some(first).flatten()
}

/// The job may have gone on since: then its reason is not that of the event.
fn reason(event: &JobEvent, job: &Job) -> (Option<String>, Option<String>) {
    if job.state != event.state || job.attempt != event.attempt {
        return (None, None);
    }
    let held = job.held_reason.filter(|_| job.state == JobState::Held).map(|reason| reason.to_string());
    let failure = job.failure.as_ref().filter(|_| job.state != JobState::Cancelled);
    let message = failure.map(|failure| clip_text(&failure.message, MESSAGE));
    (held.or_else(|| failure.map(|failure| failure.reason.to_string())), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_left_is_told_only_where_it_is_certain() {
        assert_eq!(only_from(JobState::Running), Some(JobState::Pending));
        assert_eq!(only_from(JobState::Succeeded), Some(JobState::Running));
        assert_eq!((only_from(JobState::Pending), only_from(JobState::Cancelled)), (None, None));
    }
}
