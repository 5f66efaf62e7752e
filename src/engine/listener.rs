//! Listens to the bell in a task of its own: a blocking read is never raced against anything,
//! because its token would be lost.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::domain::QueueName;
use crate::store::Bell;

use super::tasks;

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

/// One wait at a time; each `arm` brings one `heard`.
#[derive(Debug)]
pub(super) struct BellListener {
    arm: mpsc::Sender<Duration>,
    heard: mpsc::Receiver<Heard>,
    armed: bool,
}

impl BellListener {
    pub(super) fn start(bell: Bell) -> Self {
        let (arm, mut waits) = mpsc::channel::<Duration>(1);
        let (sender, heard) = mpsc::channel(1);
        tasks::spawn("bell", async move {
            while let Some(limit) = waits.recv().await {
                let outcome = match bell.wait(limit).await {
                    Ok(Some(queue)) => Heard::Rang(queue),
                    Ok(None) => Heard::Silence,
                    Err(error) => {
                        tracing::debug!(%error, "the bell's connection broke");
                        tokio::time::sleep(BACKOFF).await;
                        Heard::Broken
                    }
                };
                if sender.send(outcome).await.is_err() {
                    return;
                }
            }
        });
        Self { arm, heard, armed: false }
    }

    /// Starts a wait unless one is under way.
    pub(super) fn arm(&mut self, limit: Duration) {
        if !self.armed {
            self.armed = self.arm.try_send(limit).is_ok();
        }
    }

    /// What the wait under way brings; never, when none is.
    pub(super) async fn heard(&mut self) -> Heard {
        if !self.armed {
            return std::future::pending().await;
        }
        let heard = self.heard.recv().await;
        self.armed = false;
        heard.unwrap_or(Heard::Broken)
    }

    /// A token that came in unheard, to be passed on by a stopping worker.
    pub(super) fn last_token(&mut self) -> Option<QueueName> {
        match self.heard.try_recv() {
            Ok(Heard::Rang(queue)) => Some(queue),
            _ => None,
        }
    }
}
