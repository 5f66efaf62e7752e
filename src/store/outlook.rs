//! Verb `outlook`: what the jobs of a queue wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::{JobId, JobType, QueueName, Timestamp};

use super::crew::{is_offered, read_about};
use super::heartbeat::WorkerAbout;
use super::reply::{Reply, whole_ms};
use super::views::{Blocker, Crew, QueueSummary, QueueWhy, Waiting, WorkspaceLimits};
use super::{Shards, Store, StoreError, Switch};

/// What one shard says of the line.
struct Outlook {
    live: u64,
    about: Vec<WorkerAbout>,
    running: Vec<String>,
    next_due: Option<Timestamp>,
    /// A job that the next claim puts in line.
    moves: Option<JobId>,
    ordered: u64,
    /// Of each band: the first job, its workspace and type.
    heads: Vec<(String, String)>,
    /// Blocker, jobs, the first of them; without the band.
    parked: Vec<(String, u64, Option<JobId>)>,
}

impl Store {
    async fn outlook(&self, queue: &QueueName) -> Result<Outlook, StoreError> {
        let value = self.run(&self.inner.scripts.outlook, vec![queue.as_str().into()]).await?;
        let mut reply = Reply::array(value)?;
        let live = u64::try_from(reply.int()?).unwrap_or_default();
        let about = read_about(&reply.nested()?.texts()?);
        let running = reply.nested()?.texts()?;
        let next_due = reply.text()?.parse::<f64>().ok().map(whole_ms);
        let moves = reply.text()?.parse().ok();
        let ordered = u64::try_from(reply.int()?).unwrap_or_default();
        let heads = reply.nested()?.pairs()?;
        let mut rest = reply.nested()?;
        let mut parked = Vec::new();
        while !rest.is_empty() {
            let (field, jobs, first) = (rest.text()?, rest.text()?, rest.text()?);
            let blocker = field.split_once(':').map_or("", |(_, blocker)| blocker).to_owned();
            parked.push((blocker, jobs.parse().unwrap_or_default(), first.parse().ok()));
        }
        Ok(Outlook { live, about, running, next_due, moves, ordered, heads, parked })
    }
}

impl Shards {
    /// What the jobs of a queue wait for, over all shards; `None` for a queue that never was.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn queue_why(&self, queue: &QueueName) -> Result<Option<QueueWhy>, StoreError> {
        let Some(summary) = self.queue(queue).await? else { return Ok(None) };
        let parts = try_join_all(self.all().iter().map(|store| store.outlook(queue))).await?;
        let running: Vec<String> = parts.iter().flat_map(|part| part.running.iter().cloned()).collect();
        // A worker is registered on every shard.
        let Some(first) = parts.first() else { return Ok(None) };
        let crew = Crew::of(&first.about, summary.running, &running, None);
        let live = parts.iter().map(|part| part.live).max().unwrap_or_default();
        let mut waiting = match whole(&summary, &crew, live) {
            Some(blocker) => vec![Waiting { blocker, subject: None, jobs: summary.waiting(), sample: sample(&parts) }],
            None => self.by_blocker(&summary, &crew, &parts).await?,
        };
        waiting.retain(|part| part.jobs > 0);
        waiting.sort_by_key(|part| std::cmp::Reverse(part.jobs));
        let crew = match waiting.first() {
            Some(Waiting { blocker: Blocker::TypeNotOffered, subject: Some(name), .. }) => {
                Crew::of(&first.about, summary.running, &running, JobType::new(name).ok().as_ref())
            }
            _ => crew,
        };
        let now = summary.read_at;
        let next_due = parts.iter().filter_map(|part| part.next_due).min();
        Ok(Some(QueueWhy { oldest: oldest(&summary, &parts, now), summary, now, crew, waiting, next_due }))
    }

    /// Parked jobs by what they are parked behind, and those in order.
    async fn by_blocker(
        &self,
        summary: &QueueSummary,
        crew: &Crew,
        parts: &[Outlook],
    ) -> Result<Vec<Waiting>, StoreError> {
        let mut sums: BTreeMap<&str, (u64, Option<JobId>)> = BTreeMap::new();
        for (blocker, jobs, first) in parts.iter().flat_map(|part| &part.parked) {
            let sum = sums.entry(blocker).or_default();
            sum.0 += jobs;
            sum.1 = sum.1.or(*first);
        }
        let mut waiting = Vec::new();
        for (name, (jobs, sample)) in sums {
            let (kind, subject) = name.split_once(':').map_or((name, None), |(kind, of)| (kind, Some(of.to_owned())));
            let blocker = match (Switch::from_field(name), kind) {
                (Some(switch), _) => switched(summary, &switch),
                (None, "c") => Blocker::WorkspaceCap { max_running: self.cap_of(subject.as_deref()).await? },
                (None, "o") => Blocker::TypeNotOffered,
                _ => Blocker::Suspect { crashes: 2 },
            };
            waiting.push(Waiting { blocker, subject, jobs, sample });
        }
        waiting.extend(ordered(summary, crew, parts));
        // Claims come round in a moment, unless every slot is taken.
        let blocker = if crew.is_full() { Blocker::SlotsBusy } else { Blocker::InLine };
        let sample = parts.iter().find_map(|part| part.moves);
        waiting.push(Waiting { blocker, subject: None, jobs: summary.due + summary.orphaned, sample });
        Ok(joined(waiting))
    }

    async fn cap_of(&self, workspace: Option<&str>) -> Result<u32, StoreError> {
        let Some(Ok(name)) = workspace.map(crate::domain::Workspace::new) else { return Ok(0) };
        let WorkspaceLimits { max_running, .. } = self.workspace_limits(&name).await?;
        Ok(max_running.unwrap_or_default())
    }
}

/// Parked jobs and those in order may wait for the same.
fn joined(parts: Vec<Waiting>) -> Vec<Waiting> {
    let mut sums: Vec<Waiting> = Vec::new();
    for part in parts {
        match sums.iter_mut().find(|sum| sum.blocker == part.blocker && sum.subject == part.subject) {
            Some(sum) => sum.jobs += part.jobs,
            None => sums.push(part),
        }
    }
    sums
}

/// What holds up all of the line alike.
fn whole(summary: &QueueSummary, crew: &Crew, live: u64) -> Option<Blocker> {
    let paused = summary.paused.clone().map(Blocker::QueuePaused);
    paused.or_else(|| crew.absent(live))
}

/// A pause that was lifted a moment ago leaves its jobs to the next step.
fn switched(summary: &QueueSummary, switch: &Switch) -> Blocker {
    let by = summary.paused_parts.iter().find(|(known, _)| known == switch).map(|(_, by)| by.clone());
    match (by, switch) {
        (Some(by), Switch::Type(_)) => Blocker::TypePaused(by),
        (Some(by), _) => Blocker::WorkspacePaused(by),
        (None, _) => Blocker::InLine,
    }
}

/// Jobs in order: a worker has not met them yet, and parks those that it must not take. The first of each band are looked
/// at; all behind them are counted to what most of these wait for.
fn ordered(summary: &QueueSummary, crew: &Crew, parts: &[Outlook]) -> Vec<Waiting> {
    let about = parts.first().map_or(&[][..], |part| &part.about);
    let mut groups: Vec<Waiting> = Vec::new();
    for (id, kind) in parts.iter().flat_map(|part| &part.heads) {
        let (workspace, name) = kind.split_once('\t').unwrap_or(("", kind));
        let (blocker, subject) = met(summary, crew, about, (workspace, name));
        match groups.iter_mut().find(|group| group.blocker == blocker && group.subject == subject) {
            Some(group) => group.jobs += 1,
            None => groups.push(Waiting { blocker, subject, jobs: 1, sample: id.parse().ok() }),
        }
    }
    let all: u64 = parts.iter().map(|part| part.ordered).sum();
    let seen: u64 = groups.iter().map(|group| group.jobs).sum();
    if let Some(most) = groups.iter_mut().max_by_key(|group| group.jobs) {
        most.jobs += all.saturating_sub(seen);
    }
    groups
}

/// What a job of this workspace and type waits for; the order is that of [`crate::domain::WaitReason`].
fn met(
    summary: &QueueSummary,
    crew: &Crew,
    about: &[WorkerAbout],
    (workspace, name): (&str, &str),
) -> (Blocker, Option<String>) {
    let paused = |wanted: &dyn Fn(&Switch) -> bool| summary.paused_parts.iter().find(|(switch, _)| wanted(switch));
    if let Some((_, by)) = paused(&|switch| matches!(switch, Switch::Type(of) if of.as_str() == name)) {
        return (Blocker::TypePaused(by.clone()), Some(name.to_owned()));
    }
    if let Some((_, by)) = paused(&|switch| matches!(switch, Switch::Workspace(of) if of.as_str() == workspace)) {
        return (Blocker::WorkspacePaused(by.clone()), Some(workspace.to_owned()));
    }
    match is_offered(about, name) {
        false => (Blocker::TypeNotOffered, Some(name.to_owned())),
        true if crew.is_full() => (Blocker::SlotsBusy, None),
        true => (Blocker::InLine, None),
    }
}

/// The first of a band, or else of a parked set.
fn sample(parts: &[Outlook]) -> Option<JobId> {
    let heads = parts.iter().flat_map(|part| &part.heads).filter_map(|(id, _)| id.parse().ok());
    let parked = parts.iter().flat_map(|part| &part.parked).filter_map(|(_, _, first)| *first);
    heads.chain(parked).chain(parts.iter().filter_map(|part| part.moves)).next()
}

/// An id says when its job was made.
fn oldest(summary: &QueueSummary, parts: &[Outlook], now: Timestamp) -> Option<Duration> {
    let made = |id: &JobId| Timestamp::from_unix_ms(i64::try_from(id.unix_ms()).unwrap_or_default());
    let parked = parts.iter().flat_map(|part| &part.parked).filter_map(|(_, _, first)| first.as_ref());
    parked.map(|id| now.since(made(id))).chain(summary.oldest_pending).max()
}
