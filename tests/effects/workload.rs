//! The jobs: how they come in, how they end, and how a person decides those that are in doubt.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};
use windlass::api::job::CreateJob;
use windlass::domain::{HeldReason, Job, JobId, JobState, Workspace};
use windlass::store::Scope;

use crate::fleet::{Fleet, WORKSPACE};
use crate::sinks::Sinks;
use crate::support::processes::wait_long_for;

/// Jobs in one request.
const BATCH: usize = 200;

/// What the effect of a job is, and so where it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Gmail,
    Smtp,
    Issue,
    Webhook,
}

impl Kind {
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Gmail, "gmail.send"),
        (Self::Smtp, "smtp.send"),
        (Self::Issue, "github.issue.create"),
        (Self::Webhook, "webhook.send"),
    ];

    pub(crate) fn of(number: usize) -> (Self, &'static str) {
        Self::ALL[number % Self::ALL.len()]
    }
}

/// What a job's effect is known by at its sink.
pub(crate) fn label(number: usize) -> String {
    format!("letter {number:06}")
}

fn input(number: usize, sinks_hook: &str) -> Value {
    let label = label(number);
    match Kind::of(number).0 {
        Kind::Gmail | Kind::Smtp => json!({"to": ["you@example.org"], "subject": label, "text": "hello"}),
        Kind::Issue => json!({"title": label, "body": "hello"}),
        Kind::Webhook => json!({"url": sinks_hook, "payload": {"label": label}}),
    }
}

/// Submits the jobs of these numbers; their ids by number.
pub(crate) async fn submit(fleet: &Fleet, sinks: &Sinks, numbers: Range<usize>) -> Vec<JobId> {
    let (mut ids, end) = (Vec::with_capacity(numbers.len()), numbers.end);
    for start in numbers.step_by(BATCH) {
        let numbers = start..end.min(start + BATCH);
        let jobs: Vec<CreateJob> = numbers.map(|number| request(number, &sinks.hook())).collect();
        let result = fleet
            .client
            .in_workspace(Workspace::new(WORKSPACE).ok())
            .submit_batch(&jobs)
            .await
            .expect("a batch is accepted");
        ids.extend(result.results.iter().map(|item| {
            let job = item.job.as_ref().unwrap_or_else(|| panic!("refused: {:?}", item.problem));
            job.id.parse::<JobId>().expect("an id")
        }));
    }
    ids
}

fn request(number: usize, hook: &str) -> CreateJob {
    CreateJob {
        client_request_id: format!("e-{number}"),
        job_type: Kind::of(number).1.to_owned(),
        input: serde_json::value::to_raw_value(&input(number, hook)).ok(),
        queue: None,
        priority: None,
        run_at: None,
        expires_at: None,
        timeout_ms: None,
        max_attempts: Some(10),
        callback_url: None,
        metadata: None,
    }
}

/// Waits until every job has succeeded or is held; what died is redriven, as an operator would once the kills are over.
pub(crate) async fn wait_for_ends(fleet: &Fleet, ids: &[JobId]) -> Vec<Job> {
    loop {
        tokio::task::block_in_place(|| {
            wait_long_for("every job ends or is held", || fleet.settled() >= ids.len() as i64);
        });
        let jobs = read(fleet, ids).await;
        let dead: Vec<&Job> = jobs.iter().filter(|job| job.state == JobState::Dead).collect();
        if dead.is_empty() {
            return jobs;
        }
        for job in dead {
            fleet.client.redrive(job.id).await.expect("a dead job can be redriven");
        }
    }
}

async fn read(fleet: &Fleet, ids: &[JobId]) -> Vec<Job> {
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        let job = fleet.store.job(&Scope::All, *id).await.expect("Redis answers");
        jobs.push(job.expect("no job is lost"));
    }
    jobs
}

/// Decides each held job by what its sink saw. Returns how many happened and how many did not.
pub(crate) async fn decide_what_is_held(fleet: &Fleet, sinks: &Sinks, jobs: &[Job]) -> (usize, usize) {
    let seen: BTreeMap<String, usize> = sinks.effects();
    let (mut happened, mut not) = (0, 0);
    for (number, job) in jobs.iter().enumerate().filter(|(_, job)| job.state == JobState::Held) {
        assert_eq!(job.held_reason, Some(HeldReason::OutcomeUnknown), "{:?}", job.failure);
        let did = seen.contains_key(&label(number));
        let outcome = if did { "happened" } else { "not_happened" };
        let url = format!("{}ai/jobs/{}/resolve", fleet.client.base(), job.id);
        let answer = fleet.post(&url, &json!({"outcome": outcome, "reason": "the sink's books"})).await;
        assert!(answer.is_ok(), "{answer:?}");
        happened += usize::from(did);
        not += usize::from(!did);
    }
    (happened, not)
}
