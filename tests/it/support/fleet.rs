//! Workers inside the test process, with handlers made of closures.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windlass::domain::{Job, JobId, JobState, JobType, LeaseTiming, QueueName, RawJson, RetryPolicy};
use windlass::engine::{
    AllowList, ExecutionError, JobContext, Registry, TypeInfo, Worker, WorkerHandle, WorkerOptions, from_fn, tasks,
};
use windlass::store::{Scope, Shards, Store};

/// A wait that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A registry that runs `echo` with a closure.
pub(crate) fn registry<F, Fut>(run: F) -> Arc<Registry>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    registry_of("echo", run)
}

/// A registry that runs one type with a closure.
pub(crate) fn registry_of<F, Fut>(kind: &str, run: F) -> Arc<Registry>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    let info = TypeInfo {
        name: JobType::new(kind).unwrap(),
        summary: String::new(),
        input_schema: serde_json::json!({}),
        retry: RetryPolicy { max_attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(5) },
        timeout: Duration::from_secs(60),
        is_action: false,
        effect: windlass::domain::EffectClass::Repeatable,
    };
    let mut registry = Registry::new(AllowList::default());
    registry.register(from_fn(info, run)).unwrap();
    Arc::new(registry)
}

/// Handlers that report their start, wait to be let go, and report that they are gone.
pub(crate) struct Gated {
    pub(crate) registry: Arc<Registry>,
    /// A permit lets one handler succeed.
    pub(crate) go: Arc<Semaphore>,
    began: mpsc::UnboundedReceiver<JobContext>,
    gone: mpsc::UnboundedReceiver<JobId>,
}

struct Gone(JobId, mpsc::UnboundedSender<JobId>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

impl Gated {
    pub(crate) fn new() -> Self {
        let go = Arc::new(Semaphore::new(0));
        let ((starts, began), (ends, gone)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let gate = Arc::clone(&go);
        let registry = registry(move |context| {
            let (gate, starts, ends) = (Arc::clone(&gate), starts.clone(), ends.clone());
            async move {
                let _gone = Gone(context.id, ends);
                let _ = starts.send(context);
                gate.acquire().await.unwrap().forget();
                Ok(RawJson::from_compact("\"done\""))
            }
        });
        Self { registry, go, began, gone }
    }

    /// The next handler that began.
    pub(crate) async fn began(&mut self) -> JobContext {
        let next = tokio::time::timeout(LIMIT, self.began.recv()).await;
        next.expect("a handler begins").expect("the registry lives")
    }

    /// The job of the next handler that is gone: finished or dropped.
    pub(crate) async fn gone(&mut self) -> JobId {
        let next = tokio::time::timeout(LIMIT, self.gone.recv()).await;
        next.expect("a handler ends").expect("the registry lives")
    }

    /// How many more handlers began.
    pub(crate) fn more_begun(&mut self) -> usize {
        std::iter::from_fn(|| self.began.try_recv().ok()).count()
    }
}

/// A running worker; `stop` drains it.
pub(crate) struct Running {
    pub(crate) handle: WorkerHandle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Begins the shutdown.
    pub(crate) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the shutdown has begun to take effect.
    pub(crate) async fn is_draining(&self) {
        eventually("the worker drains", || self.handle.health().draining).await;
    }

    /// Waits for its end, which something else brought about.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(LIMIT, self.task).await.expect("the worker ends").unwrap();
    }

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
        probes: None,
        rules: None,
        checks: None,
        policies: None,
        tracer: windlass::engine::Tracer::default(),
    }
}

/// Starts a worker in this process.
pub(crate) fn start(store: &(impl Clone + Into<Shards>), registry: &Arc<Registry>, options: WorkerOptions) -> Running {
    let worker = Worker::new(store.clone(), Arc::clone(registry), options);
    let (handle, shutdown) = (worker.handle(), CancellationToken::new());
    let token = shutdown.clone();
    let task = tasks::spawn("worker", async move { worker.run(token).await.unwrap() });
    Running { handle, shutdown, task }
}

/// A worker with a short lease.
pub(crate) fn short_lease(lease_ms: u64) -> WorkerOptions {
    let timing = LeaseTiming::for_lease(Duration::from_millis(lease_ms)).unwrap();
    WorkerOptions { timing, ..options() }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let look = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// Between two tries of something that is refused at once.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("never happened: {what}"))
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
    tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("job {id} never got {state}"))
}
