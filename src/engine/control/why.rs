//! Why a job or a queue waits, with what this process sees of Redis.

use std::time::Duration;

use crate::domain::llm::BlockKind;
use crate::domain::{FailureReason, Job, JobId, QueueName, WaitReason, WorkerState};
use crate::store::{Blocker, QueueWhy, Scope, StoreError, Why};

use super::super::findings::{Findings, Level};
use super::super::guard::Guard;
use super::Control;

/// A look at Redis that takes longer shows in every step of every job.
const SLOW: Duration = Duration::from_secs(1);

/// What this process sees of Redis that could hold up jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTrouble {
    /// A check of `/ready` fails.
    Unsafe {
        /// Which check, and what it found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The latest look took this long.
    Slow(Duration),
}

impl RedisTrouble {
    /// The worst of what was found.
    #[must_use]
    pub fn of(findings: &Findings) -> Option<Self> {
        let failed = findings.checks.iter().find(|(_, check)| check.level == Level::Failed);
        if let Some((name, check)) = failed {
            let found = format!("{name}: {}", check.detail);
            return Some(Self::Unsafe { found, remedy: check.remedy.clone() });
        }
        (findings.took >= SLOW).then_some(Self::Slow(findings.took))
    }

    const fn reason(&self) -> WaitReason {
        match self {
            Self::Unsafe { .. } => WaitReason::RedisUnsafe,
            Self::Slow(_) => WaitReason::RedisSlow,
        }
    }
}

/// Why a job waits.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The one thing.
    pub reason: WaitReason,
    /// What the store says.
    pub why: Why,
    /// What this process sees of Redis.
    pub redis: Option<RedisTrouble>,
}

/// Why the jobs of a queue wait.
#[derive(Clone, Debug)]
pub struct QueueReason {
    /// What most of them wait for.
    pub reason: WaitReason,
    /// What the store says.
    pub why: QueueWhy,
    /// What this process sees of Redis.
    pub redis: Option<RedisTrouble>,
}

impl Control {
    /// Why a job waits, if it exists and `scope` may see it.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn why(&self, scope: &Scope, id: JobId, guard: &Guard) -> Result<Option<Reason>, StoreError> {
        let Some(why) = self.store.why(scope, id).await? else { return Ok(None) };
        let redis = RedisTrouble::of(&guard.findings());
        let own = of_job(&why.blocker, &why.job);
        let reason = match why.blocker {
            Blocker::RunAt(_) | Blocker::Backoff(_) | Blocker::Held | Blocker::None => own,
            _ => first(own, redis.as_ref()),
        };
        Ok(Some(Reason { reason, why, redis }))
    }

    /// Why the jobs of a queue wait; `None` for a queue that never was.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn queue_why(&self, queue: &QueueName, guard: &Guard) -> Result<Option<QueueReason>, StoreError> {
        let Some(why) = self.store.queue_why(queue).await? else { return Ok(None) };
        let redis = RedisTrouble::of(&guard.findings());
        let reason = match why.waiting.first() {
            Some(most) => first(of_blocker(&most.blocker), redis.as_ref()),
            None => idle(&why),
        };
        Ok(Some(QueueReason { reason, why, redis }))
    }
}

/// What takes precedence of two.
fn first(own: WaitReason, redis: Option<&RedisTrouble>) -> WaitReason {
    let place = |reason: WaitReason| WaitReason::ALL.iter().position(|known| *known == reason);
    match redis.map(RedisTrouble::reason) {
        Some(trouble) if place(trouble) < place(own) => trouble,
        _ => own,
    }
}

/// The word for a queue in which nothing is in line.
fn idle(why: &QueueWhy) -> WaitReason {
    match &why.summary {
        queue if queue.scheduled > 0 => WaitReason::RunAt,
        queue if queue.held > 0 && queue.running == 0 => WaitReason::Held,
        queue if queue.running > 0 => WaitReason::None,
        queue if queue.draining.is_some() => WaitReason::IntakeClosed,
        _ => WaitReason::Empty,
    }
}

fn of_job(blocker: &Blocker, job: &Job) -> WaitReason {
    let limited = job.failure.as_ref().filter(|failure| failure.reason == FailureReason::RateLimited);
    match (blocker, limited) {
        (Blocker::Backoff(_), Some(failure)) => match BlockKind::of_message(&failure.message) {
            Some(BlockKind::Budget) => WaitReason::Budget,
            Some(BlockKind::Cooling) => WaitReason::Breaker,
            _ => WaitReason::Limit,
        },
        _ => of_blocker(blocker),
    }
}

/// The word of a blocker.
pub(crate) fn of_blocker(blocker: &Blocker) -> WaitReason {
    match blocker {
        Blocker::None => WaitReason::None,
        Blocker::InLine => WaitReason::InLine,
        Blocker::SlotsBusy => WaitReason::SlotsBusy,
        Blocker::RunAt(_) => WaitReason::RunAt,
        Blocker::Backoff(_) => WaitReason::Backoff,
        Blocker::QueuePaused(_) => WaitReason::QueuePaused,
        Blocker::TypePaused(_) => WaitReason::TypePaused,
        Blocker::WorkspacePaused(_) => WaitReason::WorkspacePaused,
        Blocker::WorkspaceCap { .. } => WaitReason::WorkspaceCap,
        Blocker::NoWorker => WaitReason::NoWorker,
        Blocker::NotClaiming(WorkerState::Deaf) => WaitReason::WorkersDeaf,
        Blocker::NotClaiming(WorkerState::Stopping) => WaitReason::WorkersStopping,
        Blocker::NotClaiming(WorkerState::Quiet | WorkerState::Active) => WaitReason::WorkersQuiet,
        Blocker::TypeNotOffered => WaitReason::TypeNotOffered,
        Blocker::Suspect { .. } => WaitReason::Suspect,
        Blocker::Held => WaitReason::Held,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_takes_precedence_where_nothing_behind_it_could_be_mended_first() {
        let unsafe_redis = RedisTrouble::Unsafe { found: String::new(), remedy: String::new() };
        let slow = RedisTrouble::Slow(SLOW);
        for (own, redis, word) in [
            (WaitReason::QueuePaused, Some(&unsafe_redis), WaitReason::RedisUnsafe),
            (WaitReason::QueuePaused, Some(&slow), WaitReason::QueuePaused),
            (WaitReason::SlotsBusy, Some(&slow), WaitReason::RedisSlow),
            (WaitReason::InLine, None, WaitReason::InLine),
        ] {
            assert_eq!(first(own, redis), word);
        }
    }
}
