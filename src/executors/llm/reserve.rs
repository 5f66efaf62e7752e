//! Asking the fleet's book for a share before a call, and what it means when there is none.

use std::sync::Arc;
use std::time::Duration;

use super::fleet::Fleet;
use super::route::{Choice, Wanted};
use crate::clock;
use crate::domain::llm::{Block, Demand, Quota, Reserved};
use crate::domain::{FailureReason, Timestamp};
use crate::engine::{Disposition, ExecutionError, JobContext};

/// A wait of at most this long is sat out; a longer one gives the slot to others.
const IN_PLACE: Duration = Duration::from_secs(2);

/// Shares are asked for this often in one attempt.
const ASKED: u32 = 3;

/// When the book cannot be reached, the job comes back after this long.
const AWAY: Duration = Duration::from_secs(1);

/// How much longer than the attempt a share is held, so that a late settlement still finds it.
const MARGIN: Duration = Duration::from_secs(10);

/// Asks until there is a share, the job has to come back later, or there never will be one. Answers the
/// index of the choice.
pub(super) async fn reserve(
    fleet: Option<&Arc<dyn Fleet>>,
    context: &JobContext,
    call: &Arc<str>,
    (choices, wanted): (&[Choice], &Wanted<'_>),
    workspace_default: Quota,
) -> Result<usize, ExecutionError> {
    let Some(fleet) = fleet else { return Ok(0) };
    let demand = Demand {
        job: context.id,
        call: Arc::clone(call),
        workspace: context.workspace.clone(),
        workspace_default,
        candidates: choices.iter().map(|choice| choice.candidate(wanted)).collect(),
        hold: context.deadline.saturating_duration_since(clock::now()) + MARGIN,
    };
    let mut sat = Duration::ZERO;
    for asked in 1.. {
        match fleet.reserve(demand.clone()).await {
            Err(error) => {
                let message = format!("no share of the limits could be asked for: {error}");
                let disposition = Disposition::Postpone { after: AWAY };
                return Err(ExecutionError { reason: FailureReason::Error, message, disposition });
            }
            Ok(Reserved::Granted { candidate, .. }) => return Ok(candidate.min(choices.len() - 1)),
            Ok(Reserved::Never { block }) => {
                let message = format!("the call asks for more than all of the {block}");
                return Err(ExecutionError::permanent(FailureReason::Invalid, message));
            }
            Ok(Reserved::Later { at, block }) => {
                let wait = at.since(fleet.now()).max(Duration::from_millis(1));
                let time_left = context.deadline.saturating_duration_since(clock::now());
                sat += wait;
                if asked >= ASKED || sat > IN_PLACE || wait >= time_left {
                    return Err(later(context, at, wait, &block));
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
    Err(ExecutionError::retryable(FailureReason::Error, "no share of the limits was granted"))
}

/// The job comes back when there is a share; or ends, when it would be too late by then.
fn later(context: &JobContext, at: Timestamp, wait: Duration, block: &Block) -> ExecutionError {
    match context.expires_at.filter(|end| *end < at) {
        Some(end) => {
            let message = format!("the {block} leaves no room before {at}, and the job's time in line ends at {end}");
            ExecutionError::permanent(FailureReason::RateLimited, message)
        }
        None => ExecutionError::postpone(format_args!("waits until {at} for room in the {block}"), wait),
    }
}
