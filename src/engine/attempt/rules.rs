//! How an attempt ends that the rules for actions stop before it runs.

use serde_json::json;

use crate::domain::{ActionFacts, FailureReason, HeldReason, RawJson};
use crate::store::Ending;

use super::super::judge::{NOT_KNOWN, Stopped, digest};
use super::Attempt;

impl Attempt {
    /// Whether the rules let this attempt run; if not, how it ends instead, and the word for that in metrics.
    pub(super) async fn may_run(&self) -> Result<(), (Ending, &'static str)> {
        let stopped = match self.judge.judge(&self.claimed.job).await {
            Ok(()) => return Ok(()),
            Err(stopped) => stopped,
        };
        Err(match stopped {
            Stopped::DryRun(facts) => self.dry_run(&facts).await,
            Stopped::Hold(reason, kind, why) => (Ending::Held { reason, failure: self.failure(kind, &why) }, "held"),
            Stopped::Wait(kind, why, after) => {
                (Ending::Retry { after, failure: self.failure(kind, &why), charged: false }, "postponed")
            }
        })
    }

    /// Succeeds, and says what would have been done to whom; unless an earlier attempt did it, or may have.
    async fn dry_run(&self, facts: &ActionFacts) -> (Ending, &'static str) {
        match self.store.effects(self.claimed.job.id, None).await {
            Ok(effects) if effects.is_empty() => (self.dry_result(facts), "dry_run"),
            Ok(_) => {
                let why = "the rules make it a dry run now, and an earlier attempt began it";
                let failure = self.failure(FailureReason::OutcomeUnknown, why);
                (Ending::Held { reason: HeldReason::OutcomeUnknown, failure }, "held")
            }
            Err(error) => {
                let failure = self.failure(FailureReason::Error, &format!("its effects could not be read: {error}"));
                (Ending::Retry { after: NOT_KNOWN, failure, charged: false }, "postponed")
            }
        }
    }

    fn dry_result(&self, facts: &ActionFacts) -> Ending {
        let result = json!({
            "dry_run": true,
            "action": self.claimed.job.job_type.as_str(),
            "digest": digest(&self.claimed.job),
            "would": {
                "recipients": facts.recipients,
                "repository": facts.repository,
                "host": facts.host,
                "bytes": facts.bytes,
            },
        });
        Ending::Succeeded { result: RawJson::from_value(&result), progress: None }
    }
}
