//! A worker with an action of its own. It submits one job, runs it, shows the result, and stops.
//!
//! `REDIS_URL=redis://127.0.0.1:6379 cargo run --example custom_action`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::domain::{Job, JobSpec, JobType, RawJson, RequestId, Workspace};
use windlass::engine::{
    AllowList, Executor, Guard, JobContext, JobFuture, Registry, Submitter, TypeInfo, Worker, WorkerOptions, tasks,
};
use windlass::store::{Scope, Store, StoreOptions};

/// The action: doubles `n`.
struct Double(TypeInfo);

impl Executor for Double {
    fn info(&self) -> &TypeInfo {
        &self.0
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move {
            let input: serde_json::Value = context.input()?;
            // Right before anything that others would notice: is the job still ours?
            context.before_effect()?;
            Ok(RawJson::from_value(&serde_json::json!({"doubled": 2 * input["n"].as_i64().unwrap_or_default()})))
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut double = TypeInfo::new(JobType::new("math.double")?, "Doubles `n`.");
    double.is_action = true;
    let allowed = [double.name.to_string()].into();
    let mut registry = Registry::new(AllowList { actions_enabled: true, allowed });
    registry.register(Arc::new(Double(double)))?;

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
