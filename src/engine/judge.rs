//! What the rules for actions say of an attempt: before it runs, and again before an effect when they changed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{ActionFacts, FailureReason, HeldReason, Job, RawJson, RetryPolicy, Verdict, arguments_digest};
use crate::store::{Store, StoreError};

use super::effect_log::{Judgement, Rules};
use super::executor::{AT_ONCE, Disposition, ExecutionError};
use super::policy::{Policies, Refusal};
use super::registry::Registry;

/// How long an attempt waits that cannot be judged, since Redis does not answer.
pub(super) const NOT_KNOWN: Duration = Duration::from_secs(1);

/// Why an attempt does not run now. None of these is charged.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It is set aside.
    Hold(HeldReason, FailureReason, String),
    /// It comes again after this time.
    Wait(FailureReason, String, Duration),
    /// It succeeds without doing anything; what it would have done.
    DryRun(ActionFacts),
}

/// Judges the jobs of one shard.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) policies: Policies,
    pub(super) registry: Arc<Registry>,
    pub(super) store: Store,
}

impl Judge {
    /// Whether a job may run now.
    pub(super) async fn judge(&self, job: &Job) -> Result<(), Stopped> {
        let Ok(executor) = self.registry.executor(job.job_type.as_str()) else { return Ok(()) };
        if !executor.info().is_action {
            return Ok(());
        }
        let facts = executor.facts(&job.input.as_ref().map(RawJson::to_value).unwrap_or_default());
        let judged = self.policies.judge_latest(&job.workspace, job.job_type.as_str(), &facts).await;
        let max_per_hour = match judged.map_err(refused)? {
            Verdict::DryRun => return Err(Stopped::DryRun(facts)),
            Verdict::Allow { max_per_hour } => max_per_hour,
            Verdict::Approve { max_per_hour, .. } => {
                self.approved(job).await?;
                max_per_hour
            }
        };
        match max_per_hour {
            Some(most) => self.within(job, most).await,
            None => Ok(()),
        }
    }

    /// Whether someone approved exactly what this job would do, and that still holds.
    async fn approved(&self, job: &Job) -> Result<(), Stopped> {
        let read = async { Ok((self.store.approval(job.id).await?, self.store.now().await?)) };
        let (approval, now) = read.await.map_err(|error: StoreError| {
            Stopped::Wait(FailureReason::Error, format!("its approval could not be read: {error}"), NOT_KNOWN)
        })?;
        let digest = digest(job);
        let why = match approval {
            Some(approval) if approval.digest == digest && approval.expires_at > now => return Ok(()),
            Some(approval) if approval.digest == digest => {
                format!("its approval of {} ended before it started; someone has to approve it again", approval.at)
            }
            _ => "the rules for this action want someone to approve it".to_owned(),
        };
        Err(Stopped::Hold(HeldReason::Approval, FailureReason::ApprovalRequired, why))
    }

    async fn within(&self, job: &Job, most: u32) -> Result<(), Stopped> {
        match self.policies.cap((&job.workspace, &job.job_type, job.id), most).await {
            Ok(None) => Ok(()),
            Ok(Some(wait)) => {
                let why = format!("its workspace may start {most} jobs of {} in an hour, and did", job.job_type);
                let wait = wait.clamp(AT_ONCE, RetryPolicy::RETRY_AFTER_LIMIT);
                Err(Stopped::Wait(FailureReason::RateLimited, why, wait))
            }
            Err(error) => Err(Stopped::Wait(FailureReason::Error, error.to_string(), NOT_KNOWN)),
        }
    }
}

/// The digest of what a job would do.
pub(super) fn digest(job: &Job) -> String {
    let input = job.input.clone().unwrap_or_else(|| RawJson::from_compact("null"));
    arguments_digest(&job.workspace, &job.job_type, &input)
}

fn refused(refusal: Refusal) -> Stopped {
    let why = refusal.to_string();
    match refusal {
        Refusal::Denied(_) => Stopped::Hold(HeldReason::ActionsDisabled, FailureReason::NotAllowed, why),
        Refusal::NotKnown => Stopped::Wait(FailureReason::Error, why, NOT_KNOWN),
    }
}

impl Rules for Judge {
    fn revision(&self) -> String {
        self.policies.revision()
    }

    /// By the newest rules there are; the shard's own may be older, where a change has not come yet.
    fn judge<'a>(&'a self, job: &'a Job, _revision: &'a str) -> Judgement<'a> {
        Box::pin(async move {
            let read = self.policies.refresh().await;
            read.map_err(|error| stopped(Stopped::Wait(FailureReason::Error, error.to_string(), NOT_KNOWN)))?;
            Self::judge(self, job).await.map_err(stopped)
        })
    }
}

/// What becomes of an attempt that stops before its effect. One that is a dry run now says so when it comes again.
fn stopped(why: Stopped) -> ExecutionError {
    match why {
        Stopped::Hold(held, reason, message) => {
            ExecutionError { reason, message, disposition: Disposition::Hold(held) }
        }
        Stopped::Wait(reason, message, after) => {
            ExecutionError { reason, message, disposition: Disposition::Postpone { after } }
        }
        Stopped::DryRun(_) => ExecutionError {
            reason: FailureReason::NotAllowed,
            message: "the rules make it a dry run now".to_owned(),
            disposition: Disposition::Postpone { after: AT_ONCE },
        },
    }
}
