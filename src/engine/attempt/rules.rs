//! What the rules for actions say of an attempt before it runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{ActionFacts, FailureReason, HeldReason, RawJson, RetryPolicy, Verdict, arguments_digest};
use crate::store::{Ending, StoreError};

use super::super::executor::Executor;
use super::super::policy::Refusal;
use super::{AT_ONCE, Attempt};

/// How long an attempt waits that cannot be judged, since Redis does not answer.
const NOT_KNOWN: Duration = Duration::from_secs(1);

/// How an attempt ends that does not run, and the word for it in metrics.
pub(super) type Instead = (Ending, &'static str);

impl Attempt {
    /// Whether the rules let this attempt run now; judged again right before each effect.
    pub(super) async fn may_run(&self, executor: &dyn Executor, input: &Value) -> Result<(), Instead> {
        if !executor.info().is_action {
            return Ok(());
        }
        let job = &self.claimed.job;
        let facts = executor.facts(input);
        let judged = self.policies.judge_latest(&job.workspace, job.job_type.as_str(), &facts).await;
        let max_per_hour = match judged.map_err(|refusal| self.denied(&refusal))?.verdict {
            Verdict::DryRun => return Err((self.dry_run(&facts), "dry_run")),
            Verdict::Allow { max_per_hour } => max_per_hour,
            Verdict::Approve { max_per_hour, .. } => {
                self.approved().await?;
                max_per_hour
            }
        };
        match max_per_hour {
            Some(most) => self.within(most).await,
            None => Ok(()),
        }
    }

    /// Whether someone approved exactly what this job would do, and that still holds.
    async fn approved(&self) -> Result<(), Instead> {
        let (id, digest) = (self.claimed.job.id, self.digest());
        let read = async { Ok((self.store.approval(id).await?, self.store.now().await?)) };
        let (approval, now) = read.await.map_err(|error: StoreError| {
            self.postponed(FailureReason::Error, &format!("its approval could not be read: {error}"), NOT_KNOWN)
        })?;
        let why = match approval {
            Some(approval) if approval.digest == digest && approval.expires_at > now => return Ok(()),
            Some(approval) if approval.digest == digest => {
                format!("its approval of {} ended before it started; someone has to approve it again", approval.at)
            }
            _ => "the rules for this action want someone to approve it".to_owned(),
        };
        let failure = self.failure(FailureReason::ApprovalRequired, &why);
        Err((Ending::Held { reason: HeldReason::Approval, failure }, "held"))
    }

    fn denied(&self, refusal: &Refusal) -> Instead {
        match refusal {
            Refusal::Denied(why) => {
                let failure = self.failure(FailureReason::NotAllowed, &why.to_string());
                (Ending::Held { reason: HeldReason::ActionsDisabled, failure }, "held")
            }
            Refusal::NotKnown => self.postponed(FailureReason::Error, &refusal.to_string(), NOT_KNOWN),
        }
    }

    fn postponed(&self, reason: FailureReason, why: &str, wait: Duration) -> Instead {
        let after = wait.clamp(AT_ONCE, RetryPolicy::RETRY_AFTER_LIMIT);
        (Ending::Retry { after, failure: self.failure(reason, why), charged: false }, "postponed")
    }

    /// Succeeds, and says what would have been done to whom.
    fn dry_run(&self, facts: &ActionFacts) -> Ending {
        let result = json!({
            "dry_run": true,
            "action": self.claimed.job.job_type.as_str(),
            "digest": self.digest(),
            "would": {
                "recipients": facts.recipients,
                "repository": facts.repository,
                "host": facts.host,
                "bytes": facts.bytes,
            },
        });
        Ending::Succeeded { result: RawJson::from_value(&result), progress: None }
    }

    fn digest(&self) -> String {
        let job = &self.claimed.job;
        let input = job.input.clone().unwrap_or_else(|| RawJson::from_compact("null"));
        arguments_digest(&job.workspace, &job.job_type, &input)
    }

    async fn within(&self, most: u32) -> Result<(), Instead> {
        let job = &self.claimed.job;
        match self.policies.cap((&job.workspace, &job.job_type, job.id), most).await {
            Ok(None) => Ok(()),
            Ok(Some(wait)) => {
                let why = format!("its workspace may start {most} jobs of {} in an hour, and did", job.job_type);
                Err(self.postponed(FailureReason::RateLimited, &why, wait))
            }
            Err(error) => Err(self.postponed(FailureReason::Error, &error.to_string(), NOT_KNOWN)),
        }
    }
}
