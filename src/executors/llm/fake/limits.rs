//! Limits that the fake keeps as a provider would: calls begun in a minute, and calls at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::response::Response;
use futures_util::StreamExt;

use crate::clock::{self, Instant};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Counts {
    begun: VecDeque<Instant>,
    under_way: usize,
    peak: usize,
    refused: u64,
}

/// What is counted, and how much of it is allowed.
pub(super) struct Limits {
    per_minute: Option<usize>,
    at_once: Option<usize>,
    counts: Arc<Mutex<Counts>>,
}

/// A call under way; it ends when this is dropped.
pub(super) struct Call {
    counts: Arc<Mutex<Counts>>,
    left: Option<usize>,
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.counts).under_way -= 1;
    }
}

fn lock(counts: &Mutex<Counts>) -> std::sync::MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Limits {
    pub(super) fn new(per_minute: Option<usize>, at_once: Option<usize>) -> Self {
        Self { per_minute, at_once, counts: Arc::default() }
    }

    /// Lets a call in, or says after how many seconds it may come again.
    pub(super) fn enter(&self) -> Result<Call, u64> {
        let now = clock::now();
        let mut counts = lock(&self.counts);
        while counts.begun.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            counts.begun.pop_front();
        }
        let full = self.per_minute.is_some_and(|most| counts.begun.len() >= most);
        if full || self.at_once.is_some_and(|most| counts.under_way >= most) {
            counts.refused += 1;
            let oldest = counts.begun.front().filter(|_| full);
            return Err(oldest.map_or(1, |at| (MINUTE.saturating_sub(now.duration_since(*at))).as_secs() + 1));
        }
        if self.per_minute.is_some() {
            counts.begun.push_back(now);
        }
        counts.under_way += 1;
        counts.peak = counts.peak.max(counts.under_way);
        let left = self.per_minute.map(|most| most - counts.begun.len());
        Ok(Call { counts: Arc::clone(&self.counts), left })
    }

    /// Calls at once at the most so far, and calls that were refused.
    pub(super) fn seen(&self) -> (usize, u64) {
        let counts = lock(&self.counts);
        (counts.peak, counts.refused)
    }
}

impl Call {
    /// The response with what is left in its head. The call ends with the body if that is a stream.
    pub(super) fn finish(self, mut response: Response, streams: bool) -> Response {
        if let Some(left) = self.left {
            response.headers_mut().insert("x-ratelimit-remaining-requests", HeaderValue::from(left));
        }
        if !streams {
            return response;
        }
        response.map(|body| {
            let pieces = body.into_data_stream().map(move |piece| {
                let _under_way = &self;
                piece
            });
            Body::from_stream(pieces)
        })
    }
}
