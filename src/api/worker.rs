//! Live worker processes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::WorkerState;

/// A live worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Worker")]
pub struct WorkerView {
    /// Its id, fresh on every start.
    pub id: String,
    /// The name of its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<ServedQueue>,
    /// The types it offers.
    pub types: Vec<String>,
    /// Jobs it can run at once.
    pub slots: u32,
    /// Jobs it ran at its last heartbeat.
    pub busy: u32,
    /// As it says itself: `running`, `quiet`, `draining` or `deaf`.
    pub status: String,
    /// How it stands.
    #[serde(default)]
    #[schema(schema_with = super::schema::worker_states)]
    pub state: String,
    /// Whether its claim loop came round since it started, and it claims now. Older versions do not say.
    #[serde(default)]
    pub claims: bool,
    /// Whether it knows orders from afar. Older versions ignore them.
    #[serde(default)]
    pub hears: bool,
    /// Who told it to be quiet or to stop.
    #[serde(default)]
    pub told_by: Option<String>,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it was last heard.
    #[schema(format = DateTime)]
    pub seen_at: String,
}

impl WorkerView {
    /// How it stands; an API of an older version says only what the worker says itself.
    #[must_use]
    pub fn standing(&self) -> &str {
        if self.state.is_empty() { &self.status } else { &self.state }
    }

    /// Whether it claims. A worker of an older version does not say so: it is enough that it runs.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.claims || (!self.hears && self.status == WorkerState::Active.status())
    }
}

/// A queue that a worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedQueue {
    /// The queue.
    pub name: String,
    /// Its weight among the worker's queues.
    pub weight: u32,
}

/// A live worker process, and what it runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "WorkerDetail")]
pub struct WorkerDetail {
    /// The worker.
    pub worker: WorkerView,
    /// The jobs that it holds leases of, by Redis and not by its heartbeat.
    pub jobs: Vec<JobInHand>,
    /// False if there may be more of them: of each shard 1,000 leases of a queue are looked at, and 100 jobs shown.
    pub jobs_complete: bool,
    /// When this was read, by Redis' time.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A job that a worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobInHand {
    /// Its id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Its queue.
    pub queue: String,
    /// Whose it is.
    pub workspace: String,
    /// Which attempt this is.
    pub attempt: u32,
    /// Since when it runs.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
}

/// An order that was put into a worker's inbox. It obeys within a moment; `GET /workers` shows when it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "WorkerOrder")]
pub struct OrderView {
    /// The worker.
    pub id: String,
    /// What it was told.
    #[schema(schema_with = super::schema::orders)]
    pub order: String,
    /// By whom: the name of the key.
    pub by: String,
    /// Whether the worker knows orders; one of an older version ignores them.
    pub hears: bool,
}

/// All live workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerView>,
    /// When this was read, by Redis' time.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(more: &str) -> WorkerView {
        let common = r#""id":"w","host":"h","pid":1,"version":"0","queues":[],"types":[],"slots":1,"busy":0"#;
        let text = format!(r#"{{{common},"started_at":"","seen_at":"",{more}}}"#);
        serde_json::from_str(&text).expect("a worker")
    }

    #[test]
    fn a_worker_of_an_older_version_serves_while_it_runs_and_any_other_when_it_says_so() {
        let (older, leaving) = (listed(r#""status":"running""#), listed(r#""status":"draining""#));
        assert_eq!((older.standing(), older.serves()), ("running", true));
        assert!(!leaving.serves());
        let begins = listed(r#""status":"running","state":"active","hears":true"#);
        assert_eq!((begins.standing(), begins.serves()), ("active", false));
        assert!(listed(r#""status":"running","state":"active","hears":true,"claims":true"#).serves());
    }
}
