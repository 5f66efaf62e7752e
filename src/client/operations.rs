//! Bulk operations.

use super::{Client, ClientError};
use crate::api::operation::{BeginOperation, OperationList, OperationView, PreviewView, ResumeOperation};
use crate::domain::JobId;

impl Client {
    /// What an operation would do now; nothing is changed. Takes some 10 s at most.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn preview_operation(&self, wanted: &BeginOperation) -> Result<PreviewView, ClientError> {
        let look = BeginOperation { dry_run: Some(true), ..wanted.clone() };
        self.post_repeatable(&["operations"], Some(&look)).await
    }

    /// Begins an operation under this id; repeated for a moment when the failure may pass, since the id makes it one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn begin_operation(&self, id: JobId, wanted: &BeginOperation) -> Result<OperationView, ClientError> {
        let operation_id = Some(id.to_string());
        let begin = BeginOperation { dry_run: Some(false), operation_id, ..wanted.clone() };
        self.post_repeatable(&["operations"], Some(&begin)).await
    }

    /// Operations, newest first; of one state, if it is named.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operations(&self, state: Option<&str>, limit: u32) -> Result<OperationList, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(state.map(|state| ("state", state.to_owned())));
        self.get(&["operations"], &query).await
    }

    /// One operation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operation(&self, id: JobId) -> Result<OperationView, ClientError> {
        self.get(&["operations", &id.to_string()], &[]).await
    }

    /// Stops an operation; repeating is safe.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stop_operation(&self, id: JobId) -> Result<OperationView, ClientError> {
        self.post_repeatable(&["operations", &id.to_string(), "stop"], None::<&()>).await
    }

    /// Goes on with a stopped operation; repeating is safe.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resume_operation(&self, id: JobId, how: &ResumeOperation) -> Result<OperationView, ClientError> {
        self.post_repeatable(&["operations", &id.to_string(), "resume"], Some(how)).await
    }
}
