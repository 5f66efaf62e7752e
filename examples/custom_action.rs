//! A worker with an action of its own; ends with Ctrl-C. `cargo run --example custom_action`
use std::{error::Error, sync::Arc};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use windlass::domain::{JobType, RawJson};
use windlass::engine::{AllowList, Registry, TypeInfo, Worker, WorkerOptions, from_fn};
use windlass::store::{Store, StoreOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut info = TypeInfo::new(JobType::new("math.double")?, "Doubles `n`.");
    info.is_action = true;
    let allowed = [info.name.to_string()].into();
    let mut registry = Registry::new(AllowList { actions_enabled: true, allowed });
    registry.register(from_fn(info, |context| async move {
        let input: Value = context.input()?;
        // Right before anything that others would notice: is the job still ours?
        context.before_effect()?;
        Ok(RawJson::from_value(&json!({"doubled": 2 * input["n"].as_i64().unwrap_or_default()})))
    }))?;

    let store = Store::connect(StoreOptions::new("redis://127.0.0.1:6379")).await?;
    let worker = Worker::new(store, Arc::new(registry), WorkerOptions::default());
    let shutdown = CancellationToken::new();
    let (working, stop) = (worker.run(shutdown.clone()), tokio::signal::ctrl_c());
    tokio::pin!(working);
    tokio::select! { ended = &mut working => return Ok(ended?), _ = stop => shutdown.cancel() }
    Ok(working.await?)
}
