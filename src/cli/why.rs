//! `windlass why`: a job's id or a queue's name.

use std::time::Duration;

use super::failure::{Code, Failure};
use super::output::{Output, clean};
use super::span::brief;
use crate::api::queue::SwitchView;
use crate::api::why::{CrewView, QueueWhyView, WhyView};
use crate::client::{Client, ClientError};
use crate::domain::{JobId, QueueName};

/// What a job or a queue waits for. What reads as an id is a job, and a queue when no job has it.
pub(super) async fn run(subject: &str, client: &Client, out: &mut Output) -> Result<(), Failure> {
    if let Ok(id) = subject.parse::<JobId>() {
        match client.why(id).await {
            Ok(why) => return out.text(&why, job),
            Err(error) if error.code() == Some("not_found") => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Ok(name) = QueueName::new(subject) else { return Err(neither(subject, client).await) };
    match client.queue_why(&name).await {
        Ok(why) => out.text(&why, queue),
        Err(error) if error.code() == Some("not_found") => Err(neither(subject, client).await),
        Err(error) => Err(error.into()),
    }
}

/// What a job waits for.
pub(super) async fn of_job(id: JobId, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let why = client.why(id).await?;
    out.text(&why, job)
}

async fn neither(subject: &str, client: &Client) -> Failure {
    let failure = Failure::new(Code::NotFound, format_args!("{} is no job and no queue", clean(subject)));
    let names = match client.queues().await {
        Ok(list) => list.queues.into_iter().map(|queue| queue.name).collect::<Vec<_>>().join(", "),
        Err(ClientError::Problem(_)) => {
            return failure.hint("`windlass jobs list` shows jobs; an id has 22 characters");
        }
        Err(error) => return error.into(),
    };
    failure.hint(format!("queues: {names}. `windlass jobs list --workspace W` shows jobs; an id has 22 characters"))
}

fn job(why: &WhyView) -> String {
    let mut lines = vec![format!("{}: {} ({})", why.state, clean(&why.detail), why.blocker)];
    if let Some(position) = why.position {
        let higher = why.ahead.as_ref().map_or(0, |ahead| ahead.higher_bands);
        lines.push(format!("{} ahead of it, {} live workers on its queue", position + higher, why.workers));
    }
    lines.extend(switched_off(&why.blocker, why.switched_off.as_ref()));
    lines.extend(why.since.as_ref().map(|since| format!("since {since}")));
    lines.extend(why.until.as_ref().map(|until| format!("until {until}")));
    lines.extend(next(why.next.as_deref(), &why.runbook));
    lines.join("\n")
}

fn queue(why: &QueueWhyView) -> String {
    let mut lines = vec![format!("{}: {} ({})", clean(&why.queue), clean(&why.detail), why.blocker)];
    for part in why.counts.iter().filter(|_| why.counts.len() > 1) {
        let subject = part.subject.as_deref().map(|subject| format!(" {}", clean(subject))).unwrap_or_default();
        let sample = part.sample.as_deref().map(|id| format!(", such as {id}")).unwrap_or_default();
        lines.push(format!("  {} {}{subject}{sample}", part.jobs, part.blocker));
    }
    lines.push(crew(&why.crew));
    if let Some(ms) = why.oldest_ms {
        lines.push(format!("the oldest has waited {}", brief(Duration::from_millis(ms))));
    }
    if let (Some(taken), Some(handed)) = (why.enqueue_rate, why.dequeue_rate) {
        lines.push(format!("{taken:.1} jobs/s come in, {handed:.1} jobs/s are handed out"));
    }
    lines.extend(switched_off(&why.blocker, why.switched_off.as_ref()));
    lines.extend(why.draining.as_ref().map(|by| format!("the intake was closed by {} at {}", clean(&by.by), by.at)));
    lines.extend(why.until.as_ref().map(|until| format!("until {until}")));
    lines.extend(next(why.next.as_deref(), &why.runbook));
    lines.join("\n")
}

fn crew(crew: &CrewView) -> String {
    let parts = [(crew.quiet, "quiet"), (crew.stopping, "stopping"), (crew.deaf, "deaf")];
    let others = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!(", {n} {word}")).collect::<String>();
    format!("{} workers claim, {} of {} slots busy{others}", crew.active, crew.busy, crew.slots)
}

/// A switch that something more urgent hides; the sentence about a pause has said it all.
fn switched_off(blocker: &str, by: Option<&SwitchView>) -> Option<String> {
    let by = by.filter(|_| !blocker.ends_with("_paused"))?;
    let reason = if by.reason.is_empty() { String::new() } else { format!(": {}", clean(&by.reason)) };
    Some(format!("behind that, switched off by {} at {}{reason}", clean(&by.by), by.at))
}

fn next(next: Option<&str>, runbook: &str) -> impl Iterator<Item = String> {
    let next = next.map(|next| format!("next: {}", clean(next)));
    let see = (!runbook.is_empty()).then(|| format!("see:  {}", clean(runbook)));
    next.into_iter().chain(see)
}
