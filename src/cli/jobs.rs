//! `windlass jobs …` and `windlass why`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use super::bulk::{self, BulkCommand};
use super::failure::{Code, Failure};
use super::held::{self, HeldCommand};
use super::output::Output;
use super::tail::TailArgs;
use crate::api::job::{CreateJob, JobList, JobView};
use crate::client::{Client, JobFilter};
use crate::domain::{JobId, JobState, JobType, Priority, QueueName, RequestId, Timestamp, Workspace};

/// Submit, list, show and steer jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Submit a job
    #[command(after_help = "Examples:
  windlass jobs submit echo --input '{\"text\":\"hello\"}' --wait 10
  windlass jobs submit llm.chat --id report-7 --input-file chat.json --priority high
  jq -c .job order.json | windlass jobs submit webhook.send --input-file -

Submitting the same --id with the same body again is safe and returns the same job.")]
    Submit(Box<SubmitArgs>),
    /// List jobs, newest first
    List(Box<ListArgs>),
    /// Show one job
    Show {
        /// The job's id
        job: JobId,
        /// Wait up to this many seconds for its end
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
    /// Follow a job to its end: its states, and the text of a streaming answer as it is written
    Follow {
        /// The job's id
        job: JobId,
    },
    /// Watch what happens to jobs, a line for each change of state, until Ctrl-C
    Tail(Box<TailArgs>),
    /// What is done to jobs by id, or to all that a filter names.
    #[command(flatten)]
    Bulk(BulkCommand),
    /// Say what a job waits for
    Why {
        /// The job's id
        job: JobId,
    },
    /// Decisions about held jobs.
    #[command(flatten)]
    Held(HeldCommand),
}

/// Options of `jobs submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// What to do, such as `echo` or `llm.chat`
    #[arg(value_name = "TYPE")]
    job_type: JobType,
    /// Your id of the job (client_request_id) [default: a random one]
    #[arg(long)]
    id: Option<RequestId>,
    /// The input as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "input_file")]
    input: Option<String>,
    /// File with the input as JSON; `-` is stdin
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// Queue [default: default]
    #[arg(long)]
    queue: Option<QueueName>,
    /// high, normal or low [default: normal]
    #[arg(long, value_parser = |word: &str| Priority::from_word(word).ok_or("must be high, normal or low"))]
    priority: Option<Priority>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    run_at: Option<Timestamp>,
    /// Not started after this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    expires_at: Option<Timestamp>,
    /// Run deadline of one attempt
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Attempts in total
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// A note, may be repeated
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Workspace, for keys that are good for all
    #[arg(long)]
    workspace: Option<Workspace>,
    /// Wait up to this many seconds for the end of the job
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// Options of `jobs list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass jobs list --workspace acme --state dead --limit 20
  windlass jobs list --workspace acme --queue mail --after 2026-01-31T09:00:00Z --output json")]
pub struct ListArgs {
    /// Only this state
    #[arg(long, value_parser = |word: &str| JobState::from_word(word).ok_or("is no state of a job"))]
    state: Option<JobState>,
    /// Only this type
    #[arg(long = "type", value_name = "TYPE")]
    job_type: Option<JobType>,
    /// Only this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only the job with this id of yours
    #[arg(long, value_name = "ID")]
    id: Option<RequestId>,
    /// Only created at or after (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    after: Option<Timestamp>,
    /// Only created before (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    before: Option<Timestamp>,
    /// Workspace, for keys that are good for all
    #[arg(long)]
    workspace: Option<Workspace>,
    /// Jobs at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Runs one of the commands.
pub(super) async fn run(command: JobsCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        JobsCommand::Submit(args) => submit(*args, client, out).await,
        JobsCommand::List(args) => list(*args, client, out).await,
        JobsCommand::Show { job, wait } => {
            let job = client.job(job, Duration::from_secs(wait)).await?;
            out.text(&job, describe)
        }
        JobsCommand::Follow { job } => super::follow::run(job, client, out).await,
        JobsCommand::Tail(args) => super::tail::run(*args, client, out).await,
        JobsCommand::Bulk(command) => bulk::run(command, client, out).await,
        JobsCommand::Why { job } => super::why::of_job(job, client, out).await,
        JobsCommand::Held(command) => held::run(command, client, out).await,
    }
}

async fn submit(args: SubmitArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let (client, wait) = (client.in_workspace(args.workspace.clone()), Duration::from_secs(args.wait));
    let request = request(args)?;
    let receipt = match client.submit(&request).await {
        Ok(receipt) => receipt,
        Err(error) => {
            out.note(&format!("id: {}", super::output::clean(&request.client_request_id)))?;
            return Err(error.into());
        }
    };
    if receipt.replayed {
        out.note("replayed: this id and body were submitted before")?;
    }
    let mut job = receipt.job;
    if !wait.is_zero() {
        job = client.job(parse_id(&job.id)?, wait).await?;
    }
    out.text(&job, describe)
}

fn parse_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|e| Failure::new(Code::Failure, format_args!("the server sent a bad job id: {e}")))
}

fn request(args: SubmitArgs) -> Result<CreateJob, Failure> {
    let input = input(args.input, args.input_file)?;
    let mut metadata = BTreeMap::new();
    for pair in &args.metadata {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| usage(format_args!("--meta {pair}: must be KEY=VALUE")))?;
        metadata.insert(key.to_owned(), value.to_owned());
    }
    let id = args.id.map_or_else(|| format!("cli-{}", uuid::Uuid::now_v7()), |id| id.to_string());
    Ok(CreateJob {
        client_request_id: id,
        job_type: args.job_type.to_string(),
        input,
        queue: args.queue.map(|q| q.to_string()),
        priority: args.priority.map(|p| p.to_string()),
        run_at: args.run_at.map(|t| t.to_string()),
        expires_at: args.expires_at.map(|t| t.to_string()),
        timeout_ms: args.timeout_ms,
        max_attempts: args.max_attempts,
        callback_url: None,
        metadata: Some(metadata).filter(|m| !m.is_empty()),
    })
}

fn input(text: Option<String>, file: Option<PathBuf>) -> Result<Option<Box<RawValue>>, Failure> {
    let text = match (text, file) {
        (Some(text), _) => text,
        (None, Some(path)) => read_text(&path)?,
        (None, None) => return Ok(None),
    };
    // Sent as written, so that the server sees duplicate keys instead of losing them silently.
    let input: &RawValue =
        serde_json::from_str(text.trim()).map_err(|e| usage(format_args!("the input is not JSON: {e}")))?;
    Ok(Some(input.to_owned()))
}

/// The text of a file; `-` is stdin.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path).map_err(|e| usage(format_args!("{}: {e}", path.display())));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| usage(format_args!("stdin: {e}")))?;
    Ok(text)
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, message)
}

async fn list(args: ListArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let client = client.in_workspace(args.workspace);
    let (wanted, queue) = (args.limit as usize, args.queue.clone());
    let mut filter = JobFilter {
        state: args.state.map(|s| s.to_string()),
        job_type: args.job_type.map(|t| t.to_string()),
        queue: args.queue.map(|q| q.to_string()),
        request_id: args.id.map(|i| i.to_string()),
        created_after: args.after.map(|t| t.to_string()),
        created_before: args.before.map(|t| t.to_string()),
        limit: Some(wanted.min(200)),
        cursor: None,
    };
    let mut all = JobList { jobs: Vec::new(), next_cursor: None };
    loop {
        let page = client.jobs(&filter).await?;
        all.jobs.extend(page.jobs);
        all.next_cursor = page.next_cursor;
        if all.jobs.len() >= wanted || all.next_cursor.is_none() {
            break;
        }
        filter.cursor.clone_from(&all.next_cursor);
    }
    all.jobs.truncate(wanted);
    if let (true, Some(queue)) = (all.jobs.is_empty() && !out.is_json(), &queue)
        && let Some(missing) = super::nearest::missing_queue(&client, queue).await
    {
        out.note(&missing)?;
    }
    out.table(&all, &["JOB", "ID", "TYPE", "QUEUE", "STATE", "ATTEMPT", "CREATED", "NOTE"], |all| {
        all.jobs.iter().map(row).collect()
    })
}

fn row(job: &JobView) -> Vec<String> {
    let note = match (&job.failure, &job.held_reason) {
        (Some(failure), Some(reason)) => format!("{reason}: {}", crate::domain::clip_text(&failure.message, 60)),
        (None, Some(reason)) => reason.clone(),
        (Some(failure), None) if job.state != "succeeded" => {
            format!("{}: {}", failure.reason, crate::domain::clip_text(&failure.message, 60))
        }
        _ => String::new(),
    };
    vec![
        job.id.clone(),
        job.client_request_id.clone(),
        job.job_type.clone(),
        job.queue.clone(),
        job.state.clone(),
        format!("{}/{}", job.attempt, job.max_attempts),
        job.created_at.clone(),
        note,
    ]
}

fn describe(job: &JobView) -> String {
    let mut rows = vec![
        ("job", job.id.clone()),
        ("id", job.client_request_id.clone()),
        ("workspace", job.workspace.clone()),
        ("type", job.job_type.clone()),
        ("queue", format!("{} ({})", job.queue, job.priority)),
        ("state", job.state.clone()),
        ("attempt", format!("{} of {}", job.attempt, job.max_attempts)),
        ("created", job.created_at.clone()),
    ];
    let times = [("run at", &job.run_at), ("started", &job.started_at), ("finished", &job.finished_at)];
    rows.extend(times.into_iter().filter_map(|(name, time)| Some((name, time.clone()?))));
    rows.extend(job.held_reason.clone().map(|reason| ("held", reason)));
    rows.extend(job.failure.as_ref().map(|f| ("failure", format!("{}: {}", f.reason, f.message))));
    rows.extend(job.progress.as_ref().map(|p| ("progress", p.get().to_owned())));
    rows.extend(job.result.as_ref().map(|r| ("result", r.get().to_owned())));
    super::output::facts(&rows)
}
