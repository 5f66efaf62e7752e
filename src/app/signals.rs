//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::engine::tasks;

/// Watches the signals of this process.
#[derive(Debug)]
pub struct Signals {
    shutdown: CancellationToken,
    hurry: CancellationToken,
}

impl Signals {
    /// Starts watching. From here on the signals do not end the process by themselves.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn watch() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (shutdown, hurry) = (CancellationToken::new(), CancellationToken::new());
        let (first, second) = (shutdown.clone(), hurry.clone());
        tasks::spawn("signals", async move {
            for token in [first, second] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(Self { shutdown, hurry })
    }

    /// Fires at the first signal.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Waits for the second signal.
    pub async fn hurry(&self) {
        self.hurry.cancelled().await;
    }
}
