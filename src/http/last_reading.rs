//! A reading of Redis that requests share, for what is open to all and must cost Redis little.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clock::{self, Instant};
use crate::store::StoreError;

/// While Redis is away the last reading stands in for this long.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// The last reading.
pub(super) struct LastReading<T> {
    last: Mutex<Last<T>>,
}

struct Last<T> {
    value: Option<(T, Instant)>,
    /// When the last attempt ended, however it did.
    tried: Option<Instant>,
}

impl<T> Default for LastReading<T> {
    fn default() -> Self {
        Self { last: Mutex::new(Last { value: None, tried: None }) }
    }
}

impl<T> LastReading<T> {
    /// Shows the last reading, after making another if it is older than `fresh` and that takes no longer than `patience`.
    /// Nobody waits for more than one attempt: who came during one takes what it brings.
    pub(super) async fn show<R>(
        &self,
        (fresh, patience): (Duration, Duration),
        read: impl Future<Output = Result<T, StoreError>>,
        how: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        let came = clock::now();
        let mut last = self.last.lock().await;
        let age = |last: &Last<T>| last.value.as_ref().map(|(_, at)| clock::now().duration_since(*at));
        let tried = last.tried.is_some_and(|ended| ended >= came);
        if !tried && age(&last).is_none_or(|age| age >= fresh) {
            let read = timeout(patience, read).await;
            last.tried = Some(clock::now());
            if let Ok(Ok(value)) = read {
                last.value = Some((value, clock::now()));
            }
        }
        if age(&last).is_some_and(|age| age > STALE_AFTER) {
            last.value = None;
        }
        how(last.value.as_ref().map(|(value, _)| value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_comes_while_nobody_answers_waits_for_one_attempt() {
        let (last, attempts) = (LastReading::<u8>::default(), AtomicUsize::new(0));
        let one = || {
            let read = async {
                attempts.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            };
            last.show((Duration::ZERO, Duration::from_millis(20)), read, |value| value.copied())
        };
        let shown = futures_util::future::join_all((0..50).map(|_| one())).await;
        assert!(shown.iter().all(Option::is_none));
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
        one().await;
        assert_eq!(attempts.load(Ordering::Relaxed), 2, "who comes later tries again");
    }

    #[tokio::test]
    async fn the_last_reading_stands_in_for_one_that_failed() {
        let last = LastReading::<u8>::default();
        let times = (Duration::ZERO, Duration::from_secs(60));
        let away = || async { Err(StoreError::Unavailable("away".to_owned())) };
        assert_eq!(last.show(times, away(), |value| value.copied()).await, None);
        assert_eq!(last.show(times, async { Ok(7) }, |value| value.copied()).await, Some(7));
        assert_eq!(last.show(times, away(), |value| value.copied()).await, Some(7));
    }
}
