//! Microsoft To Do in Microsoft Graph: <https://learn.microsoft.com/en-us/graph/api/todotasklist-post-tasks>. The effect's
//! key is the `externalId` of a linked resource (<https://learn.microsoft.com/en-us/graph/api/resources/linkedresource>),
//! made with the task. Throttling: <https://learn.microsoft.com/en-us/graph/throttling>.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{EffectRecord, FailureReason, RawJson, Timestamp, clip_text};
use crate::engine::{EffectFailure, ExecutionError, Lookup, Step};
use crate::executors::retry_after::retry_after;

use super::super::github::begun;
use super::super::rest::{Access, Answer, Call, Trouble, usual_trouble};
use super::super::transport::either;
use super::input::TaskInput;

const PER_PAGE: usize = 100;

/// Pages that are looked through.
const PAGES: usize = 10;

/// A limit that does not say for how long.
const LIMITED: Duration = Duration::from_secs(60);

/// The application's name at the linked resource.
const APPLICATION: &str = "Windlass";

/// The id of the list: the job's, or that of the built-in one.
async fn list(access: &Access<'_>, input: &TaskInput) -> Result<String, EffectFailure> {
    if let Some(id) = &input.list {
        return Ok(id.clone());
    }
    let query = [("$top", PER_PAGE.to_string())];
    let lists = access.call(&Call::get(&["me", "todo", "lists"], &query)).await;
    // Nothing was made yet, whatever became of the question.
    let lists = lists.map_err(|failure| EffectFailure::NotDone(either(failure)))?;
    let all = lists["value"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = all.iter().find(|list| list["wellknownListName"] == "defaultList").and_then(|list| list["id"].as_str());
    let none = || ExecutionError::permanent(FailureReason::Permanent, "Microsoft To Do names no default list");
    own.map(str::to_owned).ok_or_else(none).map_err(EffectFailure::NotDone)
}

/// Creates the task.
pub(super) async fn create(access: &Access<'_>, step: &Step<'_>, input: &TaskInput) -> Result<RawJson, EffectFailure> {
    let list = list(access, input).await?;
    let resource = json!({"applicationName": APPLICATION, "externalId": step.key(), "displayName": input.title});
    let mut task = json!({"title": input.title, "linkedResources": [resource]});
    if let Some(notes) = &input.notes {
        task["body"] = json!({"content": notes, "contentType": "text"});
    }
    if let Some(due) = &input.due {
        task["dueDateTime"] = json!({"dateTime": format!("{due}T00:00:00"), "timeZone": "UTC"});
    }
    let path = ["me", "todo", "lists", &list, "tasks"];
    access.change(step, &Call::post(&path, &task)).await.map(|task| receipt(&list, &task))
}

/// Looks through the tasks that were made since the first attempt.
pub(super) async fn find(
    access: &Access<'_>,
    input: &TaskInput,
    earlier: &EffectRecord,
    key: &str,
) -> Result<Lookup, ExecutionError> {
    let list = list(access, input).await.map_err(either)?;
    let since = begun(earlier);
    let path = ["me", "todo", "lists", &list, "tasks"];
    for page in 0..PAGES {
        let query = [
            ("$expand", "linkedResources".to_owned()),
            ("$orderby", "createdDateTime desc".to_owned()),
            ("$top", PER_PAGE.to_string()),
            ("$skip", (page * PER_PAGE).to_string()),
        ];
        let answer = access.call(&Call::get(&path, &query)).await.map_err(either)?;
        let tasks = answer["value"].as_array().map(Vec::as_slice).unwrap_or_default();
        for task in tasks {
            let Some(resources) = task["linkedResources"].as_array() else {
                return Ok(Lookup::Unknown(
                    "Microsoft To Do does not say which tasks have linked resources".to_owned(),
                ));
            };
            if resources.iter().any(|resource| resource["externalId"] == key) {
                return Ok(Lookup::Done(receipt(&list, task)));
            }
        }
        let made = tasks.last().and_then(|task| Timestamp::parse(task["createdDateTime"].as_str()?).ok());
        // A page may be short although more follows.
        if answer["@odata.nextLink"].is_null() || made.is_some_and(|made| made < since) {
            return Ok(Lookup::NotDone);
        }
    }
    Ok(Lookup::Unknown("it is not among the 1000 newest tasks of the list".to_owned()))
}

fn receipt(list: &str, task: &Value) -> RawJson {
    let text = |name: &str| task[name].as_str().map(|text| clip_text(text, 1024));
    RawJson::from_value(&json!({"provider": "microsoft", "id": text("id"), "list": list, "status": text("status")}))
}

/// Reads an answer that is no success. Graph's 429 and 503 say in `Retry-After` how long they last.
pub(super) fn trouble(answer: &Answer, now: Timestamp) -> Trouble {
    let error = answer.body.as_ref().map(|body| &body["error"]);
    let said = clip_text(error.and_then(|error| error["message"].as_str()).unwrap_or_default(), 300);
    let wait = retry_after(&answer.headers, now);
    match answer.status {
        429 => Trouble::Limited(wait.unwrap_or(LIMITED), "Microsoft Graph asks this account for patience".to_owned()),
        403 => {
            let why = format!("Microsoft Graph answered 403: the credential may not do this (Tasks.ReadWrite): {said}");
            Trouble::Refused(ExecutionError::permanent(FailureReason::Permanent, why))
        }
        status => usual_trouble("Microsoft Graph", status, &said, wait),
    }
}
