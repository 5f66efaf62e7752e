//! Listens to the bell. A blocking read is never given up halfway, because its token would be lost: the
//! wait is kept here while its caller turns to something else, and goes on when it is asked for again.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::domain::QueueName;
use crate::store::Bell;

/// The wait after a broken connection.
const BACKOFF: Duration = Duration::from_millis(200);

/// What came of one armed wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A queue's bell rang.
    Rang(QueueName),
    /// Nothing rang in time.
    Silence,
    /// The connection broke.
    Broken,
}

type Wait = Pin<Box<dyn Future<Output = Heard> + Send>>;

/// One wait at a time; each `arm` brings one `heard`.
pub(super) struct BellListener {
    bell: Arc<Bell>,
    wait: Option<Wait>,
}

impl BellListener {
    pub(super) fn new(bell: Bell) -> Self {
        Self { bell: Arc::new(bell), wait: None }
    }

    /// Prepares a wait unless one is under way; it begins with `heard`.
    pub(super) fn arm(&mut self, limit: Duration) {
        if self.wait.is_none() {
            self.wait = Some(Box::pin(listen(Arc::clone(&self.bell), limit)));
        }
    }

    /// What the wait under way brings; never, when none is. Dropping this leaves the wait under way.
    pub(super) async fn heard(&mut self) -> Heard {
        let Some(wait) = &mut self.wait else { return std::future::pending().await };
        let heard = wait.await;
        self.wait = None;
        heard
    }

    /// A token that came in unheard, to be passed on by a stopping worker.
    pub(super) fn last_token(&mut self) -> Option<QueueName> {
        match self.wait.as_mut()?.now_or_never()? {
            Heard::Rang(queue) => Some(queue),
            Heard::Silence | Heard::Broken => None,
        }
    }
}

async fn listen(bell: Arc<Bell>, limit: Duration) -> Heard {
    match bell.wait(limit).await {
        Ok(Some(queue)) => Heard::Rang(queue),
        Ok(None) => Heard::Silence,
        Err(error) => {
            tracing::debug!(%error, "the bell's connection broke");
            tokio::time::sleep(BACKOFF).await;
            Heard::Broken
        }
    }
}
