//! What Microsoft Graph means by an answer that is no success.
//!
//! <https://learn.microsoft.com/en-us/graph/errors>: the code stands in `error.code`.
//! <https://learn.microsoft.com/en-us/graph/throttling>: 429 comes with `Retry-After`, `ApplicationThrottled` when a
//! mailbox has more than four requests at a time (`MailboxConcurrency`).

use crate::clock;
use crate::executors::retry_after::retry_after;

use super::bearer::Answer;
use super::refusal::{Refusal, word};

/// The refusal in an answer.
pub(super) fn refusal(answer: &Answer) -> Refusal {
    let document = answer.json();
    let code = word(&document["error"]["code"]).unwrap_or("no code given");
    let said = format!("Microsoft Graph answered {} ({code})", answer.status);
    let wait = retry_after(&answer.headers, clock::wall());
    match (answer.status, code) {
        (429, _)
        | (
            400..=499,
            "ApplicationThrottled" | "MailboxConcurrency" | "ErrorServerBusy" | "ErrorExceededMessageLimit",
        ) => Refusal::patience(said, wait),
        (403, "ErrorAccessDenied" | "Authorization_RequestDenied" | "AccessDenied") => {
            Refusal::needs_reauth(format!("{said}: the credential lacks Mail.ReadWrite or Mail.Send"))
        }
        (404 | 408 | 409 | 423 | 425, _) => Refusal::unclear(said, wait),
        (400..=499, _) => Refusal::permanent(said),
        _ => Refusal::unclear(said, wait),
    }
}
