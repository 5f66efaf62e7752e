//! Verb `receipts`: what is on record of a job's effects.

use crate::domain::{Approval, EffectRecord, JobId, Timestamp};

use super::reply::Reply;
use super::{Store, StoreError, codec};

impl Store {
    /// What is on record of a job's effects, in the order of the last change. `bucket` is the hour of its done record,
    /// if it has one.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn effects(&self, id: JobId, bucket: Option<i64>) -> Result<Vec<EffectRecord>, StoreError> {
        let (now, epoch, text) = self.receipts(id, bucket).await?;
        codec::effects(&text, now, &epoch)
    }

    /// The latest approval of a live or dead job, whether it still holds or not.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn approval(&self, id: JobId) -> Result<Option<Approval>, StoreError> {
        codec::approval(&self.receipts(id, None).await?.2)
    }

    async fn receipts(&self, id: JobId, bucket: Option<i64>) -> Result<(Timestamp, String, String), StoreError> {
        let bucket = bucket.map(|hour| hour.to_string()).unwrap_or_default();
        let args = vec!["-".into(), id.to_string().into(), bucket.into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.receipts, args).await?)?;
        let now = self.saw_time(&reply.text()?)?;
        Ok((now, reply.text()?, reply.text()?))
    }
}
