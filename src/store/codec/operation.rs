//! The record of a bulk operation, as JSON. Unknown fields are of a newer version and are left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::{
    FailureReason, HeldReason, JobFilter, JobId, JobState, JobType, Operation, OperationAction, OperationCounts,
    OperationPlan, OperationState, QueueName, Skipped, Timestamp, Workspace,
};

use super::super::StoreError;
use super::super::reply::corrupt;

/// An operation as text.
pub(in crate::store) fn operation_to(o: &Operation) -> String {
    let changed = o.changed.as_ref().map(|(by, at)| json!({ "by": by, "at": at.unix_ms() }));
    let skipped: Map<String, Value> = o.counts.skipped.iter().map(|(why, n)| (why.to_string(), json!(n))).collect();
    json!({
        "id": o.id.to_string(),
        "action": o.plan.action.as_str(),
        "filter": filter_to(&o.plan.filter),
        "target": o.plan.target.as_ref().map(QueueName::as_str),
        "rate": o.plan.rate,
        "note": o.plan.note,
        "state": o.state.as_str(),
        "by": o.by,
        "created_at": o.created_at.unix_ms(),
        "fence": o.fence,
        "changed": changed,
        "finished_at": o.finished_at.map(Timestamp::unix_ms),
        "expected": o.expected,
        "done": o.counts.done,
        "skipped": skipped,
    })
    .to_string()
}

fn filter_to(filter: &JobFilter) -> Value {
    json!({
        "states": filter.states.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
        "queue": filter.queue.as_ref().map(QueueName::as_str),
        "type": filter.job_type.as_ref().map(JobType::as_str),
        "workspace": filter.workspace.as_ref().map(Workspace::as_str),
        "fingerprint": filter.fingerprint,
        "reason": filter.reason.map(FailureReason::as_str),
        "held_reason": filter.held_reason.map(HeldReason::as_str),
        "before": filter.before.map(Timestamp::unix_ms),
        "after": filter.after.map(Timestamp::unix_ms),
        "metadata": filter.metadata,
    })
}

/// An operation from its text.
pub(in crate::store) fn operation_from(text: &str) -> Result<Operation, StoreError> {
    let value: Value = serde_json::from_str(text).map_err(|_| corrupt("an operation's record"))?;
    let word = |key: &str| value[key].as_str().unwrap_or_default();
    let skipped = value["skipped"].as_object().into_iter().flatten();
    let counts = counts(
        value["done"].as_u64().unwrap_or_default(),
        skipped.filter_map(|(why, n)| Some((Skipped::from_word(why)?, n.as_u64()?))),
    );
    let changed = value["changed"].as_object().map(|_| {
        (
            value["changed"]["by"].as_str().unwrap_or_default().to_owned(),
            moment(&value["changed"]["at"]).unwrap_or_default(),
        )
    });
    Ok(Operation {
        id: word("id").parse().map_err(|_| corrupt("an operation's id"))?,
        plan: OperationPlan {
            action: OperationAction::from_word(word("action")).ok_or_else(|| corrupt("an operation's action"))?,
            filter: filter_from(&value["filter"])?,
            target: named(&value["target"], QueueName::new)?,
            rate: value["rate"].as_u64().and_then(|rate| u32::try_from(rate).ok()).unwrap_or(1),
            note: word("note").to_owned(),
        },
        state: OperationState::from_word(word("state")).ok_or_else(|| corrupt("an operation's state"))?,
        by: word("by").to_owned(),
        created_at: moment(&value["created_at"]).unwrap_or_default(),
        fence: value["fence"].as_u64().unwrap_or_default(),
        changed,
        finished_at: moment(&value["finished_at"]),
        expected: value["expected"].as_u64(),
        counts,
    })
}

/// Counts that add up.
pub(in crate::store) fn counts(done: u64, skipped: impl Iterator<Item = (Skipped, u64)>) -> OperationCounts {
    let mut by_why: BTreeMap<Skipped, u64> = BTreeMap::new();
    skipped.filter(|(_, n)| *n > 0).for_each(|(why, n)| *by_why.entry(why).or_default() += n);
    OperationCounts { matched: done + by_why.values().sum::<u64>(), done, skipped: by_why, missing_shards: Vec::new() }
}

fn filter_from(value: &Value) -> Result<JobFilter, StoreError> {
    let word = |key: &str| value[key].as_str().map(str::to_owned);
    let states = value["states"].as_array().into_iter().flatten();
    let metadata = value["metadata"].as_object().into_iter().flatten();
    // A word that this version does not know must not widen the filter.
    let known = |key: &str, found: bool| if found || value[key].is_null() { Ok(()) } else { Err(corrupt("a filter")) };
    let reason = value["reason"].as_str().and_then(FailureReason::from_word);
    let held_reason = value["held_reason"].as_str().and_then(HeldReason::from_word);
    known("reason", reason.is_some())?;
    known("held_reason", held_reason.is_some())?;
    Ok(JobFilter {
        states: states.filter_map(|state| JobState::from_word(state.as_str()?)).collect(),
        queue: named(&value["queue"], QueueName::new)?,
        job_type: named(&value["type"], JobType::new)?,
        workspace: named(&value["workspace"], Workspace::new)?,
        fingerprint: word("fingerprint"),
        reason,
        held_reason,
        before: moment(&value["before"]),
        after: moment(&value["after"]),
        metadata: metadata.filter_map(|(key, is)| Some((key.clone(), is.as_str()?.to_owned()))).collect(),
    })
}

fn named<T, E>(value: &Value, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, StoreError> {
    value.as_str().map(parse).transpose().map_err(|_| corrupt("a name in an operation's record"))
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_i64().map(Timestamp::from_unix_ms)
}

/// The id of an operation that is listed as running.
pub(in crate::store) fn ids(texts: &[String]) -> Vec<JobId> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_keeps_every_field() {
        let at = Timestamp::from_unix_ms;
        let filter = JobFilter {
            states: vec![JobState::Dead, JobState::Held],
            queue: Some(QueueName::new("mail").unwrap()),
            job_type: Some(JobType::new("mail.send").unwrap()),
            workspace: Some(Workspace::new("ws").unwrap()),
            fingerprint: Some("abc".into()),
            reason: Some(FailureReason::Timeout),
            held_reason: Some(HeldReason::Approval),
            before: Some(at(5)),
            after: Some(at(3)),
            metadata: [("a".to_owned(), "b\"\n".to_owned())].into(),
        };
        let operation = Operation {
            id: JobId::new(9, 0),
            plan: OperationPlan {
                action: OperationAction::Move,
                filter,
                target: Some(QueueName::new("other").unwrap()),
                rate: 7,
                note: "why".into(),
            },
            state: OperationState::Stopped,
            by: "ann".into(),
            created_at: at(10),
            fence: 3,
            changed: Some(("bob".into(), at(11))),
            finished_at: Some(at(12)),
            expected: Some(13),
            counts: counts(4, [(Skipped::QueueFull, 2)].into_iter()),
        };
        assert_eq!(operation_from(&operation_to(&operation)).unwrap(), operation);
        assert_eq!(operation.counts.matched, 6);
    }

    #[test]
    fn a_filter_of_a_newer_version_is_refused_and_not_widened() {
        let operation = "{\"id\":\"0aaaaaaaaaaaaaaaaaaaaa\",\"action\":\"cancel\",\"state\":\"running\",\
                         \"filter\":{\"reason\":\"unheard_of\"}}";
        assert!(operation_from(operation).is_err());
    }
}
