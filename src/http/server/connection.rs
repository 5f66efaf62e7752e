//! One connection from its first byte to its end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt as _;

use crate::clock::{self, Instant};

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) keep_alive: bool,
}

/// Sent frames that a client may have us remember: HTTP/2 streams at once on a connection.
const STREAMS: u32 = 128;
/// Streams reset by the client before we answered; more close the connection ("rapid reset").
const PENDING_RESETS: usize = 20;
const HEADERS: usize = 100;
const HEADER_BYTES: u32 = 32 * 1024;

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .keep_alive(limits.keep_alive)
        .max_headers(HEADERS)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_header_list_size(HEADER_BYTES)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// In the extensions of every request: whoever takes the connection over (a WebSocket) keeps it, so that the connection
/// is counted, and waited for when the server stops, until that has ended too.
#[derive(Clone)]
pub(in crate::http) struct TakenOver {
    _counted: TaskTrackerToken,
}

/// Serves requests until the client leaves, a limit is hit, or the server stops.
pub(super) async fn serve(stream: TcpStream, router: Router, limits: Limits, shutdown: CancellationToken) {
    // Answers are small and written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::new());
    let seen = activity.clone();
    let takers = TaskTracker::new();
    takers.close();
    let tracker = takers.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(TakenOver { _counted: tracker.token() });
        let (router, guard) = (router.clone(), Activity::begin(&seen));
        async move {
            let response: Result<Response<Body>, _> = router.oneshot(request.map(Body::new)).await;
            response.map(|response| response.map(|body| guard.hold(body)))
        }
    });
    let builder = builder(limits);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        let deadline = activity.deadline(limits);
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(error = %error, "a connection ended early");
                }
                break;
            }
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(deadline) => match activity.state(limits) {
                State::Busy => {}
                State::Silent => return,
                State::Idle if stopping => return,
                State::Idle => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
    takers.wait().await;
}

enum State {
    /// A request is in work, or was until a moment ago.
    Busy,
    /// No request for too long.
    Idle,
    /// Not one request in the time that its head may take. hyper's own timer does not cover the
    /// bytes before the protocol version is known.
    Silent,
}

/// Requests in work on a connection, and when the last one ended.
struct Activity {
    running: AtomicUsize,
    marks: Mutex<Marks>,
}

struct Marks {
    any: bool,
    since: Instant,
}

impl Activity {
    fn new() -> Self {
        Self { running: AtomicUsize::new(0), marks: Mutex::new(Marks { any: false, since: clock::now() }) }
    }

    fn mark(&self) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        *marks = Marks { any: true, since: clock::now() };
    }

    fn begin(this: &Arc<Self>) -> InWork {
        this.running.fetch_add(1, Ordering::AcqRel);
        this.mark();
        InWork(this.clone())
    }

    fn allowed(&self, limits: Limits) -> (bool, Instant) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        (marks.any, marks.since + if marks.any { limits.idle_timeout } else { limits.header_timeout })
    }

    /// When to look again.
    fn deadline(&self, limits: Limits) -> Instant {
        let (_, deadline) = self.allowed(limits);
        deadline.max(clock::now() + Duration::from_millis(250))
    }

    fn state(&self, limits: Limits) -> State {
        let (any, deadline) = self.allowed(limits);
        if self.running.load(Ordering::Acquire) > 0 || clock::now() < deadline {
            return State::Busy;
        }
        if any { State::Idle } else { State::Silent }
    }
}

/// One request in work, its response's body included.
struct InWork(Arc<Activity>);

impl InWork {
    /// Counts the request as in work until a streamed body has ended or been dropped. A whole body
    /// is in memory already and keeps its length.
    fn hold(self, body: Body) -> Body {
        if body.size_hint().exact().is_some() {
            return body;
        }
        Body::from_stream(body.into_data_stream().inspect(move |_| self.0.mark()))
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.mark();
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
