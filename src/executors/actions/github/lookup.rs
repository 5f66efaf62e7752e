//! Looks through what was made lately for the mark of an effect.

use std::time::Duration;

use serde_json::Value;

use crate::domain::{EffectRecord, RawJson, Timestamp};
use crate::engine::{ExecutionError, Lookup};

use super::super::rest::{Access, Call};
use super::super::transport::either;
use super::documents::seconds;

/// Entries of a page. Bodies come with them, so it is not the hundred that GitHub would give.
const PER_PAGE: usize = 50;

/// Pages that are looked through: five hundred entries.
const PAGES: usize = 10;

/// How far GitHub's clock may be from Redis'.
const CLOCKS: Duration = Duration::from_secs(600);

/// When the first attempt can have begun, by GitHub's clock.
pub(in crate::executors::actions) fn begun(earlier: &EffectRecord) -> Timestamp {
    let back = earlier.first_age.saturating_sub(earlier.age) + CLOCKS;
    Timestamp::from_unix_ms(
        earlier.at.unix_ms().saturating_sub(i64::try_from(back.as_millis()).unwrap_or(i64::MAX)).max(0),
    )
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::executors::actions) enum Newest {
    /// The newest first: one that is older than the first attempt ends the search.
    First,
    /// The newest last.
    Last,
}

/// Lists what is at `path` and changed since the first attempt, and looks for `mark`. The oldest that has it counts:
/// others may quote it.
pub(in crate::executors::actions) async fn find(
    access: &Access<'_>,
    path: &[&str],
    query: &[(&'static str, String)],
    (newest, earlier, mark): (Newest, &EffectRecord, &str),
    receipt: impl Fn(&Value) -> RawJson,
) -> Result<Lookup, ExecutionError> {
    let since = begun(earlier);
    for page in 1..=PAGES {
        let mut query = query.to_vec();
        query.push(("since", seconds(since)));
        query.push(("per_page", PER_PAGE.to_string()));
        query.push(("page", page.to_string()));
        let answer = access.call(&Call::get(path, &query)).await.map_err(either)?;
        let Some(items) = answer.as_array() else {
            return Err(ExecutionError::retryable(crate::domain::FailureReason::Error, "GitHub's list is no list"));
        };
        let has = |item: &&Value| item["body"].as_str().is_some_and(|body| body.contains(mark));
        let found = if newest == Newest::First { items.iter().rfind(has) } else { items.iter().find(has) };
        if let Some(item) = found {
            return Ok(Lookup::Done(receipt(item)));
        }
        let older = |item: &Value| {
            let made = item["created_at"].as_str().and_then(|text| Timestamp::parse(text).ok());
            made.is_some_and(|made| made < since)
        };
        if items.len() < PER_PAGE || (newest == Newest::First && items.last().is_some_and(older)) {
            return Ok(Lookup::NotDone);
        }
    }
    Ok(Lookup::Unknown(format!("it is not among the {} entries that GitHub lists for the time", PAGES * PER_PAGE)))
}
