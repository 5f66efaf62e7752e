//! Verb `operation`: the records of bulk operations, on the first shard.

use std::time::Duration;

use crate::domain::{JobId, Operation, OperationState};

use super::reply::{Reply, corrupt, text};
use super::{Store, StoreError, codec};

/// Operations that run at once.
pub const MOST_RUNNING: usize = 10;

/// Operations that are kept.
const MOST_KEPT: usize = 1_000;

/// How long they are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A record as it was read; a change is made to exactly this.
#[derive(Clone, Debug)]
pub struct OperationRecord {
    /// What it says.
    pub operation: Operation,
    text: String,
}

impl OperationRecord {
    fn read(text: String) -> Result<Self, StoreError> {
        Ok(Self { operation: codec::operation_from(&text)?, text })
    }
}

/// What became of a change to a record.
#[derive(Clone, Debug)]
pub enum PutOperation {
    /// It is on record.
    Done,
    /// The record is another by now; `None` if it is gone.
    Changed(Option<Box<OperationRecord>>),
    /// As many run as may, [`MOST_RUNNING`].
    TooMany,
}

impl Store {
    /// Writes a record, in place of `before`, or where there is none. Asked of the first shard.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe, and answers `Changed` with this very record if it was done.
    pub async fn put_operation(
        &self,
        before: Option<&OperationRecord>,
        operation: &Operation,
    ) -> Result<PutOperation, StoreError> {
        let runs = operation.state == OperationState::Running;
        let args = vec![
            "-".into(),
            operation.id.to_string().into(),
            before.map(|record| record.text.as_str()).unwrap_or_default().into(),
            codec::operation_to(operation).into(),
            if runs { "1" } else { "0" }.into(),
            MOST_RUNNING.to_string().into(),
            MOST_KEPT.to_string().into(),
            KEPT.as_millis().to_string().into(),
        ];
        let mut reply = Reply::array(self.run(&self.inner.scripts.operation, args).await?)?;
        match (reply.int()?, reply.text()?) {
            (1, _) => Ok(PutOperation::Done),
            (2, _) => Ok(PutOperation::TooMany),
            (0, there) if there.is_empty() => Ok(PutOperation::Changed(None)),
            (0, there) => OperationRecord::read(there).map(|record| PutOperation::Changed(Some(Box::new(record)))),
            _ => Err(corrupt("an unknown operation answer")),
        }
    }

    /// One record. Asked of the first shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn operation(&self, id: JobId) -> Result<Option<OperationRecord>, StoreError> {
        let args = vec![self.inner.keys.operations().into(), id.to_string().into()];
        let found = text(self.inner.link.command("HGET", args).await?)?;
        if found.is_empty() { Ok(None) } else { OperationRecord::read(found).map(Some) }
    }

    /// All records, newest first. Asked of the first shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn operations(&self) -> Result<Vec<Operation>, StoreError> {
        let all = self.inner.link.command("HVALS", vec![self.inner.keys.operations().into()]).await?;
        let texts = Reply::array(all)?.texts()?;
        let mut all: Vec<Operation> = texts.iter().map(|text| codec::operation_from(text)).collect::<Result<_, _>>()?;
        all.sort_by_key(|operation| std::cmp::Reverse((operation.created_at, operation.id.to_string())));
        Ok(all)
    }

    /// Which operations run, [`MOST_RUNNING`] at most: one cheap command. Asked of the first shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn running_operations(&self) -> Result<Vec<JobId>, StoreError> {
        let args = vec![self.inner.keys.operations_running().into()];
        let ids = Reply::array(self.inner.link.command("SMEMBERS", args).await?)?.texts()?;
        Ok(codec::operation_ids(&ids))
    }
}
