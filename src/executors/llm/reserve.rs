//! Asking the fleet's book for a share before a call, and what it means when there is none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::fleet::Fleet;
use super::route::{Choice, Wanted};
use super::settle::Account;
use crate::clock;
use crate::domain::llm::{Block, BlockKind, Demand, Quota, Reserved};
use crate::domain::{FailureReason, Timestamp};
use crate::engine::{Disposition, ExecutionError, JobContext, tasks};
use crate::metrics;
use crate::store::StoreError;

/// A wait of at most this long is sat out; a longer one gives the slot to others.
const IN_PLACE: Duration = Duration::from_secs(2);

/// Shares are asked for this often in one attempt.
const ASKED: u32 = 3;

/// When the book cannot be reached, the job comes back after this long.
const AWAY: Duration = Duration::from_secs(1);

/// When it is not known whether the book has answered, it is asked again after this long.
const AGAIN: Duration = Duration::from_millis(100);

/// How much longer than the attempt a share is held, so that a late settlement still finds it.
const MARGIN: Duration = Duration::from_secs(10);

/// A call that has no share yet.
pub(super) struct Request<'a> {
    /// `None` grants every call to the first choice.
    pub(super) fleet: Option<&'a Arc<dyn Fleet>>,
    pub(super) context: &'a JobContext,
    /// Best first; not empty.
    pub(super) choices: &'a [Choice],
    pub(super) wanted: &'a Wanted<'a>,
    /// Limits of a workspace that has none of its own.
    pub(super) workspace_default: Quota,
}

/// A share, or what is in its way.
enum Answer {
    Share(usize, Box<Account>),
    Later(Timestamp, Block),
    Never(Block),
}

impl Request<'_> {
    /// Asks until there is a share, the job has to come back later, or there never will be one. Answers the
    /// index of the choice, and the account that the call is settled by.
    pub(super) async fn grant(&self) -> Result<(usize, Box<Account>), ExecutionError> {
        let call: Arc<str> = format!("{}-{:016x}", self.context.attempt, rand::random::<u64>()).into();
        let Some(fleet) = self.fleet else {
            let choice = self.choices[0].clone();
            let account = Account::open(None, self.context, call, choice, self.wanted.input);
            return Ok((0, Box::new(account)));
        };
        let demand = self.demand(&call);
        let (mut sat, mut asked) = (Duration::ZERO, 0);
        loop {
            asked += 1;
            match self.ask(fleet, demand.clone()).await {
                // Under the same name it is the same share.
                Err(StoreError::Unknown(_)) if asked < ASKED => tokio::time::sleep(AGAIN).await,
                Err(error) => return Err(unasked(&error)),
                Ok(Answer::Share(taken, account)) => return Ok((taken, account)),
                Ok(Answer::Never(block)) => {
                    let message = format!("the call asks for more than all of the {block}");
                    return Err(ExecutionError::permanent(FailureReason::Invalid, message));
                }
                Ok(Answer::Later(at, block)) => {
                    let wait = at.since(fleet.now()).max(Duration::from_millis(1));
                    measure(&block, wait);
                    let time_left = self.context.deadline.saturating_duration_since(clock::now());
                    sat += wait;
                    if asked >= ASKED || sat > IN_PLACE || wait >= time_left {
                        return Err(later(self.context, at, wait, &block));
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn demand(&self, call: &Arc<str>) -> Demand {
        Demand {
            job: self.context.id,
            call: Arc::clone(call),
            workspace: self.context.workspace.clone(),
            workspace_default: self.workspace_default,
            candidates: self.choices.iter().map(|choice| choice.candidate(self.wanted)).collect(),
            hold: self.context.deadline.saturating_duration_since(clock::now()) + MARGIN,
        }
    }

    /// Asks in a task of its own: a job that is cancelled while the answer is on its way must still give back
    /// the share that it was granted, which the account does when nobody takes it.
    async fn ask(&self, fleet: &Arc<dyn Fleet>, demand: Demand) -> Result<Answer, StoreError> {
        let (fleet, context, choices) = (Arc::clone(fleet), self.context.clone(), self.choices.to_vec());
        let (call, input) = (Arc::clone(&demand.call), self.wanted.input);
        let (sender, answer) = oneshot::channel();
        tasks::spawn("llm-reserve", async move {
            let answer = fleet.reserve(demand).await.map(|reserved| match reserved {
                Reserved::Granted { candidate, .. } => {
                    let taken = candidate.min(choices.len() - 1);
                    let choice = choices[taken].clone();
                    let account = Account::open(Some(fleet), &context, call, choice, input);
                    Answer::Share(taken, Box::new(account))
                }
                Reserved::Later { at, block } => Answer::Later(at, block),
                Reserved::Never { block } => Answer::Never(block),
            });
            // Refused when the job is gone.
            drop(sender.send(answer));
        });
        answer.await.unwrap_or_else(|_| Err(StoreError::Unknown("the call for a share ended".to_owned())))
    }
}

/// Which limits hold calls up, and for how long.
fn measure(block: &Block, wait: Duration) {
    let word = BlockKind::ALL.into_iter().find_map(|(kind, word)| (kind == block.kind).then_some(word));
    let word = word.unwrap_or_default();
    ::metrics::histogram!(metrics::LLM_DELAY.name, "limit" => word).record(wait.as_secs_f64());
}

/// Nothing was sent, so nothing is charged. A book that cannot understand the call never will: that is charged, lest
/// the job goes round for ever.
fn unasked(error: &StoreError) -> ExecutionError {
    let message = format!("no share of the limits could be asked for: {error}");
    let disposition = match error {
        StoreError::Corrupt(_) => Disposition::Retry { after: None },
        _ => Disposition::Postpone { after: AWAY },
    };
    ExecutionError { reason: FailureReason::Error, message, disposition }
}

/// The job comes back when there is a share; or ends, when it would be too late by then.
fn later(context: &JobContext, at: Timestamp, wait: Duration, block: &Block) -> ExecutionError {
    match context.expires_at.filter(|end| *end < at) {
        Some(end) => {
            let message = format!("the {block} leaves no room before {at}, and the job's time in line ends at {end}");
            ExecutionError::permanent(FailureReason::RateLimited, message)
        }
        None => ExecutionError::postpone(block.waits_until(at), wait),
    }
}
