//! `windlass fake-llm`: an OpenAI-compatible server that makes up its answers.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{StartError, compose};
use crate::cli::FakeLlmArgs;
use crate::executors::llm::fake::{self, FakeLlmOptions};

/// Serves until `shutdown` fires.
pub(super) async fn run(args: &FakeLlmArgs, shutdown: CancellationToken) -> Result<(), StartError> {
    let listener = compose::listen(&args.host.to_string(), args.port).await?;
    tracing::info!(url = compose::local_url(&listener)?, "the fake model is served");
    let options = FakeLlmOptions {
        delay: Duration::from_millis(args.delay_ms),
        chunk_delay: CHUNK_DELAY,
        requests_per_minute: args.requests_per_minute,
        concurrency: args.concurrency,
        fault_rate: args.fault_rate,
        ..FakeLlmOptions::default()
    };
    fake::serve(listener, options, shutdown).await.map_err(StartError::part)
}

/// Between the words of a streamed answer: about as fast as people read.
const CHUNK_DELAY: Duration = Duration::from_millis(40);

/// Serves on a listener, waiting `delay` before each answer.
pub(super) async fn serve(
    listener: TcpListener,
    delay: Duration,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let options = FakeLlmOptions { delay, chunk_delay: CHUNK_DELAY, ..FakeLlmOptions::default() };
    fake::serve(listener, options, shutdown).await.map_err(StartError::part)
}
