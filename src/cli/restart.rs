//! `windlass workers restart --rolling`: stops worker processes a few at a time, and goes on when new ones claim.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::failure::{Code, Failure};
use super::output::Output;
use super::span::{self, brief};
use crate::api::worker::WorkerView;
use crate::client::Client;
use crate::clock::{self, Instant};
use crate::domain::{Order, Timestamp, WorkerId, WorkerState};

/// Between two looks at the fleet.
const LOOK: Duration = Duration::from_millis(250);

/// Options of `workers restart`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass workers restart --rolling
  windlass workers restart --rolling --max-unavailable 2 --wait 5m")]
pub struct RestartArgs {
    /// A few at a time, the next ones when new processes claim in the place of the stopped ones
    #[arg(long, required = true)]
    rolling: bool,
    /// Processes that may be away at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_unavailable: u32,
    /// How long a process may take to end, and then a new one to claim, such as 2m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = span::parse)]
    wait: Duration,
    /// Only processes started before this time (RFC 3339), to go on after an interruption [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    started_before: Option<Timestamp>,
    /// Only processes on this machine
    #[arg(long)]
    host: Option<String>,
}

/// A process that was stopped, and has no successor yet.
struct Stopped {
    worker: WorkerView,
    /// When it was told, or when it was gone.
    since: Instant,
    gone: bool,
    /// Whether this restart stopped it. One that was about to end before counts as away, and may have no successor.
    ours: bool,
}

/// The state of the restart.
struct Restart {
    /// Still to be stopped, oldest first.
    todo: Vec<WorkerView>,
    stopped: Vec<Stopped>,
    /// Processes that are no successors: they were there before, or have taken a place.
    known: BTreeSet<String>,
    replaced: usize,
    total: usize,
    before: String,
}

pub(super) async fn run(args: RestartArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    debug_assert!(args.rolling);
    let mut restart = Restart::begin(&args, client).await?;
    out.note(&format!(
        "{} processes to restart; if this is interrupted, go on with --started-before {}",
        restart.total, restart.before
    ))?;
    while !(restart.todo.is_empty() && restart.stopped.is_empty()) {
        let list = client.workers().await?;
        restart.look(&list.workers, out)?;
        restart.check(&args, out)?;
        restart.stop_next(&args, client, out).await?;
        tokio::time::sleep(LOOK).await;
    }
    out.note(&format!("{} of {} processes were replaced", restart.replaced, restart.total))
}

impl Restart {
    async fn begin(args: &RestartArgs, client: &Client) -> Result<Self, Failure> {
        let list = client.workers().await?;
        // Without a time the processes that are there now are meant, whatever their clocks say.
        let older = |worker: &WorkerView| match &args.started_before {
            None => true,
            Some(before) => Timestamp::parse(&worker.started_at).is_ok_and(|started| started < *before),
        };
        let here = |worker: &WorkerView| args.host.as_ref().is_none_or(|host| *host == worker.host);
        let mut todo: Vec<WorkerView> = list.workers.iter().filter(|w| older(w) && here(w)).cloned().collect();
        if let Some(deaf) = todo.iter().find(|worker| !worker.hears) {
            let what = format!("{} ({} on {}) ignores orders", deaf.id, deaf.version, deaf.host);
            return Err(Failure::new(Code::Failure, what)
                .hint("workers of an older version are replaced on their machine, with SIGTERM; nothing was stopped"));
        }
        let stops = |worker: &WorkerView| worker.state == WorkerState::Stopping.as_str();
        let total = todo.len();
        let away = todo.extract_if(.., |worker| stops(worker));
        let away = away.map(|worker| Stopped { worker, since: clock::now(), gone: false, ours: false });
        let stopped: Vec<Stopped> = away.collect();
        todo.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        let before = args.started_before.map_or(list.at, |before| before.to_string());
        let known = list.workers.iter().map(|worker| worker.id.clone()).collect();
        Ok(Self { total, todo, stopped, known, replaced: 0, before })
    }

    /// Notes who is gone and who took a place.
    fn look(&mut self, fleet: &[WorkerView], out: &mut Output) -> Result<(), Failure> {
        self.todo.retain(|worker| {
            fleet.iter().any(|live| live.id == worker.id) || {
                // It ended by itself: whoever supervises it replaces it too.
                self.total -= 1;
                false
            }
        });
        for stopped in self.stopped.iter_mut().filter(|stopped| !stopped.gone) {
            if !fleet.iter().any(|live| live.id == stopped.worker.id) {
                (stopped.gone, stopped.since) = (true, clock::now());
            }
        }
        for live in fleet.iter().filter(|live| live.serves() && !self.known.contains(&live.id)).collect::<Vec<_>>() {
            let Some(at) = self.stopped.iter().position(|s| s.gone && serves_as(live, &s.worker)) else { continue };
            let stopped = self.stopped.remove(at);
            self.known.insert(live.id.clone());
            self.replaced += 1;
            let (n, total) = (self.replaced, self.total);
            out.note(&format!("{n}/{total}: {} on {} took the place of {}", live.id, live.host, stopped.worker.id))?;
        }
        Ok(())
    }

    /// Gives up when one takes too long.
    fn check(&mut self, args: &RestartArgs, out: &mut Output) -> Result<(), Failure> {
        let Some(at) = self.stopped.iter().position(|stopped| stopped.since.elapsed() >= args.wait) else {
            return Ok(());
        };
        if self.stopped[at].gone && !self.stopped[at].ours {
            let worker = self.stopped.remove(at).worker;
            self.total -= 1;
            return out.note(&format!("{} was about to end before, and nothing took its place", worker.id));
        }
        let late = &self.stopped[at];
        out.note(&format!("{} of {} processes were replaced", self.replaced, self.total))?;
        let (worker, wait) = (&late.worker, brief(args.wait));
        let what = match late.gone {
            true => format!(
                "{} on {} ended, and no process that serves its queues claimed within {wait}",
                worker.id, worker.host
            ),
            false => format!("{} on {} was told to stop and is still there after {wait}", worker.id, worker.host),
        };
        let again = format!("windlass workers restart --rolling --started-before {}", self.before);
        let hint = match late.gone {
            true => {
                format!("its supervisor has to start it again (systemd: Restart=always); then go on with `{again}`")
            }
            false => format!("it may be running a long job: give it a longer --wait, or go on later with `{again}`"),
        };
        Err(Failure::new(Code::Failure, what).hint(hint))
    }

    async fn stop_next(&mut self, args: &RestartArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
        while self.stopped.len() < usize::try_from(args.max_unavailable).unwrap_or(usize::MAX) && !self.todo.is_empty()
        {
            let worker = self.todo.remove(0);
            let Ok(id) = worker.id.parse::<WorkerId>() else { continue };
            match client.order(id, Order::Stop).await {
                Ok(_) => out.note(&format!("{} on {} (pid {}) stops", worker.id, worker.host, worker.pid))?,
                Err(error) if error.code() == Some("not_found") => {}
                Err(error) => return Err(error.into()),
            }
            self.stopped.push(Stopped { worker, since: clock::now(), gone: false, ours: true });
        }
        Ok(())
    }
}

/// A successor serves at least the queues of its predecessor.
fn serves_as(live: &WorkerView, before: &WorkerView) -> bool {
    before.queues.iter().all(|queue| live.queues.iter().any(|served| served.name == queue.name))
}

#[cfg(test)]
mod tests {
    use super::super::args::Format;
    use super::*;

    fn stopped(ours: bool) -> Stopped {
        let worker = serde_json::from_value(serde_json::json!({
            "id": "01dYbQxCuc9WqkFEDcvbzN", "host": "h", "pid": 7, "version": "0", "queues": [], "types": [],
            "slots": 8, "busy": 0, "status": "draining", "state": "stopping",
            "started_at": "2026-01-01T00:00:00.000Z", "seen_at": "2026-01-01T00:00:00.000Z",
        }));
        Stopped { worker: worker.expect("a worker"), since: clock::now(), gone: true, ours }
    }

    #[test]
    fn only_a_process_that_this_restart_stopped_has_to_come_back() {
        let args =
            RestartArgs { rolling: true, max_unavailable: 1, wait: Duration::ZERO, started_before: None, host: None };
        let mut out = Output::new(Format::Table);
        for ours in [true, false] {
            let before = String::new();
            let stopped = vec![stopped(ours)];
            let mut restart =
                Restart { todo: Vec::new(), stopped, known: BTreeSet::new(), replaced: 0, total: 1, before };
            assert_eq!(restart.check(&args, &mut out).is_err(), ours);
            assert_eq!((restart.stopped.len(), restart.total), (usize::from(ours), usize::from(ours)));
        }
    }
}
