//! Verb `fleet`: the live worker processes.

use crate::domain::Timestamp;

use super::heartbeat::WorkerAbout;
use super::reply::{Reply, corrupt};
use super::views::WorkerSummary;
use super::{Store, StoreError};

impl Store {
    /// Live workers, oldest registration first; at most 1,000.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn workers(&self) -> Result<Vec<WorkerSummary>, StoreError> {
        let mut reply = Reply::array(self.run(&self.inner.scripts.fleet, vec!["-".into()]).await?)?;
        self.saw_time(&reply.text()?)?;
        let mut workers = Vec::with_capacity(reply.len() / 3);
        while !reply.is_empty() {
            let id = reply.text()?.parse().map_err(|_| corrupt("a worker id"))?;
            let about: WorkerAbout =
                serde_json::from_str(&reply.text()?).map_err(|_| corrupt("a worker's description"))?;
            let seen = reply.text()?.parse().map_err(|_| corrupt("a worker's last-heard time"))?;
            workers.push(WorkerSummary {
                id,
                host: about.host,
                pid: about.pid,
                version: about.version,
                queues: about.queues,
                types: about.types,
                slots: about.slots,
                busy: about.busy,
                status: about.status,
                hears: about.hears,
                claims: about.claims,
                told_by: about.told_by,
                started_at: Timestamp::from_unix_ms(about.started_ms),
                seen_at: Timestamp::from_unix_ms(seen),
            });
        }
        Ok(workers)
    }
}
