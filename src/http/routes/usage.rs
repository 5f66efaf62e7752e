//! The ledger of calls to language models.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};

use crate::api::ErrorCode;
use crate::api::usage::{GroupBy, UsageLine, UsageReport, UsageView};
use crate::domain::Timestamp;
use crate::store::{Figures, LEDGER_DAYS, LedgerLine, Scope};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;

const DAY_MS: i64 = 86_400_000;

/// Read what calls to language models used and cost. A key that is bound to a workspace sees its own; a key for all
/// sees all, or the workspace that it names.
#[utoipa::path(
    get, path = "/usage", tag = "operators", operation_id = "get_usage",
    params(
        ("from" = Option<String>, Query, description = "The first day, such as 2026-01-31, UTC; default today."),
        ("to" = Option<String>, Query, description = "The last day, UTC; default today. The ledger is kept 90 days."),
        ("group_by" = Option<GroupBy>, Query, description = "What the lines are for; default `model`."),
        ("X-Windlass-Workspace" = Option<String>, Header, description = "Only this workspace."),
    ),
    responses((status = 200, description = "The report.", body = UsageReport))
)]
pub(in crate::http) async fn report(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<UsageReport>, ApiError> {
    caller.require(Permission::JobsRead)?;
    let query = Query::parse(request.uri().query(), &["from", "to", "group_by"])?;
    let group_by = query.parsed("group_by", str::parse::<GroupBy>)?.unwrap_or_default();
    let store = &state.services().store;
    let today = store.now_estimate().unix_ms().div_euclid(DAY_MS);
    let to = query.parsed("to", day)?.unwrap_or(today);
    let from = query.parsed("from", day)?.unwrap_or(to.min(today));
    if from > to || to - from > LEDGER_DAYS {
        let detail = format!("must be a day at or before `to`, and no more than {LEDGER_DAYS} days before it");
        return Err(ApiError::at(ErrorCode::InvalidQuery, "from", detail));
    }
    let workspace = match caller.scope() {
        Scope::Workspace(own) => Some(own),
        Scope::All => None,
    };
    let ledger = store.ledger(from..=to, workspace.as_ref()).await?;
    Ok(Json(grouped(&ledger, group_by, (from, to))))
}

/// Days since 1970 of a date.
fn day(text: &str) -> Result<i64, &'static str> {
    let wrong = "must be a day such as 2026-01-31";
    if text.len() != 10 {
        return Err(wrong);
    }
    let midnight = Timestamp::parse(&format!("{text}T00:00:00Z")).map_err(|_| wrong)?;
    Ok(midnight.unix_ms().div_euclid(DAY_MS))
}

fn date(day: i64) -> String {
    let midnight = Timestamp::from_unix_ms(day.saturating_mul(DAY_MS)).to_string();
    midnight.split('T').next().unwrap_or_default().to_owned()
}

fn grouped(ledger: &[LedgerLine], group_by: GroupBy, (from, to): (i64, i64)) -> UsageReport {
    let (mut lines, mut total): (BTreeMap<String, Figures>, Figures) = Default::default();
    for line in ledger {
        let name = match group_by {
            GroupBy::Workspace => line.workspace.clone(),
            GroupBy::Provider => line.provider.clone(),
            GroupBy::Model => format!("{}/{}", line.provider, line.model),
        };
        lines.entry(name).or_default().add(&line.figures);
        total.add(&line.figures);
    }
    let lines = lines.into_iter().map(|(name, figures)| UsageLine { name, usage: view(&figures) }).collect();
    UsageReport { from: date(from), to: date(to), group_by, lines, total: view(&total) }
}

fn view(figures: &Figures) -> UsageView {
    UsageView {
        calls: figures.calls,
        failed: figures.failed,
        input_tokens: figures.input,
        cached_tokens: figures.cached,
        output_tokens: figures.output,
        reasoning_tokens: figures.reasoning,
        nano_usd: figures.nano_usd,
        estimated_calls: figures.estimated,
        unpriced_calls: figures.unpriced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for (text, number) in [("1970-01-01", 0), ("2027-01-15", 20_833), ("2024-02-29", 19_782)] {
            assert_eq!((day(text), date(number)), (Ok(number), text.to_owned()));
        }
        for wrong in ["", "2026-02-30", "2026-1-31", "today", "2026-01-31T00:00:00Z", "1969-12-31"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }
}
