//! Submitter and worker in one process: it submits one job, runs it, shows the result, and stops.
//!
//! `REDIS_URL=redis://127.0.0.1:6379 cargo run --example embedded`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::domain::{Job, JobSpec, JobType, RawJson, RequestId, Workspace};
use windlass::engine::{AllowList, Guard, Registry, Submitter, TypeInfo, Worker, WorkerOptions, from_fn, tasks};
use windlass::store::{Scope, Store, StoreOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let info = TypeInfo::new(JobType::new("math.double")?, "Doubles `n`.");
    let mut registry = Registry::new(AllowList::default());
    registry.register(from_fn(info, |context| async move {
        let input: serde_json::Value = context.input()?;
        Ok(RawJson::from_value(&serde_json::json!({"doubled": 2 * input["n"].as_i64().unwrap_or_default()})))
    }))?;

    let store = Store::connect(StoreOptions::new(&redis_url())).await?;
    let shutdown = CancellationToken::new();
    let worker = Worker::new(store.clone(), Arc::new(registry), WorkerOptions::default());
    let worker = tasks::spawn("worker", worker.run(shutdown.clone()));

    let mut job = submit_one(&store, &shutdown).await?;
    while !job.state.is_terminal() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        job = store.job(&Scope::All, job.id).await?.ok_or("the job is gone")?;
    }
    println!("{} is {}: {}", job.id, job.state, job.result.as_ref().map_or("no result", |r| r.as_str()));

    shutdown.cancel();
    worker.await??;
    Ok(())
}

/// Usually in another process; over HTTP, `windlass serve` does this.
async fn submit_one(store: &Store, shutdown: &CancellationToken) -> Result<Job, Box<dyn Error>> {
    store.wait_connected(Duration::from_secs(5)).await?;
    let guard = Guard::start(store.clone(), shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(store.clone(), guard, shutdown.clone());
    let request = RequestId::new(&format!("example-{}", std::process::id()))?;
    let input = RawJson::from_compact("{\"n\":21}");
    let spec = JobSpec::new(Workspace::new("examples")?, request, JobType::new("math.double")?, input);
    Ok(submitter.submit(spec).await?.job)
}

#[expect(clippy::disallowed_methods, reason = "an example has no configuration")]
fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}
