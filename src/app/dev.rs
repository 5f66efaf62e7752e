//! `windlass dev`: everything on this machine, nothing to configure.

use std::io::Write;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::child::Child;
use super::stack::{Stack, StackPlan};
use crate::cli::{DevArgs, Global};
use crate::config::Environment;
use crate::telemetry::Levels;

/// Before a worker that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Runs the stack until `shutdown` fires. Must be called on the main thread.
pub(super) async fn run(
    args: &DevArgs,
    global: &Global,
    environment: &Environment,
    (levels, shutdown): (Levels, CancellationToken),
) -> Result<(), StartError> {
    let plan = StackPlan {
        role: "windlass dev",
        data: &args.data,
        redis_bin: args.redis_bin.as_deref(),
        config_file: global.config.as_deref(),
        port: args.port,
        real_llm: args.real_llm,
        settings: Vec::new(),
        levels,
    };
    let mut stack = Stack::start(plan, environment).await?;
    let mut workers = Vec::new();
    for _ in 0..args.workers {
        workers.push(stack.workers.start()?);
    }
    let outcome = match stack.wait_for_workers(&mut workers).await {
        Ok(()) => {
            announce(&stack, args)?;
            watch(&mut stack, &mut workers, &shutdown).await
        }
        Err(error) => Err(error),
    };
    stack.stop(workers).await;
    outcome
}

/// Starts workers again that end, and gives up when Redis does.
async fn watch(stack: &mut Stack, workers: &mut [Child], shutdown: &CancellationToken) -> Result<(), StartError> {
    let mut ticks = tokio::time::interval(RESTART_PAUSE);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = stack.redis.ended() => return Err(StartError::Child("redis ended; see redis.log".to_owned())),
            _ = ticks.tick() => {}
        }
        for worker in workers.iter_mut() {
            if let Some(status) = worker.try_ended() {
                tracing::warn!(worker = worker.name(), %status, "a worker ended and is started again");
                *worker = stack.workers.start()?;
            }
        }
    }
}

fn announce(stack: &Stack, args: &DevArgs) -> Result<(), StartError> {
    let url = &stack.url;
    let text = format!(
        "\nWindlass is up. Ctrl-C stops all of it; the data stays in {data}.\n\n  \
         API      {url}        (documentation: {url}/docs)\n  \
         metrics  {url}/metrics\n  \
         redis    redis-cli -s {socket}\n  \
         workers  {workers}, logs in {data}\n\n  \
         export WINDLASS_URL={url}\n  \
         export WINDLASS_API_KEY={key}\n  \
         windlass jobs submit echo --workspace acme --input '{{\"text\":\"hello\"}}' --wait 10\n\n",
        data = args.data.display(),
        socket = stack.redis.socket().display(),
        workers = args.workers,
        key = stack.admin_key.expose_secret(),
    );
    std::io::stderr().lock().write_all(text.as_bytes()).map_err(StartError::part)
}
