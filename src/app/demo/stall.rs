//! The end of the demo: the queue is stalled on purpose, `windlass why` says why, and the command that it names mends
//! it. Both are run as an operator would run them, as processes of this binary.

use std::time::Duration;

use futures_util::future::try_join_all;
use secrecy::ExposeSecret;

use super::super::child::run_to_end;
use super::{Demo, StartError, plan};
use crate::api::queue::QueueCommand;
use crate::cli::clean;
use crate::client::Client;
use crate::domain::{JobId, QueueName};

/// How long the jobs may take once the queue goes on.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stalled {
    /// Jobs that waited.
    pub(super) jobs: usize,
    /// The command that `why` named.
    pub(super) named: Option<String>,
    /// Whether the command succeeded.
    pub(super) mended: bool,
    /// Jobs that succeeded after it.
    pub(super) succeeded: usize,
}

impl Stalled {
    /// Whether the stall was found and mended.
    pub(super) fn is_mended(&self) -> bool {
        self.jobs > 0 && self.named.is_some() && self.mended && self.succeeded == self.jobs
    }

    /// Named, mended, and how many of the jobs succeeded.
    pub(super) fn told(&self) -> String {
        let (named, mended) = (super::report::yes(self.named.is_some()), super::report::yes(self.mended));
        format!("{named} / {mended} / {} of {}", self.succeeded, self.jobs)
    }
}

/// A demo that was stopped in the middle may have left the queue as it was.
pub(super) async fn undo(admin: &Client) -> Result<(), StartError> {
    let queue = queue()?;
    let queues = admin.queues().await.map_err(StartError::part)?.queues;
    if queues.iter().any(|view| view.name == queue.as_str() && view.paused.is_some()) {
        admin.queue_command(&queue, "resume", &QueueCommand::default()).await.map_err(StartError::part)?;
    }
    Ok(())
}

/// Stalls the queue, asks why, and does what the answer says.
pub(super) async fn run(demo: &Demo, run: &str) -> Result<Stalled, StartError> {
    let (admin, client) = (demo.stack.client()?, &demo.clients[0]);
    let reason = Some("the demo stalls it on purpose".to_owned());
    let pause = QueueCommand { reason, ..QueueCommand::default() };
    admin.queue_command(&queue()?, "pause", &pause).await.map_err(StartError::part)?;
    let jobs = plan::stuck(run);
    let receipts = try_join_all(jobs.iter().map(|planned| client.submit(&planned.job))).await;
    let mut ids = Vec::new();
    for receipt in receipts.map_err(StartError::part)? {
        ids.push(receipt.job.id.parse::<JobId>().map_err(StartError::part)?);
    }
    let Some(first) = ids.first() else { return Ok(Stalled::default()) };
    demo.progress.say(&format!("Stalled the queue on purpose; {} new jobs wait. An operator asks why:", ids.len()));
    let named = ask(demo, *first).await?;
    let mended = match &named {
        Some(command) => mend(demo, command).await?,
        None => false,
    };
    let ends = try_join_all(ids.iter().map(|id| client.job(*id, if mended { PATIENCE } else { Duration::ZERO }))).await;
    let succeeded = ends.map_err(StartError::part)?.iter().filter(|job| job.state == "succeeded").count();
    Ok(Stalled { jobs: ids.len(), named, mended, succeeded })
}

fn queue() -> Result<QueueName, StartError> {
    QueueName::new("default").map_err(StartError::part)
}

/// Runs `windlass why` and shows its answer as a line; returns the command that it names.
async fn ask(demo: &Demo, job: JobId) -> Result<Option<String>, StartError> {
    let id = job.to_string();
    let (ok, text, error) = windlass(demo, &["why", &id, "--output", "json"]).await?;
    let why: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let word = |field: &str| why[field].as_str().map(clean);
    match (ok, word("detail"), word("next")) {
        (true, Some(detail), next) => {
            let named = next.as_deref().unwrap_or("nothing");
            demo.progress.say(&format!("  $ windlass why {id}\n  {detail}; next: {named}"));
            Ok(next)
        }
        _ => {
            demo.progress.say(&format!("  $ windlass why {id}\n  {}", clean(&error)));
            Ok(None)
        }
    }
}

/// Runs the command that `why` named, word by word.
async fn mend(demo: &Demo, command: &str) -> Result<bool, StartError> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let Some((&"windlass", arguments)) = words.split_first() else {
        demo.progress.say(&format!("  that is no command of windlass: {command}"));
        return Ok(false);
    };
    let (ok, said, noted) = windlass(demo, arguments).await?;
    demo.progress.say(&format!("  $ {command}\n  {}", clean(format!("{said} {noted}").trim())));
    Ok(ok)
}

/// This binary, as an operator of the demo would run it.
async fn windlass(demo: &Demo, arguments: &[&str]) -> Result<(bool, String, String), StartError> {
    let program = std::env::current_exe().map_err(StartError::part)?;
    let key = demo.stack.admin_key.expose_secret();
    let settings =
        [("WINDLASS_URL", demo.stack.url.as_str()), ("WINDLASS_API_KEY", key), ("WINDLASS_API_KEY_FILE", "")];
    run_to_end(&program, arguments, &settings).await.map_err(StartError::part)
}
