//! The only code that speaks Redis: keys, scripts, one Rust file per Lua verb.

mod error;
mod views;

use crate::domain::{Job, JobId, QueueName, Timestamp, Workspace};

pub use error::StoreError;
pub use views::{
    BandDepth, Blocker, DeadGroup, KeyRecord, ListPage, ListPosition, ListQuery, QueueSummary, Scope, SwitchedBy, Why,
    WorkerSummary, WorkspaceLimits,
};

/// A handle to the queue in Redis; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    _private: (),
}

#[expect(missing_docs, reason = "skeleton")]
impl Store {
    pub async fn job(&self, _scope: &Scope, _id: JobId) -> Result<Option<Job>, StoreError> {
        todo!()
    }
    pub async fn list(&self, _query: &ListQuery) -> Result<ListPage, StoreError> {
        todo!()
    }
    pub async fn why(&self, _scope: &Scope, _id: JobId) -> Result<Option<Why>, StoreError> {
        todo!()
    }
    /// Every queue that ever had a job or a worker, `default` always.
    pub async fn queues(&self) -> Result<Vec<QueueSummary>, StoreError> {
        todo!()
    }
    pub async fn queue(&self, _name: &QueueName) -> Result<Option<QueueSummary>, StoreError> {
        todo!()
    }
    pub async fn workers(&self) -> Result<Vec<WorkerSummary>, StoreError> {
        todo!()
    }
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        todo!()
    }
    /// Redis TIME.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        todo!()
    }
    pub async fn put_key(&self, _key: &KeyRecord) -> Result<(), StoreError> {
        todo!()
    }
    /// Takes the bootstrap key if no key exists at all; says whether it was taken.
    pub async fn put_first_key(&self, _key: &KeyRecord) -> Result<bool, StoreError> {
        todo!()
    }
    /// `hash`: SHA-256 of the key in hex.
    pub async fn key_by_hash(&self, _hash: &str) -> Result<Option<KeyRecord>, StoreError> {
        todo!()
    }
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        todo!()
    }
    /// False when there is no such key.
    pub async fn revoke_key(&self, _id: &str) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn workspace_limits(&self, _workspace: &Workspace) -> Result<WorkspaceLimits, StoreError> {
        todo!()
    }
    pub async fn set_workspace_limits(&self, _w: &Workspace, _limits: WorkspaceLimits) -> Result<(), StoreError> {
        todo!()
    }
}
