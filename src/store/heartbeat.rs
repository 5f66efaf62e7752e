//! Verb `heartbeat`: renew a worker's registration and its leases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{AttemptId, JobId, QueueName, WorkerId, bounds};

use super::reply::{Reply, corrupt};
use super::{Store, StoreError};

/// What a worker process says of itself; stored as JSON beside its registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerAbout {
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// Its version of Windlass.
    pub version: String,
    /// Queues with weights.
    pub queues: Vec<(String, u32)>,
    /// Types it runs.
    pub types: Vec<String>,
    /// Slots.
    pub slots: u32,
    /// Slots in use.
    pub busy: u32,
    /// `running`, `quiet`, `draining` or `deaf`.
    pub status: String,
    /// Start, in milliseconds since the epoch.
    pub started_ms: i64,
    /// Whether it knows orders from afar; versions that do not say so ignore them.
    #[serde(default)]
    pub hears: bool,
    /// Whether its claim loop came round since it started, and it claims now.
    #[serde(default)]
    pub claims: bool,
    /// Who told it to be quiet or to stop; empty for nobody.
    #[serde(default)]
    pub told_by: String,
}

/// One lease to renew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// The job's queue.
    pub queue: QueueName,
    /// The job.
    pub job: JobId,
    /// The attempt that holds it.
    pub attempt_id: AttemptId,
}

impl Store {
    /// Renews the registration and at most 100 leases; answers per lease whether it is still held.
    ///
    /// # Errors
    /// When Redis did not answer; the leases may or may not be renewed.
    pub async fn heartbeat(
        &self,
        worker: WorkerId,
        life: Duration,
        about: &WorkerAbout,
        leases: &[LeaseRef],
    ) -> Result<Vec<bool>, StoreError> {
        if leases.len() > bounds::SCRIPT_ITEMS {
            return Err(corrupt("more than 100 leases in one heartbeat"));
        }
        #[cfg(feature = "chaos")]
        let life = super::planted::by_own_clock(self, life);
        let text = serde_json::to_string(about).map_err(|e| corrupt(&e.to_string()))?;
        let mut args = vec!["-".into(), worker.to_string().into(), life.as_millis().to_string().into(), text.into()];
        args.push(about.queues.len().to_string().into());
        args.extend(about.queues.iter().map(|(name, _)| name.as_str().into()));
        for lease in leases {
            args.push(lease.queue.as_str().into());
            args.push(format!("{}:{}", lease.job, lease.attempt_id).into());
        }
        let mut reply = Reply::array(self.run(&self.inner.scripts.heartbeat, args).await?)?;
        self.saw_time(&reply.text()?)?;
        let held: Vec<bool> = reply.texts()?.iter().map(|answer| answer == "1").collect();
        if held.len() != leases.len() {
            return Err(corrupt("a heartbeat reply of another length"));
        }
        Ok(held)
    }
}
