//! Verb `outlook`: what the jobs of a queue wait for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::{JobId, QueueName, Timestamp};

use super::crew::{is_offered, read_about};
use super::heartbeat::WorkerAbout;
use super::reply::Reply;
use super::views::{Blocker, Crew, QueueSummary, QueueWhy, Waiting, WorkspaceLimits};
use super::{Shards, Store, StoreError, Switch};

/// What one shard says of the line.
struct Outlook {
    live: u64,
    about: Vec<WorkerAbout>,
    running: Vec<String>,
    next_due: Option<Timestamp>,
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
        let next_due = reply.text()?.parse::<f64>().ok();
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a score is whole milliseconds")]
        let next_due = next_due.map(|ms| Timestamp::from_unix_ms(ms as i64));
        let ordered = u64::try_from(reply.int()?).unwrap_or_default();
        let heads = reply.nested()?.pairs()?;
        let mut rest = reply.nested()?;
        let mut parked = Vec::new();
        while !rest.is_empty() {
            let (field, jobs, first) = (rest.text()?, rest.text()?, rest.text()?);
            let blocker = field.split_once(':').map_or("", |(_, blocker)| blocker).to_owned();
            parked.push((blocker, jobs.parse().unwrap_or_default(), first.parse().ok()));
        }
        Ok(Outlook { live, about, running, next_due, ordered, heads, parked })
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
            Some(blocker) => vec![Waiting { blocker, subject: None, jobs: summary.depth, sample: sample(&parts) }],
            None => self.by_blocker(&summary, &crew, &parts).await?,
        };
        waiting.retain(|part| part.jobs > 0);
        waiting.sort_by_key(|part| std::cmp::Reverse(part.jobs));
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
        waiting.extend(ordered(crew, parts));
        Ok(waiting)
    }

    async fn cap_of(&self, workspace: Option<&str>) -> Result<u32, StoreError> {
        let Some(Ok(name)) = workspace.map(crate::domain::Workspace::new) else { return Ok(0) };
        let WorkspaceLimits { max_running, .. } = self.workspace_limits(&name).await?;
        Ok(max_running.unwrap_or_default())
    }
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

/// Jobs in order: a worker has not met them yet. One whose type nobody offers is parked only when it is met.
fn ordered(crew: &Crew, parts: &[Outlook]) -> Option<Waiting> {
    let jobs = parts.iter().map(|part| part.ordered).sum();
    let blocker = if crew.is_full() { Blocker::SlotsBusy } else { Blocker::InLine };
    let heads: Vec<&str> =
        parts.iter().flat_map(|part| &part.heads).filter_map(|(_, k)| Some(k.split_once('\t')?.1)).collect();
    let about = parts.first().map_or(&[][..], |part| &part.about);
    let strange = heads.iter().find(|kind| !is_offered(about, kind));
    let all_strange = !heads.is_empty() && heads.iter().all(|kind| !is_offered(about, kind));
    match strange.filter(|_| all_strange) {
        Some(kind) => Some(Waiting {
            blocker: Blocker::TypeNotOffered,
            subject: Some((*kind).to_owned()),
            jobs,
            sample: sample(parts),
        }),
        None => Some(Waiting { blocker, subject: None, jobs, sample: sample(parts) }),
    }
}

/// The first of a band, or else of a parked set.
fn sample(parts: &[Outlook]) -> Option<JobId> {
    let heads = parts.iter().flat_map(|part| &part.heads).filter_map(|(id, _)| id.parse().ok());
    heads.chain(parts.iter().flat_map(|part| &part.parked).filter_map(|(_, _, first)| *first)).next()
}

/// An id says when its job was made.
fn oldest(summary: &QueueSummary, parts: &[Outlook], now: Timestamp) -> Option<Duration> {
    let made = |id: &JobId| Timestamp::from_unix_ms(i64::try_from(id.unix_ms()).unwrap_or_default());
    let parked = parts.iter().flat_map(|part| &part.parked).filter_map(|(_, _, first)| first.as_ref());
    parked.map(|id| now.since(made(id))).chain(summary.oldest_pending).max()
}
