//! What the Gmail API means by an answer that is no success.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/handle-errors>: the reason stands in
//! `error.errors[].reason`; 429 and 403 with `userRateLimitExceeded`, `rateLimitExceeded` or `dailyLimitExceeded` are
//! limits, 5xx is to be tried again.

use std::time::Duration;

use crate::clock;
use crate::domain::RetryPolicy;
use crate::executors::retry_after::retry_after;

use super::bearer::Answer;
use super::refusal::{Refusal, word};

/// The refusal in an answer.
pub(super) fn refusal(answer: &Answer) -> Refusal {
    let document = answer.json();
    let error = &document["error"];
    let reason = word(&error["errors"][0]["reason"]).or_else(|| word(&error["status"])).unwrap_or("no reason given");
    let said = format!("Gmail answered {} ({reason})", answer.status);
    let wait = retry_after(&answer.headers, clock::wall());
    match (answer.status, reason) {
        (429, _) | (403, "userRateLimitExceeded" | "rateLimitExceeded" | "RESOURCE_EXHAUSTED") => {
            Refusal::patience(said, wait)
        }
        (403, "dailyLimitExceeded" | "quotaExceeded") => Refusal::patience(said, Some(day_of_patience(wait))),
        (403, "insufficientPermissions" | "PERMISSION_DENIED") => {
            Refusal::needs_reauth(format!("{said}: the credential lacks a scope; authorize it anew with gmail.compose"))
        }
        (404 | 408 | 409 | 425, _) => Refusal::unclear(said, wait),
        (400..=499, _) => Refusal::permanent(said),
        _ => Refusal::unclear(said, wait),
    }
}

/// A daily limit ends at midnight somewhere; asking again every quarter of an hour is often enough.
fn day_of_patience(wait: Option<Duration>) -> Duration {
    wait.unwrap_or_default().max(RetryPolicy::RETRY_AFTER_LIMIT)
}
