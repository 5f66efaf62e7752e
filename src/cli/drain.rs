//! `windlass queues drain`: close the intake, and perhaps watch what is left go.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::failure::{Code, Failure};
use super::output::{Output, clean};
use super::span::{self, brief};
use crate::api::queue::{DrainCommand, QueueView, SwitchView};
use crate::client::Client;
use crate::clock::{self, Instant};
use crate::domain::{DrainThen, QueueName};

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(500);
/// Where nobody watches, what is left is said this often.
const SAY: Duration = Duration::from_secs(5);
/// After the deadline, what is left has to become less within this time.
const STUCK: Duration = Duration::from_secs(30);

/// Options of `queues drain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass queues drain default --wait
  windlass queues drain mail --wait --deadline 10m --then move:mail-later")]
pub struct DrainArgs {
    /// The queue
    queue: QueueName,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    /// Show what is left, and come back when nothing is; held jobs wait for a person and are only named
    #[arg(long)]
    wait: bool,
    /// After so long, such as 10m, something becomes of what is left
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    deadline: Option<Duration>,
    /// What: keep, hold or move:<queue> [default: keep]
    #[arg(long, requires = "deadline")]
    then: Option<DrainThen>,
}

pub(super) async fn run(args: DrainArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let command = DrainCommand {
        reason: args.reason,
        deadline_seconds: args.deadline.map(|time| time.as_secs()),
        then: args.then.as_ref().map(ToString::to_string),
    };
    let queue = client.drain(&args.queue, &command).await?;
    let text = match &queue.already {
        Some(first) => already(&args.queue, first, args.deadline.is_some()),
        None => format!("{} takes no new jobs{}", args.queue, then(queue.draining.as_ref())),
    };
    if args.wait {
        out.note(&text)?;
        out.note(&format!(
            "Ctrl-C ends the watching only; `windlass queues resume {}` opens the intake again",
            args.queue
        ))?;
        let last = wait(&args.queue, queue, client, out).await?;
        return out.text(&last, |last| format!("{} is drained{}", last.name, held(last)));
    }
    out.done(&queue, &text)
}

fn already(queue: &QueueName, first: &SwitchView, asked_for_deadline: bool) -> String {
    let mut text = format!("{queue} takes no new jobs already, since {} by {}", first.at, clean(&first.by));
    text.push_str(&then(Some(first)));
    if asked_for_deadline {
        text.push_str("; that stays: `windlass queues resume` first, for another deadline");
    }
    text
}

fn then(switch: Option<&SwitchView>) -> String {
    match switch.and_then(|switch| Some((switch.deadline.as_ref()?, switch.then.as_ref()?))) {
        Some((at, then)) => format!("; what is left at {at}: {then}"),
        None => String::new(),
    }
}

fn held(queue: &QueueView) -> String {
    if queue.held == 0 { String::new() } else { format!("; {} held jobs wait for a decision", queue.held) }
}

fn left(queue: &QueueView) -> u64 {
    queue.depth + queue.scheduled + queue.running
}

async fn wait(name: &QueueName, mut queue: QueueView, client: &Client, out: &mut Output) -> Result<QueueView, Failure> {
    let (began, at_first) = (clock::now(), left(&queue));
    let bar = ProgressBar::new(at_first);
    bar.set_style(ProgressStyle::with_template("{bar:30} {msg}").unwrap_or(ProgressStyle::default_bar()));
    let silent = !std::io::stderr().is_terminal();
    let (mut said, mut least, mut shrunk): (Option<Instant>, u64, Instant) = (None, at_first, began);
    loop {
        let left = left(&queue);
        let text = progress(&queue, at_first, began.elapsed());
        bar.set_position(at_first.saturating_sub(left));
        bar.set_message(text.clone());
        if left == 0 {
            bar.finish_and_clear();
            return Ok(queue);
        }
        if queue.draining.is_none() {
            bar.finish_and_clear();
            return Err(Failure::new(
                Code::Failure,
                format_args!("someone opened {name} again, with {left} jobs left"),
            ));
        }
        if silent && said.is_none_or(|at| at.elapsed() >= SAY) {
            out.note(&text)?;
            said = Some(clock::now());
        }
        if left < least {
            (least, shrunk) = (left, clock::now());
        }
        if is_past(queue.draining.as_ref()) && shrunk.elapsed() >= STUCK {
            bar.finish_and_clear();
            let hint = format!("`windlass why {name}` says what they wait for");
            return Err(
                Failure::new(Code::Failure, format_args!("the deadline has passed with {left} jobs left")).hint(hint)
            );
        }
        tokio::time::sleep(LOOK).await;
        queue = client.queue(name).await?;
    }
}

/// By the server's clock as written, against this machine's: seconds of difference only move when it is said.
fn is_past(drain: Option<&SwitchView>) -> bool {
    let at = drain.and_then(|drain| crate::domain::Timestamp::parse(drain.deadline.as_deref()?).ok());
    at.is_some_and(|at| at <= clock::wall())
}

/// `120 left (80 pending, 30 scheduled, 10 running), 12.0/s, 10s to go`.
fn progress(queue: &QueueView, at_first: u64, took: Duration) -> String {
    let left = left(queue);
    let mut text =
        format!("{left} left ({} pending, {} scheduled, {} running)", queue.depth, queue.scheduled, queue.running);
    let done = at_first.saturating_sub(left);
    if done > 0 && took >= Duration::from_secs(1) {
        #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "jobs of a queue are far below 2^53")]
        let rate = done as f64 / took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "as above")]
        let to_go = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
        text.push_str(&format!(", {rate:.1}/s, {} to go", brief(to_go)));
    }
    text + &held(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_what_is_left_how_fast_and_how_long() {
        let queue: QueueView = serde_json::from_value(serde_json::json!({
            "name": "q", "depth": 10, "parked": 0, "scheduled": 5, "running": 5, "held": 1, "dead": 0, "workers": 1,
            "enqueued_total": 0, "dequeued_total": 0, "lease_expiries_total": 0, "finished_total": {},
            "oldest_pending_ms": null, "paused": null, "draining": null
        }))
        .expect("a queue");
        let text = progress(&queue, 40, Duration::from_secs(10));
        assert_eq!(
            text,
            "20 left (10 pending, 5 scheduled, 5 running), 2.0/s, 10s to go; 1 held jobs wait for a decision"
        );
        assert!(!progress(&queue, 20, Duration::from_secs(10)).contains("/s"), "nothing went yet");
    }
}
