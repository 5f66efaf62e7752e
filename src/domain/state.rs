//! The states of a job and the one table of legal transitions.

use super::failure::words;

words! {
    /// Where a job is in its life.
    JobState {
        /// Waits for its `run_at` or for the end of a backoff.
        Scheduled = "scheduled",
        /// In line.
        Pending = "pending",
        /// Claimed by a worker under a lease.
        Running = "running",
        /// Set aside until someone or something decides; see [`HeldReason`].
        Held = "held",
        /// Done, with a result.
        Succeeded = "succeeded",
        /// Given up on; kept for 30 days and redrivable.
        Dead = "dead",
        /// Cancelled by a client or an operator.
        Cancelled = "cancelled",
        /// Its time in line ran out before it started.
        Expired = "expired",
    }
}

words! {
    /// Why a job is held.
    HeldReason {
        /// An effect may have happened and nobody can tell.
        OutcomeUnknown = "outcome_unknown",
        /// Someone has to approve it.
        Approval = "approval",
        /// A credential has to be renewed.
        NeedsReauth = "needs_reauth",
        /// Actions are switched off.
        ActionsDisabled = "actions_disabled",
        /// An operator set it aside.
        Operator = "operator",
    }
}

words! {
    /// What moves a job from one state to another.
    Cause {
        /// A client's enqueue with a future `run_at`.
        EnqueueLater = "run_at later",
        /// A client's enqueue.
        Enqueue = "enqueue",
        /// The due time came.
        Due = "due",
        /// A worker took the job.
        Claim = "claim",
        /// The attempt succeeded.
        Complete = "complete",
        /// The attempt failed and may be repeated.
        Retry = "retry",
        /// The attempt failed for good.
        Fail = "fail",
        /// A worker gave the job back without an attempt being charged.
        Release = "release",
        /// The worker stopped renewing its lease.
        LeaseExpired = "lease expired",
        /// The job has to wait for a decision, or an operator set it aside.
        Hold = "hold",
        /// The decision came.
        Unhold = "release hold",
        /// A client or an operator cancelled it.
        Cancel = "cancel",
        /// Its time in line ran out.
        Expire = "expire",
        /// An operator gave it another life.
        Redrive = "redrive",
    }
}

impl HeldReason {
    /// Whether the attempt that ended so counts: it began its effect, or something was wrong with it. One that found
    /// that it must not begin does not.
    #[must_use]
    pub const fn is_charged(self) -> bool {
        matches!(self, Self::OutcomeUnknown | Self::Operator)
    }
}

impl JobState {
    /// Whether only an explicit redrive can change this state.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired)
    }

    /// Whether `cause` may move a job from this state, and to where. Several targets are possible
    /// for one cause only where the table lists several rows.
    pub fn targets(self, cause: Cause) -> impl Iterator<Item = Self> {
        TRANSITIONS.iter().filter(move |t| t.from == Some(self) && t.cause == cause).map(|t| t.to)
    }
}

/// One row of the table of legal transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state left; `None` for a job that did not exist.
    pub from: Option<JobState>,
    /// What moved it.
    pub cause: Cause,
    /// The state reached.
    pub to: JobState,
}

const fn row(from: Option<JobState>, cause: Cause, to: JobState) -> Transition {
    Transition { from, cause, to }
}

/// Every legal transition. A change that is not in this table does not happen: the property test
/// of the store checks each observed step against it.
pub const TRANSITIONS: &[Transition] = {
    use Cause as C;
    use JobState as S;
    &[
        row(None, C::EnqueueLater, S::Scheduled),
        row(None, C::Enqueue, S::Pending),
        row(Some(S::Scheduled), C::Due, S::Pending),
        row(Some(S::Scheduled), C::Cancel, S::Cancelled),
        row(Some(S::Scheduled), C::Expire, S::Expired),
        row(Some(S::Scheduled), C::Hold, S::Held),
        row(Some(S::Pending), C::Claim, S::Running),
        row(Some(S::Pending), C::Cancel, S::Cancelled),
        row(Some(S::Pending), C::Expire, S::Expired),
        row(Some(S::Pending), C::Hold, S::Held),
        row(Some(S::Running), C::Complete, S::Succeeded),
        row(Some(S::Running), C::Retry, S::Scheduled),
        row(Some(S::Running), C::Fail, S::Dead),
        row(Some(S::Running), C::Release, S::Pending),
        row(Some(S::Running), C::Release, S::Scheduled),
        row(Some(S::Running), C::LeaseExpired, S::Pending),
        row(Some(S::Running), C::LeaseExpired, S::Dead),
        row(Some(S::Running), C::Hold, S::Held),
        row(Some(S::Running), C::Cancel, S::Cancelled),
        row(Some(S::Held), C::Unhold, S::Pending),
        row(Some(S::Held), C::Unhold, S::Scheduled),
        row(Some(S::Held), C::Cancel, S::Cancelled),
        row(Some(S::Dead), C::Redrive, S::Pending),
        row(Some(S::Cancelled), C::Redrive, S::Pending),
        row(Some(S::Expired), C::Redrive, S::Pending),
    ]
};

/// The table as a Mermaid state diagram; ARCHITECTURE.md carries a copy and a test compares.
#[must_use]
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n");
    for t in TRANSITIONS {
        let from = t.from.map_or("[*]", JobState::as_str);
        text.push_str(&format!("    {from} --> {}: {}\n", t.to, t.cause));
    }
    for state in JobState::ALL.iter().filter(|s| s.is_terminal()) {
        text.push_str(&format!("    {state} --> [*]\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_are_left_by_redrive_only() {
        for t in TRANSITIONS {
            if t.from.is_some_and(JobState::is_terminal) {
                assert_eq!(t.cause, Cause::Redrive, "{t:?}");
                assert_ne!(t.from, Some(JobState::Succeeded), "a succeeded job never runs again");
            }
        }
    }

    #[test]
    fn every_state_is_reachable_and_every_live_state_can_end() {
        for state in JobState::ALL {
            assert!(TRANSITIONS.iter().any(|t| t.to == *state), "{state} is unreachable");
            let ends = TRANSITIONS.iter().any(|t| t.from == Some(*state) && t.to.is_terminal());
            assert!(state.is_terminal() || ends, "{state} cannot end");
        }
    }

    #[test]
    fn no_row_stands_twice() {
        for (i, t) in TRANSITIONS.iter().enumerate() {
            assert!(!TRANSITIONS[i + 1..].contains(t), "{t:?}");
        }
    }
}
