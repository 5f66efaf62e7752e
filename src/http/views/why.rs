//! Why a job or a queue waits, in words: the cause in one sentence, and the command that goes on from there.

use crate::api::why::{AheadOf, AheadView, CrewView, QueueWhyView, WaitingView, WhyView};
use crate::domain::{HeldReason, Job, JobState, QueueName, Rates, Timestamp, WaitReason};
use crate::engine::{QueueReason, Reason, RedisTrouble, of_blocker};
use crate::store::{Ahead, Blocker, Crew, Scope, SwitchedBy, Waiting};

use super::{millis, switch};

/// A job's answer. A caller that is bound to a workspace learns no other's name.
pub(in crate::http) fn why(of: &Reason, scope: &Scope) -> WhyView {
    let why = &of.why;
    let (job, held) = (&why.job, why.blocker == Blocker::Held);
    let until = match why.blocker {
        Blocker::RunAt(at) | Blocker::Backoff(at) => Some(at.to_string()),
        _ => None,
    };
    let ahead = why.position.is_some().then(|| ahead(&why.ahead, scope));
    WhyView {
        job_id: job.id.to_string(),
        state: job.state.to_string(),
        blocker: of.reason.to_string(),
        detail: detail(of, ahead.as_ref()),
        until,
        since: held.then(|| job.failure.as_ref().map(|failure| failure.at.to_string())).flatten(),
        next: Some(next(of)),
        runbook: runbook(of.reason),
        switched_off: switched(&why.blocker).map(switch),
        position: why.position,
        ahead,
        workers: why.workers,
        crew: crew(&why.crew),
    }
}

/// A queue's answer.
pub(in crate::http) fn queue_why(of: &QueueReason, rates: Option<Rates>) -> QueueWhyView {
    let (why, queue) = (&of.why, &of.why.summary);
    let most = why.waiting.first();
    let until = (of.reason == WaitReason::RunAt).then(|| why.next_due.map(|at| at.to_string())).flatten();
    QueueWhyView {
        queue: queue.name.to_string(),
        blocker: of.reason.to_string(),
        detail: queue_detail(of),
        next: Some(queue_next(of)),
        runbook: runbook(of.reason),
        until,
        switched_off: most.and_then(|part| switched(&part.blocker)).map(switch),
        draining: queue.draining.as_ref().map(switch),
        waiting: queue.waiting(),
        counts: why.waiting.iter().map(waiting).collect(),
        crew: crew(&why.crew),
        oldest_ms: why.oldest.map(millis),
        enqueue_rate: rates.map(|rates| rates.enqueue),
        dequeue_rate: rates.map(|rates| rates.dequeue),
    }
}

fn runbook(reason: WaitReason) -> String {
    format!("runbook.md#{}", reason.section())
}

fn waiting(part: &Waiting) -> WaitingView {
    WaitingView {
        blocker: of_blocker(&part.blocker).to_string(),
        subject: part.subject.clone(),
        jobs: part.jobs,
        sample: part.sample.map(|id| id.to_string()),
    }
}

fn crew(crew: &Crew) -> CrewView {
    let count = |state: &str| crew.states.get(state).copied().unwrap_or_default();
    CrewView {
        active: count("active"),
        quiet: count("quiet"),
        stopping: count("stopping"),
        deaf: count("deaf"),
        slots: crew.slots,
        busy: crew.busy,
    }
}

fn ahead(ahead: &Ahead, scope: &Scope) -> AheadView {
    let (own, foreign): (Vec<_>, Vec<_>) = ahead.of.iter().partition(|(name, ..)| scope.sees(name));
    let named = |(name, weight, jobs): &(crate::domain::Workspace, u32, u64)| AheadOf {
        workspace: Some(name.to_string()),
        weight: Some(*weight),
        jobs: *jobs,
    };
    let mut of: Vec<AheadOf> = own.into_iter().map(named).collect();
    let others = foreign.iter().map(|(_, _, jobs)| jobs).sum();
    if others > 0 {
        of.push(AheadOf { workspace: None, weight: None, jobs: others });
    }
    AheadView { higher_bands: ahead.higher, in_band: ahead.in_band, of }
}

fn switched(blocker: &Blocker) -> Option<&SwitchedBy> {
    match blocker {
        Blocker::QueuePaused(by) | Blocker::TypePaused(by) | Blocker::WorkspacePaused(by) => Some(by),
        _ => None,
    }
}

fn jobs(n: u64) -> String {
    if n == 1 { "1 job".to_owned() } else { format!("{n} jobs") }
}

/// By whom, when and why, behind what is paused.
fn paused(what: &str, by: Option<&SwitchedBy>) -> String {
    let Some(SwitchedBy { by, at, reason, .. }) = by else { return format!("{what} is paused") };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{what} is paused by {by} since {at}{reason}")
}

/// `2 quiet (by alice), 1 deaf`.
fn standing(crew: &Crew) -> String {
    let by = if crew.told_by.is_empty() { String::new() } else { format!(" (told by {})", crew.told_by.join(", ")) };
    let parts: Vec<String> = crew.states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    format!("{}{by}", parts.join(", "))
}

/// `all 8 slots are busy: 6 llm.chat, 2 echo`.
fn busy_with(crew: &Crew) -> String {
    let parts: Vec<String> = crew.running.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let with = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    match crew.slots {
        1 => format!("the one slot is busy{with}"),
        slots => format!("all {slots} slots are busy{with}"),
    }
}

/// What holds up all jobs of a queue alike; `None` when it depends on the job.
fn of_all(reason: WaitReason, queue: &QueueName, crew: &Crew, redis: Option<&RedisTrouble>) -> Option<String> {
    let alive = || format!("workers are alive on queue {queue} and none claims: {}", standing(crew));
    Some(match (reason, redis) {
        (WaitReason::RedisUnsafe, Some(RedisTrouble::Unsafe { found, .. })) => format!("Redis is not safe: {found}"),
        (WaitReason::RedisSlow, Some(RedisTrouble::Slow(took))) => {
            format!("Redis is slow: a look at it took {:.1} s", took.as_secs_f64())
        }
        (WaitReason::NoWorker, _) => format!("no worker is alive on queue {queue}"),
        (WaitReason::WorkersQuiet | WaitReason::WorkersDeaf | WaitReason::WorkersStopping, _) => alive(),
        (WaitReason::SlotsBusy, _) => busy_with(crew),
        _ => return None,
    })
}

/// What is behind a state that nothing has moved on yet, and the sentence.
fn detail(of: &Reason, ahead: Option<&AheadView>) -> String {
    let (why, job) = (&of.why, &of.why.job);
    let text = cause(of, ahead);
    let waits = matches!(job.state, JobState::Pending | JobState::Scheduled);
    match (why.lost, job.run_at, job.expires_at) {
        (Some(at), ..) => format!("its worker was lost, and its lease ended at {at}; {text}"),
        (_, _, at) if waits && at <= why.now => {
            format!("{text}; its last moment in line was {at}: it will expire")
        }
        (_, Some(at), _) if job.state == JobState::Scheduled && at <= why.now => {
            format!("its time came at {at}; {text}")
        }
        _ => text,
    }
}

fn cause(of: &Reason, ahead: Option<&AheadView>) -> String {
    let (why, job) = (&of.why, &of.why.job);
    if let Some(text) = of_all(of.reason, &job.queue, &why.crew, of.redis.as_ref()) {
        return text;
    }
    match &why.blocker {
        Blocker::QueuePaused(by) => paused(&format!("queue {}", job.queue), Some(by)),
        Blocker::TypePaused(by) => paused(&format!("{} in queue {}", job.job_type, job.queue), Some(by)),
        Blocker::WorkspacePaused(by) => paused(&format!("the workspace in queue {}", job.queue), Some(by)),
        Blocker::RunAt(at) => format!("it is not to run before {at}"),
        Blocker::Backoff(at) => backoff(job, of.reason, *at),
        Blocker::WorkspaceCap { max_running } => {
            format!("its workspace already runs the {} it may", jobs(u64::from(*max_running)))
        }
        Blocker::TypeNotOffered => not_offered(&job.queue, job.job_type.as_str(), &why.crew),
        Blocker::Suspect { crashes } => {
            format!("it was running at {crashes} crashes, so it waits to run as the only suspect")
        }
        Blocker::Held => {
            let reason = job.held_reason.map_or("held", |r| r.as_str());
            let said = job.failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            format!("it is held ({reason}){said}")
        }
        Blocker::InLine => in_line(ahead),
        _ => format!("the job is {}; it waits for nothing", job.state),
    }
}

fn not_offered(queue: &QueueName, name: &str, crew: &Crew) -> String {
    let others = match crew.offered_by_others {
        0 => String::new(),
        n => format!("; {n} that do not claim would"),
    };
    format!("no live worker on queue {queue} that claims runs {name}{others}")
}

/// What a job said that waits for room in a limit, or for a provider that asked for patience.
fn backoff(job: &Job, reason: WaitReason, at: Timestamp) -> String {
    match (&job.failure, reason) {
        (Some(failure), WaitReason::Limit | WaitReason::Budget | WaitReason::Breaker) => failure.message.clone(),
        _ => format!("attempt {} failed; the next comes at {at}", job.attempt),
    }
}

fn in_line(ahead: Option<&AheadView>) -> String {
    let Some(ahead) = ahead else { return "it waits for its turn".to_owned() };
    if ahead.higher_bands + ahead.in_band == 0 {
        return "it is next in line".to_owned();
    }
    let mut text = format!("it waits for its turn, behind {} of its band", jobs(ahead.in_band));
    if ahead.higher_bands > 0 {
        text.push_str(&format!(" and {} of higher ones", ahead.higher_bands));
    }
    let of = |of: &AheadOf| match (&of.workspace, of.weight) {
        (Some(name), Some(weight)) => format!("{} of {name} (weight {weight})", of.jobs),
        _ => format!("{} of others", of.jobs),
    };
    let of: Vec<String> = ahead.of.iter().take(3).map(of).collect();
    if !of.is_empty() {
        text.push_str(&format!("; of the next ones, {}", of.join(", ")));
    }
    text
}

/// The command for what holds up all jobs of a queue alike.
fn next_of_all(reason: WaitReason, queue: &QueueName) -> Option<String> {
    Some(match reason {
        WaitReason::RedisUnsafe | WaitReason::RedisSlow => "windlass doctor".to_owned(),
        WaitReason::QueuePaused | WaitReason::IntakeClosed => format!("windlass queues resume {queue}"),
        WaitReason::NoWorker | WaitReason::WorkersStopping | WaitReason::SlotsBusy => {
            format!("windlass worker --queues {queue}")
        }
        WaitReason::WorkersQuiet => "windlass workers resume --all".to_owned(),
        WaitReason::WorkersDeaf => "windlass workers list".to_owned(),
        WaitReason::Limit | WaitReason::Breaker => "windlass providers list".to_owned(),
        _ => return None,
    })
}

fn next(of: &Reason) -> String {
    let job = &of.why.job;
    let (id, queue) = (job.id, &job.queue);
    match of.reason {
        WaitReason::TypePaused => format!("windlass queues resume {queue} --type {}", job.job_type),
        WaitReason::WorkspacePaused => format!("windlass queues resume {queue} --workspace {}", job.workspace),
        WaitReason::TypeNotOffered if of.why.crew.offered_by_quiet > 0 => "windlass workers resume --all".to_owned(),
        WaitReason::TypeNotOffered => "windlass workers list".to_owned(),
        WaitReason::WorkspaceCap => format!("windlass workspaces limits {} --max-running none", job.workspace),
        WaitReason::Budget => format!("windlass workspaces limits {}", job.workspace),
        WaitReason::Held => match job.held_reason {
            Some(reason) => held(job, reason),
            None => format!("windlass jobs show {id}"),
        },
        reason => next_of_all(reason, queue).unwrap_or_else(|| format!("windlass jobs show {id}")),
    }
}

/// The command that goes on with a held job.
fn held(job: &Job, reason: HeldReason) -> String {
    let id = job.id;
    match reason {
        HeldReason::OutcomeUnknown => {
            format!("windlass jobs effects {id}, then windlass jobs resolve {id} happened, not_happened or discard")
        }
        HeldReason::Approval => format!("windlass jobs approve {id}, or windlass jobs reject {id}"),
        HeldReason::NeedsReauth => format!("windlass credentials add, then windlass jobs release {id}"),
        HeldReason::ActionsDisabled => format!("windlass actions show --workspace {}", job.workspace),
        HeldReason::Operator => format!("windlass jobs release {id}"),
    }
}

fn queue_detail(of: &QueueReason) -> String {
    let (why, queue) = (&of.why, &of.why.summary);
    let name = &queue.name;
    let Some(most) = why.waiting.first() else { return idle(of) };
    let all = queue.waiting();
    let of_most = |text: String| match most.jobs == all {
        true if all == 1 => format!("{text}; the one job in line waits for that{}", moved(of)),
        true => format!("{text}; all {all} jobs in line wait for that{}", moved(of)),
        false => format!("{text}; {} of {all} jobs in line wait for that{}", most.jobs, moved(of)),
    };
    if let Some(text) = of_all(of.reason, name, &why.crew, of.redis.as_ref()) {
        return of_most(text);
    }
    let subject = most.subject.as_deref().unwrap_or_default();
    of_most(match &most.blocker {
        Blocker::QueuePaused(by) => paused(&format!("queue {name}"), Some(by)),
        Blocker::TypePaused(by) => paused(&format!("{subject} in queue {name}"), Some(by)),
        Blocker::WorkspacePaused(by) => paused(&format!("workspace {subject} in queue {name}"), Some(by)),
        Blocker::WorkspaceCap { max_running } => {
            format!("workspace {subject} already runs the {} it may", jobs(u64::from(*max_running)))
        }
        Blocker::TypeNotOffered => not_offered(name, subject, &why.crew),
        Blocker::Suspect { .. } => "they crashed their worker twice, and run as the only suspect of one".to_owned(),
        _ => format!("they wait for their turn; {} of {} slots are busy", why.crew.busy, why.crew.slots),
    })
}

/// Said when nothing in line could be claimed, and of jobs that are counted to the line before a claim puts them there.
fn moved(of: &QueueReason) -> String {
    let queue = &of.why.summary;
    let mut text = String::new();
    if queue.parked > 1 && queue.parked == queue.waiting() {
        text.push_str("; all are parked");
    }
    if queue.due > 0 {
        text.push_str(&format!("; {} had a time that has come", queue.due));
    }
    if queue.orphaned > 0 {
        text.push_str(&format!("; {} ran on a worker that was lost", queue.orphaned));
    }
    text
}

/// Nothing is in line.
fn idle(of: &QueueReason) -> String {
    let queue = &of.why.summary;
    let mut text = match (of.reason, of.why.next_due) {
        (WaitReason::RunAt, Some(at)) => {
            format!("waiting for a time: {}; the next is due at {at}", jobs(queue.scheduled))
        }
        (WaitReason::Held, _) => format!("waiting for a decision: {}", jobs(queue.held)),
        (WaitReason::None, _) => format!("nothing waits; running: {}", jobs(queue.running)),
        _ => "nothing waits".to_owned(),
    };
    if let Some(drain) = &queue.draining {
        text.push_str(&format!(", and {} closed the intake at {}", drain.by, drain.at));
    }
    text
}

fn queue_next(of: &QueueReason) -> String {
    let (why, name) = (&of.why, &of.why.summary.name);
    let most = why.waiting.first();
    let subject = most.and_then(|part| part.subject.as_deref()).unwrap_or_default();
    match of.reason {
        WaitReason::TypePaused => format!("windlass queues resume {name} --type {subject}"),
        WaitReason::WorkspacePaused => format!("windlass queues resume {name} --workspace {subject}"),
        WaitReason::WorkspaceCap => format!("windlass workspaces limits {subject} --max-running none"),
        WaitReason::TypeNotOffered if why.crew.offered_by_quiet > 0 => "windlass workers resume --all".to_owned(),
        WaitReason::TypeNotOffered => "windlass workers list".to_owned(),
        reason => next_of_all(reason, name).unwrap_or_else(|| match most.and_then(|part| part.sample) {
            Some(id) => format!("windlass why {id}"),
            None => "windlass queues list".to_owned(),
        }),
    }
}
