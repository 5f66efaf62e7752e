//! Workers inside the test process, with handlers made of closures.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass::domain::{Job, JobId, JobState, JobType, LeaseTiming, QueueName, RawJson, RetryPolicy};
use windlass::engine::{
    AllowList, ExecutionError, Executor, JobContext, JobFuture, Registry, TypeInfo, Worker, WorkerHandle, WorkerOptions,
};
use windlass::store::{Scope, Store};

/// An executor made of a closure.
pub(crate) struct Closure<F> {
    info: TypeInfo,
    run: F,
}

impl<F, Fut> Executor for Closure<F>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin((self.run)(context))
    }
}

/// A registry that runs `echo` with a closure.
pub(crate) fn registry<F, Fut>(run: F) -> Arc<Registry>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    let info = TypeInfo {
        name: JobType::new("echo").unwrap(),
        summary: String::new(),
        input_schema: serde_json::json!({}),
        retry: RetryPolicy { max_attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(5) },
        timeout: Duration::from_secs(60),
        is_action: false,
    };
    let mut registry = Registry::new(AllowList::default());
    registry.register(Arc::new(Closure { info, run })).unwrap();
    Arc::new(registry)
}

/// A running worker; `stop` drains it.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) fn options() -> WorkerOptions {
    WorkerOptions {
        queues: vec![(QueueName::default_queue(), 1)],
        slots: 4,
        timing: LeaseTiming::default(),
        drain_grace: Duration::from_secs(10),
        host: "test".into(),
        version: "0",
    }
}

/// Starts a worker in this process.
pub(crate) fn start(store: &Store, registry: &Arc<Registry>, options: WorkerOptions) -> Running {
    let worker = Worker::new(store.clone(), Arc::clone(registry), options);
    let (handle, shutdown) = (worker.handle(), CancellationToken::new());
    let token = shutdown.clone();
    let task = tokio::spawn(async move { worker.run(token).await.unwrap() });
    Running { handle, shutdown, task }
}

/// Waits until the job is in `state`, and returns it.
pub(crate) async fn reaches(store: &Store, id: JobId, state: JobState) -> Job {
    let look = async {
        loop {
            match store.job(&Scope::All, id).await {
                Ok(Some(job)) if job.state == state => return job,
                Ok(Some(job)) => assert!(!job.state.is_terminal(), "the job ended as {}: {:?}", job.state, job.failure),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.unwrap_or_else(|_| panic!("job {id} never got {state}"))
}
