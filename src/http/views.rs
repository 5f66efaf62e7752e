//! What the store returns, as it goes over the wire. (The types of the wire know the domain only,
//! so these conversions live here.)

use std::time::Duration;

use serde_json::value::RawValue;

use crate::api::dead::DeadGroupView;
use crate::api::event::{DeltaView, EventView, StepView};
use crate::api::health::CheckView;
use crate::api::held::{ApprovalView, EffectView, EffectsView};
use crate::api::key::KeyView;
use crate::api::queue::{QueueView, SwitchView};
use crate::api::types::TypeView;
use crate::api::why::WhyView;
use crate::api::worker::{ServedQueue, WorkerView};
use crate::api::workspace::{Limits, LlmLimits};
use crate::domain::llm::Quota;
use crate::domain::{EffectRecord, FailureReason, HeldReason, Job, JobId, RawJson, effect_key};
use crate::engine::{Check, EffectsOf, JobEvent, JobStep, Level, TypeInfo, approve_until};
use crate::store::{
    Blocker, DeadGroup, Delta, KeyRecord, QueueSummary, SwitchedBy, Why, WorkerSummary, WorkspaceLimits,
};

use super::follow;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn switch(switched: &SwitchedBy) -> SwitchView {
    SwitchView { by: switched.by.clone(), at: switched.at.to_string(), reason: switched.reason.clone() }
}

pub(super) fn queue(summary: &QueueSummary) -> QueueView {
    QueueView {
        name: summary.name.to_string(),
        depth: summary.depth,
        parked: summary.parked,
        scheduled: summary.scheduled,
        running: summary.running,
        held: summary.held,
        dead: summary.dead,
        workers: summary.workers,
        enqueued_total: summary.enqueued_total,
        dequeued_total: summary.dequeued_total,
        lease_expiries_total: summary.lease_expiries_total,
        finished_total: summary.finished_total.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect(),
        oldest_pending_ms: summary.oldest_pending.map(millis),
        paused: summary.paused.as_ref().map(switch),
        draining: summary.draining.as_ref().map(switch),
    }
}

pub(super) fn worker(summary: &WorkerSummary) -> WorkerView {
    WorkerView {
        id: summary.id.to_string(),
        host: summary.host.clone(),
        pid: summary.pid,
        version: summary.version.clone(),
        queues: summary
            .queues
            .iter()
            .map(|(name, weight)| ServedQueue { name: name.clone(), weight: *weight })
            .collect(),
        types: summary.types.clone(),
        slots: summary.slots,
        busy: summary.busy,
        status: if summary.deaf { "deaf".to_owned() } else { summary.status.clone() },
        started_at: summary.started_at.to_string(),
        seen_at: summary.seen_at.to_string(),
    }
}

pub(super) fn dead_group(group: &DeadGroup) -> DeadGroupView {
    DeadGroupView {
        queue: group.queue.to_string(),
        job_type: group.job_type.to_string(),
        fingerprint: group.fingerprint.clone(),
        reason: group.reason.map(|r| r.to_string()),
        count: group.count,
        first_at: group.first.to_string(),
        last_at: group.last.to_string(),
        sample: group.sample.to_string(),
        job: None,
    }
}

pub(super) fn key(record: &KeyRecord) -> KeyView {
    KeyView {
        id: record.id.clone(),
        workspace: record.workspace.clone(),
        scopes: record.scopes.clone(),
        name: record.name.clone(),
        created_at: record.created_at.to_string(),
        revoked_at: record.revoked_at.map(|t| t.to_string()),
    }
}

pub(super) fn limits(limits: WorkspaceLimits, llm: Option<Quota>) -> Limits {
    let llm = llm.map(|quota| LlmLimits {
        requests_per_minute: quota.requests_per_minute,
        tokens_per_minute: quota.tokens_per_minute,
        concurrency: quota.concurrency,
        nano_usd_per_day: quota.nano_usd_per_day,
    });
    Limits { weight: limits.weight, max_running: limits.max_running, llm }
}

/// What the store keeps of a workspace's own limits of calls.
pub(super) fn quota(limits: LlmLimits) -> Quota {
    Quota {
        requests_per_minute: limits.requests_per_minute,
        tokens_per_minute: limits.tokens_per_minute,
        concurrency: limits.concurrency,
        nano_usd_per_day: limits.nano_usd_per_day,
    }
}

pub(super) fn job_type(info: &TypeInfo, allowed: bool) -> TypeView {
    TypeView {
        name: info.name.to_string(),
        summary: info.summary.clone(),
        input_schema: info.input_schema.clone(),
        timeout_ms: millis(info.timeout),
        max_attempts: info.retry.max_attempts,
        is_action: info.is_action,
        allowed,
    }
}

pub(super) fn step(step: &JobStep) -> StepView {
    StepView {
        job_id: step.job.to_string(),
        workspace: step.workspace.to_string(),
        job_type: step.job_type.to_string(),
        queue: step.queue.to_string(),
        from: step.from.map(|state| state.to_string()),
        state: step.state.to_string(),
        attempt: step.attempt,
        at: step.at.to_string(),
        reason: step.reason.clone(),
        message: step.message.clone(),
    }
}

/// `job`: the job, with the event of its end.
pub(super) fn event(event: &JobEvent, job: Option<&Job>) -> EventView {
    EventView {
        job_id: event.job.to_string(),
        state: event.state.to_string(),
        attempt: event.attempt,
        at: event.at.to_string(),
        usage: job.and_then(follow::usage),
    }
}

pub(super) fn delta(job: JobId, delta: &Delta) -> DeltaView {
    DeltaView {
        job_id: job.to_string(),
        attempt: delta.attempt,
        seq: delta.place.seq,
        text: delta.text.clone(),
        truncated: delta.truncated,
    }
}

pub(super) fn check(check: &Check) -> CheckView {
    let status = match check.level {
        Level::Ok => "ok",
        Level::Degraded => "degraded",
        Level::Failed => "failed",
    };
    let remedy = (!check.remedy.is_empty()).then(|| check.remedy.clone());
    CheckView { status: status.to_owned(), detail: check.detail.clone(), remedy }
}

/// What a job said that waits for room in a limit, or for a provider that asked for patience.
fn limited(job: &Job) -> Option<String> {
    job.failure.as_ref().filter(|failure| failure.reason == FailureReason::RateLimited).map(|f| f.message.clone())
}

/// The word of a blocker, a sentence about it, and who switched something off.
fn blocker(why: &Why) -> (&'static str, String, Option<&SwitchedBy>) {
    let job = &why.job;
    match &why.blocker {
        Blocker::None => ("none", format!("the job is {}; it waits for nothing", job.state), None),
        Blocker::InLine => ("in_line", "it waits for its turn".into(), None),
        Blocker::RunAt(at) => ("run_at", format!("it is not to run before {at}"), None),
        Blocker::Backoff(_) if limited(job).is_some() => ("limit", limited(job).unwrap_or_default(), None),
        Blocker::Backoff(at) => ("backoff", format!("attempt {} failed; the next comes at {at}", job.attempt), None),
        Blocker::QueuePaused(by) => ("queue_paused", format!("queue {} is paused", job.queue), Some(by)),
        Blocker::TypePaused(by) => {
            ("type_paused", format!("{} is paused in queue {}", job.job_type, job.queue), Some(by))
        }
        Blocker::WorkspacePaused(by) => {
            ("workspace_paused", format!("the workspace is paused in queue {}", job.queue), Some(by))
        }
        Blocker::WorkspaceCap { max_running } => {
            ("workspace_cap", format!("its workspace already runs the {max_running} jobs it may"), None)
        }
        Blocker::NoWorker => ("no_worker", format!("no worker is alive on queue {}", job.queue), None),
        Blocker::TypeNotOffered => {
            ("type_not_offered", format!("no live worker on queue {} runs {}", job.queue, job.job_type), None)
        }
        Blocker::Suspect { crashes } => {
            ("suspect", format!("it was running at {crashes} crashes, so it waits to run as the only suspect"), None)
        }
        Blocker::Held => {
            let reason = job.held_reason.map_or("held", |r| r.as_str());
            let said = job.failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
            ("held", format!("it is held ({reason}){said}"), None)
        }
    }
}

/// The command that goes on with a held job.
fn next(job: &Job, reason: HeldReason) -> String {
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

/// What is on record of a job's effects. `wait`: how long it may wait for an approval.
pub(super) fn effects(of: &EffectsOf, wait: Duration) -> EffectsView {
    let job = &of.job;
    let raw = |json: &RawJson| RawValue::from_string(json.as_str().to_owned()).ok();
    let since = job.failure.as_ref().filter(|_| job.held_reason.is_some()).map(|failure| failure.at.to_string());
    let effect = |effect: &EffectRecord| EffectView {
        step: effect.step.clone(),
        key: effect_key(job.id, &effect.step),
        state: effect.state.to_string(),
        class: effect.class.to_string(),
        attempt: effect.attempt,
        at: effect.at.to_string(),
        evidence: raw(&effect.document).unwrap_or_else(|| RawValue::NULL.to_owned()),
        decided_by: Some(effect.by.clone()).filter(|by| !by.is_empty()),
        state_lost: effect.state_lost,
    };
    EffectsView {
        job_id: job.id.to_string(),
        state: job.state.to_string(),
        workspace: job.workspace.to_string(),
        job_type: job.job_type.to_string(),
        input: job.input.as_ref().and_then(raw),
        digest: of.digest.clone(),
        held_reason: job.held_reason.map(|reason| reason.to_string()),
        held_since: since,
        approve_until: approve_until(job, wait).map(|until| until.to_string()),
        approval: of.approval.as_ref().map(|approval| ApprovalView {
            digest: approval.digest.clone(),
            by: approval.by.clone(),
            at: approval.at.to_string(),
            expires_at: approval.expires_at.to_string(),
        }),
        effects: of.effects.iter().map(effect).collect(),
    }
}

/// The command that lets a job in line go on, where there is one.
fn next_in_line(why: &Why) -> Option<String> {
    let queue = &why.job.queue;
    match why.blocker {
        Blocker::QueuePaused(_) => Some(format!("windlass queues resume {queue}")),
        Blocker::TypePaused(_) => Some(format!("windlass queues resume {queue} --type {}", why.job.job_type)),
        Blocker::WorkspacePaused(_) => {
            Some(format!("windlass queues resume {queue} --workspace {}", why.job.workspace))
        }
        Blocker::NoWorker => Some(format!("windlass worker --queues {queue}")),
        Blocker::TypeNotOffered => Some("windlass workers list".to_owned()),
        _ => None,
    }
}

pub(super) fn why(why: &Why) -> WhyView {
    let (word, detail, switched) = blocker(why);
    let held = why.blocker == Blocker::Held;
    let until = match why.blocker {
        Blocker::RunAt(at) | Blocker::Backoff(at) => Some(at.to_string()),
        _ => None,
    };
    WhyView {
        job_id: why.job.id.to_string(),
        state: why.job.state.to_string(),
        blocker: word.to_owned(),
        detail,
        until,
        since: held.then(|| why.job.failure.as_ref().map(|failure| failure.at.to_string())).flatten(),
        next: why.job.held_reason.map(|reason| next(&why.job, reason)).or_else(|| next_in_line(why)),
        switched_off: switched.map(switch),
        position: why.position,
        workers: why.workers,
    }
}
