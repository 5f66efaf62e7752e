//! The course of the demo: submit, submit again, kill, wait, count.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::plan::{self, Planned};
use super::progress::Standing;
use super::report::Figures;
use super::{Demo, StartError, approval, stall, streamed};
use crate::api::job::JobView;
use crate::api::queue::QueueView;
use crate::client::{Client, ClientError, Receipt};
use crate::clock;
use crate::domain::{JobId, WorkerId};

/// Requests at once.
const CONCURRENCY: usize = 32;
/// Every so many jobs, one is submitted again.
const REPLAY_EVERY: usize = 10;
/// The kill comes when this share of the jobs is done.
const KILL_AT_PERCENT: u64 = 30;
/// Between looks at the queue.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Without progress for this long, what is not done counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counters of the queue, to be compared with later ones: data survives restarts of the demo.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    finished: u64,
    lease_expiries: u64,
    running: u64,
    depth: u64,
    workers: u64,
}

impl Totals {
    fn of(queue: &QueueView) -> Self {
        Self {
            finished: queue.finished_total.values().sum(),
            lease_expiries: queue.lease_expiries_total,
            running: queue.running,
            depth: queue.depth + queue.scheduled,
            workers: queue.workers,
        }
    }
}

/// Runs the course.
pub(super) async fn run(demo: &mut Demo) -> Result<Figures, StartError> {
    let admin = demo.stack.client()?;
    stall::undo(&admin).await?;
    let before = totals(&admin).await?;
    let run = format!("demo-{}", WorkerId::fresh());
    let jobs = plan::jobs(demo.jobs, &run, &demo.receiver.url());
    demo.progress.say(&format!("Submitting {} jobs from 2 workspaces over HTTP", jobs.len()));
    let receipts = submit(demo, &jobs).await?;
    let replays = replay(demo, &jobs, &receipts).await?;
    let conflicts = conflict(demo, &jobs).await;
    demo.progress.say(&format!("Submitted {replays} of them again: the same jobs came back, no new ones"));
    watch(demo, &admin, before, KILL_AT_PERCENT).await?;
    kill(demo).await?;
    watch(demo, &admin, before, 100).await?;
    let ends = ends(demo, &jobs, &receipts).await?;
    let streamed = streamed::run(demo, &run).await?;
    let approved = approval::run(demo, &run).await?;
    let stalled = stall::run(demo, &run).await?;
    let (deliveries, distinct) = demo.receiver.counts();
    Ok(Figures {
        submitted: receipts.len(),
        replays_sent: jobs.iter().step_by(REPLAY_EVERY).count(),
        replayed: replays,
        conflicts_refused: conflicts,
        recovered: totals(&admin).await?.lease_expiries - before.lease_expiries,
        webhook_jobs: jobs.iter().filter(|p| p.job.job_type == "webhook.send").count(),
        deliveries,
        distinct,
        streamed,
        approved,
        stalled,
        ends,
    })
}

async fn totals(admin: &Client) -> Result<Totals, StartError> {
    let list = admin.queues().await.map_err(StartError::part)?;
    Ok(list.queues.iter().find(|q| q.name == "default").map(Totals::of).unwrap_or_default())
}

async fn send(demo: &Demo, planned: &Planned) -> Result<Receipt, ClientError> {
    demo.clients[planned.workspace].submit(&planned.job).await
}

async fn submit(demo: &Demo, jobs: &[Planned]) -> Result<Vec<Receipt>, StartError> {
    let sent = stream::iter(jobs).map(|planned| send(demo, planned)).buffered(CONCURRENCY);
    sent.try_collect().await.map_err(StartError::part)
}

/// Submits some jobs again and counts those that came back as the same job.
async fn replay(demo: &Demo, jobs: &[Planned], receipts: &[Receipt]) -> Result<usize, StartError> {
    let again = jobs.iter().zip(receipts).step_by(REPLAY_EVERY);
    let same = stream::iter(again)
        .map(|(planned, first)| async move {
            let second = send(demo, planned).await?;
            Ok::<_, ClientError>(second.replayed && second.job.id == first.job.id)
        })
        .buffered(CONCURRENCY);
    let same: Vec<bool> = same.try_collect().await.map_err(StartError::part)?;
    Ok(same.into_iter().filter(|same| *same).count())
}

/// Uses an id with another body, which has to be refused.
async fn conflict(demo: &Demo, jobs: &[Planned]) -> bool {
    let Some(first) = jobs.first() else { return false };
    let answer = send(demo, &plan::with_other_body(first)).await;
    answer.is_err_and(|error| error.code() == Some("request_id_reused"))
}

/// Shows progress until so much is done, or nothing has moved for too long.
async fn watch(demo: &Demo, admin: &Client, before: Totals, percent: u64) -> Result<(), StartError> {
    let total = u64::from(demo.jobs);
    let (mut moved, mut last) = (clock::now(), 0);
    loop {
        let now = totals(admin).await?;
        let done = now.finished.saturating_sub(before.finished).min(total);
        demo.progress.show(Standing { done, total, running: now.running, waiting: now.depth, workers: now.workers });
        if done * 100 >= total * percent {
            return Ok(());
        }
        if done != last {
            (moved, last) = (clock::now(), done);
        }
        if clock::now().duration_since(moved) > PATIENCE {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Kills the first worker as a power cut would, and starts another.
async fn kill(demo: &mut Demo) -> Result<(), StartError> {
    let pid = demo.workers[0].pid().unwrap_or_default();
    demo.workers[0].kill().await.map_err(StartError::part)?;
    let name = demo.workers[0].name();
    demo.progress.say(&format!("Killed {name} (pid {pid}) with SIGKILL in the middle of its jobs; another one starts"));
    demo.workers[0] = demo.stack.workers.start()?;
    Ok(())
}

/// Reads every job once more; one that never ended is read with what it has.
async fn ends(demo: &Demo, jobs: &[Planned], receipts: &[Receipt]) -> Result<Vec<Option<JobView>>, StartError> {
    stream::iter(jobs.iter().zip(receipts))
        .map(|(planned, receipt)| async move {
            let id: JobId = receipt.job.id.parse().map_err(StartError::part)?;
            match demo.clients[planned.workspace].job(id, Duration::ZERO).await {
                Ok(job) => Ok(Some(job)),
                Err(error) if error.code() == Some("not_found") => Ok(None),
                Err(error) => Err(StartError::part(error)),
            }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}
