//! What the store returns, as it goes over the wire. (The types of the wire know the domain only,
//! so these conversions live here.)

mod why;

use std::time::Duration;

use serde_json::value::RawValue;

use crate::api::dead::DeadGroupView;
use crate::api::event::{DeltaView, EventView, StepView};
use crate::api::health::CheckView;
use crate::api::held::{ApprovalView, EffectView, EffectsView};
use crate::api::key::KeyView;
use crate::api::queue::{PausedPart, QueueView, SwitchView};
use crate::api::types::TypeView;
use crate::api::worker::{JobInHand, ServedQueue, WorkerView};
use crate::api::workspace::{Limits, LlmLimits};
use crate::domain::llm::Quota;
use crate::domain::{EffectRecord, Job, JobId, RawJson, effect_key};
use crate::engine::{Check, EffectsOf, JobEvent, JobStep, TypeInfo, approve_until};
use crate::store::{DeadGroup, Delta, KeyRecord, QueueSummary, Switch, SwitchedBy, WorkerSummary, WorkspaceLimits};

use super::follow;
pub(super) use why::{queue_why, why};

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn switch(switched: &SwitchedBy) -> SwitchView {
    SwitchView {
        by: switched.by.clone(),
        at: switched.at.to_string(),
        reason: switched.reason.clone(),
        deadline: switched.deadline.as_ref().map(|(at, _)| at.to_string()),
        then: switched.deadline.as_ref().map(|(_, then)| then.to_string()),
    }
}

pub(super) fn queue(summary: &QueueSummary) -> QueueView {
    QueueView {
        name: summary.name.to_string(),
        depth: summary.depth,
        parked: summary.parked,
        scheduled: summary.scheduled,
        running: summary.running,
        held: summary.held,
        held_by: summary.held_by.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
        dead: summary.dead,
        workers: summary.workers,
        enqueued_total: summary.enqueued_total,
        dequeued_total: summary.dequeued_total,
        lease_expiries_total: summary.lease_expiries_total,
        finished_total: summary.finished_total.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect(),
        oldest_pending_ms: summary.oldest_pending.map(millis),
        paused: summary.paused.as_ref().map(switch),
        draining: summary.draining.as_ref().map(switch),
        paused_parts: summary.paused_parts.iter().map(part).collect(),
        already: None,
    }
}

fn part((what, by): &(Switch, SwitchedBy)) -> PausedPart {
    let (job_type, workspace) = match what {
        Switch::Type(name) => (Some(name.to_string()), None),
        Switch::Workspace(name) => (None, Some(name.to_string())),
        Switch::Queue | Switch::Intake => (None, None),
    };
    PausedPart { job_type, workspace, switch: switch(by) }
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
        status: summary.status.clone(),
        state: summary.state().to_string(),
        claims: summary.claims,
        hears: summary.hears,
        told_by: Some(summary.told_by.clone()).filter(|by| !by.is_empty()),
        started_at: summary.started_at.to_string(),
        seen_at: summary.seen_at.to_string(),
    }
}

pub(super) fn in_hand(job: &Job) -> JobInHand {
    JobInHand {
        id: job.id.to_string(),
        job_type: job.job_type.to_string(),
        queue: job.queue.to_string(),
        workspace: job.workspace.to_string(),
        attempt: job.attempt,
        started_at: job.started_at.map(|at| at.to_string()),
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
    let remedy = (!check.remedy.is_empty()).then(|| check.remedy.clone());
    CheckView { status: check.level.as_str().to_owned(), detail: check.detail.clone(), remedy }
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
