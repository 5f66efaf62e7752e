//! What GitHub means by an answer that is no success.
//!
//! Limits: "Rate limits for the REST API"
//! (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>). Status codes and the form of
//! errors: "Troubleshooting the REST API" (<https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>).

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use crate::domain::{FailureReason, Timestamp, clip_text};
use crate::engine::ExecutionError;
use crate::executors::retry_after::retry_after;

use super::super::rest::{Answer, Trouble, usual_trouble};

/// "Otherwise, wait for at least one minute before retrying": a secondary limit that does not say for how long.
const SECONDARY: Duration = Duration::from_secs(60);

/// The primary limit is one of requests per hour.
const LONGEST_RESET: Duration = Duration::from_secs(3600);

/// Bytes of GitHub's own message that are repeated.
const SAID_LIMIT: usize = 300;

/// Errors of fields that are repeated.
const FIELDS: usize = 5;

/// Reads an answer that is no success.
pub(super) fn trouble(answer: &Answer, now: Timestamp) -> Trouble {
    let said = message(answer);
    if matches!(answer.status, 403 | 429)
        && let Some(wait) = limit(answer, &said, now)
    {
        return Trouble::Limited(wait, "GitHub asks this account for patience".to_owned());
    }
    let permanent = |why: String| Trouble::Refused(ExecutionError::permanent(FailureReason::Permanent, why));
    match answer.status {
        403 => permanent(format!("GitHub answered 403: the token may not do this: {said}")),
        404 => permanent(
            "GitHub answered 404: there is no such repository, issue or pull request, or the token may not see it"
                .to_owned(),
        ),
        410 => {
            permanent("GitHub answered 410: issues are switched off in this repository, or it was deleted".to_owned())
        }
        422 => permanent(format!("GitHub answered 422: {said}{}", fields(answer))),
        status => usual_trouble("GitHub", status, &said, retry_after(&answer.headers, now)),
    }
}

/// How long an identity is to be left alone, if this is a limit and no lack of permission.
fn limit(answer: &Answer, said: &str, now: Timestamp) -> Option<Duration> {
    if let Some(wait) = retry_after(&answer.headers, now) {
        return Some(wait);
    }
    if number(&answer.headers, "x-ratelimit-remaining") == Some(0) {
        let reset = number(&answer.headers, "x-ratelimit-reset")?;
        let at = Timestamp::from_unix_ms(reset.saturating_mul(1000));
        return Some(at.since(now).clamp(Duration::from_secs(1), LONGEST_RESET));
    }
    let said = said.to_ascii_lowercase();
    let secondary = said.contains("rate limit") || said.contains("abuse detection");
    (answer.status == 429 || secondary).then_some(SECONDARY)
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn message(answer: &Answer) -> String {
    let said = answer.body.as_ref().and_then(|body| body["message"].as_str()).unwrap_or_default();
    clip_text(said, SAID_LIMIT)
}

/// Whether a 422 says that there is such a pull request already.
pub(super) fn exists_already(answer: &Answer) -> bool {
    let errors = answer.body.as_ref().and_then(|body| body["errors"].as_array());
    answer.status == 422
        && errors.is_some_and(|errors| {
            let says = |error: &Value| error["message"].as_str().is_some_and(|said| said.contains("already exists"));
            errors.iter().any(says)
        })
}

/// What is wrong with which field. Values are never repeated.
fn fields(answer: &Answer) -> String {
    let Some(errors) = answer.body.as_ref().and_then(|body| body["errors"].as_array()) else { return String::new() };
    let one = |error: &Value| {
        let text = |name: &str| error[name].as_str().map(|text| clip_text(text, 100));
        match (text("field"), text("code"), text("message")) {
            (Some(field), Some(code), None) => format!("; {field}: {code}"),
            (_, _, Some(said)) => format!("; {said}"),
            _ => String::new(),
        }
    };
    errors.iter().take(FIELDS).map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: Value) -> Answer {
        let headers = headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        Answer { status, headers, body: Some(body) }
    }

    fn wait(answer: &Answer) -> Option<u64> {
        match trouble(answer, Timestamp::from_unix_ms(1_000_000)) {
            Trouble::Limited(wait, _) => Some(wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn limits_are_told_from_lack_of_permission() {
        let over = json!({"message": "You have exceeded a secondary rate limit. Please wait."});
        let primary = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")];
        for (status, headers, body, seconds) in [
            (403, &primary[..], json!({"message": "API rate limit exceeded"}), Some(90)),
            (429, &primary[..], json!({}), Some(90)),
            (403, &[("retry-after", "7")], over.clone(), Some(7)),
            (403, &[("x-ratelimit-remaining", "4000")], over, Some(60)),
            (429, &[], json!({}), Some(60)),
            (403, &[("x-ratelimit-remaining", "4000")], json!({"message": "Resource not accessible"}), None),
            (404, &primary[..], json!({}), None),
        ] {
            assert_eq!(wait(&answer(status, headers, body)), seconds, "{status} {headers:?}");
        }
    }

    #[test]
    fn a_reset_far_ahead_is_no_more_than_an_hour() {
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999")];
        assert_eq!(wait(&answer(403, &headers, json!({}))), Some(3600));
    }

    #[test]
    fn a_validation_error_names_fields_and_no_values() {
        let body = json!({"message": "Validation Failed", "errors": [
            {"resource": "Issue", "field": "title", "code": "missing_field", "value": "hunter2"},
            {"message": "body is too long"},
        ]});
        let Trouble::Refused(error) = trouble(&answer(422, &[], body), Timestamp::from_unix_ms(0)) else {
            panic!("not refused")
        };
        assert_eq!(error.message, "GitHub answered 422: Validation Failed; title: missing_field; body is too long");
    }
}
