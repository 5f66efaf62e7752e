//! Submitting, reading and steering jobs.

use std::time::Duration;

use reqwest::Method;

use super::transport::timeout_for;
use super::{Client, ClientError};
use crate::api::batch::BatchResult;
use crate::api::job::{CreateJob, JobList, JobView};
use crate::api::types::TypeList;
use crate::api::why::WhyView;
use crate::domain::JobId;

/// An accepted job.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The job as it stands.
    pub job: JobView,
    /// Whether it existed before.
    pub replayed: bool,
}

/// Which jobs to list. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<String>,
    /// Of this type.
    pub job_type: Option<String>,
    /// On this queue.
    pub queue: Option<String>,
    /// With this client id.
    pub request_id: Option<String>,
    /// Created at or after.
    pub created_after: Option<String>,
    /// Created before.
    pub created_before: Option<String>,
    /// Rows per page, 1 to 200.
    pub limit: Option<usize>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

impl JobFilter {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("state", &self.state),
            ("type", &self.job_type),
            ("queue", &self.queue),
            ("client_request_id", &self.request_id),
            ("created_after", &self.created_after),
            ("created_before", &self.created_before),
            ("cursor", &self.cursor),
        ];
        let mut query: Vec<_> = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
        query.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        query
    }
}

impl Client {
    /// Submits a job; repeated for a moment when the failure may pass, which its id makes safe.
    ///
    /// # Errors
    /// See [`ClientError`]. After `Unreachable` and `outcome_unknown`, submit the same again.
    pub async fn submit(&self, job: &CreateJob) -> Result<Receipt, ClientError> {
        let url = self.url(&["ai", "jobs"], &[]);
        let response = self.send_repeatable(&self.request(Method::POST, url)?.json(job)).await?;
        let replayed = response.headers().contains_key("idempotent-replayed");
        Ok(Receipt { job: self.read(response).await?, replayed })
    }

    /// Submits up to 1,000 jobs; each has a result of its own.
    ///
    /// # Errors
    /// When the batch as a whole was refused.
    pub async fn submit_batch(&self, jobs: &[CreateJob]) -> Result<BatchResult, ClientError> {
        let url = self.url(&["ai", "jobs", "batch"], &[]);
        self.read(self.send_repeatable(&self.request(Method::POST, url)?.json(&jobs)).await?).await
    }

    /// Reads a job, waiting up to `wait` for it to end.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn job(&self, id: JobId, wait: Duration) -> Result<JobView, ClientError> {
        let url = self.url(&["ai", "jobs", &id.to_string()], &[]);
        let mut request = self.request(Method::GET, url)?;
        if !wait.is_zero() {
            request = request.header("prefer", format!("wait={}", wait.as_secs().max(1))).timeout(timeout_for(wait));
        }
        self.read(self.send_repeatable(&request).await?).await
    }

    /// One page of jobs, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn jobs(&self, filter: &JobFilter) -> Result<JobList, ClientError> {
        self.get(&["ai", "jobs"], &filter.query()).await
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cancel(&self, id: JobId) -> Result<JobView, ClientError> {
        self.call(Method::POST, &["ai", "jobs", &id.to_string(), "cancel"], None::<&()>).await
    }

    /// Gives a dead, cancelled or expired job another life.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn redrive(&self, id: JobId) -> Result<JobView, ClientError> {
        self.call(Method::POST, &["ai", "jobs", &id.to_string(), "redrive"], None::<&()>).await
    }

    /// What a job waits for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn why(&self, id: JobId) -> Result<WhyView, ClientError> {
        self.get(&["ai", "jobs", &id.to_string(), "why"], &[]).await
    }

    /// The job types of the server.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn types(&self) -> Result<TypeList, ClientError> {
        self.get(&["ai", "types"], &[]).await
    }
}
