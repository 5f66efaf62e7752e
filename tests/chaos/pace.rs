//! Time: the one home of pauses in the harness, which has to let time pass on purpose.

use std::time::Duration;

use windlass::clock::Instant;

/// Lets time pass.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets milliseconds pass.
pub(crate) async fn pause_ms(ms: u64) {
    pause(Duration::from_millis(ms)).await;
}

/// Lets time pass until a moment.
pub(crate) async fn pause_until(moment: Instant) {
    tokio::time::sleep_until(moment).await;
}

/// Asks every 50 ms until it holds; whether it did before the limit was over. A macro because an async closure that
/// borrows cannot be sent to another thread.
macro_rules! until {
    ($limit:expr, $holds:expr) => {{
        let end = windlass::clock::now() + $limit;
        loop {
            if $holds {
                break true;
            }
            if windlass::clock::now() >= end {
                break false;
            }
            $crate::pace::pause_ms(50).await;
        }
    }};
}

pub(crate) use until;
