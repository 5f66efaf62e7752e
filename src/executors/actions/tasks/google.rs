//! Google Tasks: <https://developers.google.com/workspace/tasks/reference/rest/v1/tasks>. Errors:
//! <https://developers.google.com/workspace/tasks/errors>.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{EffectRecord, FailureReason, RawJson, Timestamp, clip_text};
use crate::engine::{EffectFailure, ExecutionError, Lookup, Step};
use crate::executors::retry_after::retry_after;

use super::super::github::begun;
use super::super::marker::{marked, plain};
use super::super::rest::{Access, Answer, Call, Trouble, usual_trouble};
use super::super::transport::either;
use super::input::TaskInput;

/// What Google gives of a list at a time, at most.
const PER_PAGE: &str = "100";

/// Pages that are looked through.
const PAGES: usize = 10;

/// A limit that does not say for how long.
const LIMITED: Duration = Duration::from_secs(60);

fn list(input: &TaskInput) -> &str {
    input.list.as_deref().unwrap_or("@default")
}

/// Creates the task. The day it is due is a time of which Google keeps the day only.
pub(super) async fn create(access: &Access<'_>, step: &Step<'_>, input: &TaskInput) -> Result<RawJson, EffectFailure> {
    let notes = marked(input.notes.as_deref().unwrap_or_default(), &plain(&step.key()));
    let mut task = json!({"title": input.title, "notes": notes});
    if let Some(due) = &input.due {
        task["due"] = json!(format!("{due}T00:00:00.000Z"));
    }
    let path = ["tasks", "v1", "lists", list(input), "tasks"];
    access.change(step, &Call::post(&path, &task)).await.map(|task| receipt(&task))
}

/// Looks through the tasks that changed since the first attempt: done, hidden and deleted ones too, since a person may
/// have been faster.
pub(super) async fn find(
    access: &Access<'_>,
    input: &TaskInput,
    earlier: &EffectRecord,
    key: &str,
) -> Result<Lookup, ExecutionError> {
    let (path, mark) = (["tasks", "v1", "lists", list(input), "tasks"], plain(key));
    let mut token = String::new();
    for _ in 0..PAGES {
        let mut query = vec![("maxResults", PER_PAGE.to_owned()), ("updatedMin", begun(earlier).to_string())];
        query.extend(["showCompleted", "showHidden", "showDeleted"].map(|name| (name, "true".to_owned())));
        if !token.is_empty() {
            query.push(("pageToken", token));
        }
        let page = access.call(&Call::get(&path, &query)).await.map_err(either)?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |task: &&Value| task["notes"].as_str().is_some_and(|notes| notes.contains(&mark));
        if let Some(task) = items.iter().find(has) {
            return Ok(Lookup::Done(receipt(task)));
        }
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return Ok(Lookup::NotDone),
        }
    }
    Ok(Lookup::Unknown("it is not among the 1000 tasks that Google lists for the time".to_owned()))
}

fn receipt(task: &Value) -> RawJson {
    let text = |name: &str| task[name].as_str().map(|text| clip_text(text, 1024));
    RawJson::from_value(&json!({
        "provider": "google", "id": text("id"), "status": text("status"), "url": text("webViewLink"),
    }))
}

/// Reads an answer that is no success. A 403 is a limit or a lack of permission, and its reason tells which.
pub(super) fn trouble(answer: &Answer, now: Timestamp) -> Trouble {
    let error = answer.body.as_ref().map(|body| &body["error"]);
    let reason = error.and_then(|error| error["errors"][0]["reason"].as_str()).unwrap_or_default();
    let said = clip_text(error.and_then(|error| error["message"].as_str()).unwrap_or_default(), 300);
    let wait = retry_after(&answer.headers, now);
    let limits = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"];
    match answer.status {
        429 => Trouble::Limited(wait.unwrap_or(LIMITED), "Google Tasks asks this account for patience".to_owned()),
        403 if limits.contains(&reason) => {
            Trouble::Limited(wait.unwrap_or(LIMITED), "Google Tasks asks this account for patience".to_owned())
        }
        403 => {
            let why = format!("Google Tasks answered 403: the credential may not do this: {said}");
            Trouble::Refused(ExecutionError::permanent(FailureReason::Permanent, why))
        }
        status => usual_trouble("Google Tasks", status, &said, wait),
    }
}
