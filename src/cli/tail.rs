//! `windlass jobs tail`: what happens to jobs, as it happens.

use clap::Args;
use unicode_width::UnicodeWidthStr;

use super::failure::Failure;
use super::nearest;
use super::output::{Output, clean};
use super::paint::Look;
use crate::api::event::StepView;
use crate::client::{Client, WatchEvent, WatchFilter};
use crate::domain::{JobId, JobState, JobType, QueueName, Workspace};

/// Options of `jobs tail`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass jobs tail --queue mail --state dead
  windlass jobs tail --type llm.chat --output json | jq -r .reason

A line has the time, the job, its type and queue, the state left and the one reached, the attempt,
and the reason. A lost connection is made again, and what was missed meanwhile is told then.
A key for all workspaces sees all jobs, for which it needs the scope queue:operate.")]
pub struct TailArgs {
    /// Only jobs of this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only jobs of this type
    #[arg(long = "type", value_name = "TYPE")]
    job_type: Option<JobType>,
    /// Only changes to this state
    #[arg(long, value_parser = |word: &str| JobState::from_word(word).ok_or("is no state of a job"))]
    state: Option<JobState>,
    /// Only this job
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
    /// Workspace, for keys that are good for all
    #[arg(long)]
    workspace: Option<Workspace>,
}

/// Runs the command; it ends when its reader does.
pub(super) async fn run(args: TailArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    if let Some(queue) = &args.queue
        && let Some(missing) = nearest::missing_queue(client, queue).await
    {
        // A queue begins with its first job, so this may be what someone waits for.
        out.note(&format!("{missing}; waiting for its first job"))?;
    }
    let filter = WatchFilter {
        queue: args.queue.map(|queue| queue.to_string()),
        job_type: args.job_type.map(|name| name.to_string()),
        state: args.state.map(|state| state.to_string()),
        job: args.job.map(|job| job.to_string()),
    };
    let mut events = client.in_workspace(args.workspace).watch(filter);
    while !out.is_closed() {
        match events.next().await? {
            WatchEvent::Step(step) if out.is_json() => out.print(&serde_json::to_string(&step).unwrap_or_default())?,
            WatchEvent::Step(step) => out.print(&line(&step, out))?,
            WatchEvent::Open => out.note("watching; Ctrl-C ends it")?,
            WatchEvent::Reset => out.note("events were missed; `windlass jobs list` shows where things stand")?,
            WatchEvent::Lost(reason) => out.note(&format!("connection lost ({}); trying again", clean(&reason)))?,
            WatchEvent::Back => out.note("connected again")?,
        }
    }
    Ok(())
}

/// People see the time of day; scripts the whole moment.
fn line(step: &StepView, out: &Output) -> String {
    let time = if out.is_terminal() { step.at.get(11..23).unwrap_or(&step.at) } else { &step.at };
    let look = match step.state.as_str() {
        "dead" | "expired" => Look::Bad,
        "held" | "cancelled" => Look::Warn,
        "succeeded" => Look::Good,
        _ => Look::Plain,
    };
    let change = format!("{} → {}", step.from.as_deref().unwrap_or("-"), step.state);
    let reason = match (&step.reason, &step.message) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(reason), None) => reason.clone(),
        _ => String::new(),
    };
    let text = [
        time.to_owned(),
        step.job_id.clone(),
        padded(&clean(&step.job_type), 14),
        padded(&clean(&step.queue), 10),
        out.paint().apply(look, &padded(&change, 21)),
        step.attempt.to_string(),
        clean(&reason),
    ]
    .join("  ");
    text.trim_end().to_owned()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::super::args::Format;
    use super::*;

    #[test]
    fn a_line_says_what_happened_to_which_job_and_why() {
        let step = StepView {
            job_id: "01dVmX8Y1uj8y5I0EHlEd0".to_owned(),
            workspace: "acme".to_owned(),
            job_type: "echo".to_owned(),
            queue: "mail".to_owned(),
            from: Some("running".to_owned()),
            state: "dead".to_owned(),
            attempt: 3,
            at: "2026-01-31T09:00:00.123Z".to_owned(),
            reason: Some("error".to_owned()),
            message: Some("no\u{1b}[2J such\nhost".to_owned()),
        };
        let text = line(&step, &Output::new(Format::Table));
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words[0].contains("09:00:00.123"), "{text}");
        assert_eq!(words[1..8], ["01dVmX8Y1uj8y5I0EHlEd0", "echo", "mail", "running", "→", "dead", "3"]);
        assert!(text.contains("error: no") && !text.contains('\u{1b}') && !text.contains('\n'), "{text:?}");
        let new = StepView { from: None, state: "pending".to_owned(), reason: None, message: None, ..step };
        assert!(line(&new, &Output::new(Format::Table)).contains("- → pending"));
    }
}
