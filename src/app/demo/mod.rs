//! `windlass demo`: real jobs through HTTP, Redis and two worker processes, one of which is killed.
//!
//! The stack of `dev` in a folder that survives restarts. Two workspaces submit mixed jobs, submit
//! some of them again, one worker gets SIGKILL in the middle, and the end is counted job by job:
//! the demo fails when a single one is lost. At the end the queue is stalled on purpose, and mended by the command that
//! `why` names.

mod approval;
mod drive;
mod mailbox;
mod plan;
mod progress;
mod receiver;
mod report;
mod stall;
mod streamed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::child::Child;
use super::stack::{Stack, StackPlan};
use crate::api::key::CreateKey;
use crate::cli::{DemoArgs, Format, Global, Output};
use crate::client::Client;
use crate::config::Environment;
use crate::domain::WorkerId;
use crate::telemetry::Levels;
use mailbox::Mailbox;
use progress::Progress;
use receiver::Receiver;

/// Who submits.
const WORKSPACES: [&str; 2] = ["acme", "globex"];
/// Workers at the start; the killed one is replaced.
const WORKERS: usize = 2;
/// Shorter than the default of 15 s, so that nobody has to wait for the recovery.
const LEASE_MS: u32 = 5_000;

/// The parts of a running demo.
struct Demo {
    stack: Stack,
    workers: Vec<Child>,
    clients: Vec<Client>,
    receiver: Receiver,
    mailbox: Mailbox,
    progress: Progress,
    jobs: u32,
}

/// Runs the demo. Must be called on the main thread.
pub(super) async fn run(
    args: &DemoArgs,
    global: &Global,
    environment: &Environment,
    (levels, shutdown): (Levels, CancellationToken),
) -> Result<(), StartError> {
    let real_llm = environment.get("DEMO_REAL") == Some("1");
    let progress = Progress::start();
    progress
        .say(&format!("Starting Redis, the API and {WORKERS} workers; data and logs are in {}", args.data.display()));
    let (receiver, mailbox) = (Receiver::start().await?, Mailbox::start().await?);
    let plan = StackPlan {
        role: "windlass demo",
        data: &args.data,
        redis_bin: args.redis_bin.as_deref(),
        config_file: global.config.as_deref(),
        port: None,
        real_llm,
        settings: settings(&receiver, &mailbox),
        levels,
    };
    let stack = Stack::start(plan, environment).await?;
    let mut demo =
        Demo { stack, workers: Vec::new(), clients: Vec::new(), receiver, mailbox, progress, jobs: args.jobs };
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Err(StartError::Part("interrupted".to_owned())),
        outcome = Box::pin(demo.show()) => outcome,
    };
    if let Ok(clean) = &outcome {
        demo.urls(args.keep)?;
        if args.keep && *clean {
            shutdown.cancelled().await;
        }
    }
    demo.progress.say("Stopping everything; `windlass demo` starts again with the same data");
    demo.stack.stop(demo.workers).await;
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::Part("the demo did not end as it should; see the table above".to_owned())),
        Err(error) => Err(error),
    }
}

/// Settings of the API and the workers.
fn settings(receiver: &Receiver, mailbox: &Mailbox) -> Vec<(&'static str, String)> {
    let secret = STANDARD.encode(format!("{}{}", WorkerId::fresh(), WorkerId::fresh()));
    vec![
        ("ACTIONS_ENABLED", "true".to_owned()),
        ("ALLOW_ACTIONS_DEFAULT", "webhook.send,smtp.send".to_owned()),
        ("WEBHOOK_ALLOW_INTERNAL", receiver.host()),
        ("SMTP_URL", mailbox.url().to_owned()),
        ("SMTP_FROM", "demo@example.org".to_owned()),
        ("WEBHOOK_SIGNING_SECRET", format!("whsec_{secret}")),
        ("LEASE_MS", LEASE_MS.to_string()),
        ("HEARTBEAT_MS", "0".to_owned()),
        ("WORKER_CONCURRENCY", "8".to_owned()),
        ("QUEUES", "default=1".to_owned()),
    ]
}

impl Demo {
    /// Everything but starting and stopping the stack; says whether all went as it should.
    async fn show(&mut self) -> Result<bool, StartError> {
        for _ in 0..WORKERS {
            self.workers.push(self.stack.workers.start()?);
        }
        self.stack.wait_for_workers(&mut self.workers).await?;
        self.clients = clients(&self.stack).await?;
        let figures = Box::pin(drive::run(self)).await?;
        let (table, clean) = figures.table();
        self.progress.finish();
        Output::new(Format::Table).print(&table).map_err(|e| StartError::Part(e.message))?;
        Ok(clean)
    }

    fn urls(&self, keep: bool) -> Result<(), StartError> {
        let url = &self.stack.url;
        let (key, socket) = (self.stack.admin_key.expose_secret(), self.stack.redis.socket().display());
        let when = if keep { "until Ctrl-C" } else { "while it runs: `windlass demo --keep`" };
        self.progress.say(&format!(
            "To look at, {when}:\n  {url}/docs       the API\n  {url}/metrics    what Prometheus scrapes\n  \
             {url}/ready      what a load balancer asks\n  {url}/health     the parts and how they stand\n  \
             redis-cli -s {socket} LLEN ai:queue:pending"
        ));
        if keep {
            self.progress.say(&format!("  WINDLASS_URL={url} WINDLASS_API_KEY={key} windlass queues list"));
        }
        Ok(())
    }
}

/// One client per workspace, each with a key of its own made over the API.
async fn clients(stack: &Stack) -> Result<Vec<Client>, StartError> {
    let admin = stack.client()?;
    let mut clients = Vec::new();
    for workspace in WORKSPACES {
        let request = CreateKey {
            workspace: workspace.to_owned(),
            scopes: ["jobs:read", "jobs:write"].map(str::to_owned).to_vec(),
            name: Some("demo".to_owned()),
        };
        let created = admin.create_key(&request).await.map_err(StartError::part)?;
        clients.push(Client::new(&stack.url, Some(created.key.into())).map_err(StartError::part)?);
    }
    Ok(clients)
}
