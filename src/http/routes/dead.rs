//! Dead letters.

use axum::Json;
use axum::extract::{Request, State};
use futures_util::future::try_join_all;

use crate::api::dead::{DeadGroupView, DeadList};
use crate::api::filter::fingerprint;
use crate::api::job::JobView;
use crate::domain::{FailureReason, JobType, QueueName, bounds};
use crate::store::{DeadGroup, Scope, Shards};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;
use super::super::views;

/// List dead letters, grouped by queue, type and cause.
///
/// With `fingerprint`, each group comes with its latest job, which says what went wrong in words.
#[utoipa::path(
    get, path = "/dead-letters", tag = "operators", operation_id = "list_dead_letters",
    params(
        ("queue" = Option<String>, Query, description = "Only of this queue."),
        ("type" = Option<String>, Query, description = "Only of this type."),
        ("reason" = Option<String>, Query, description = "Only those that died of this."),
        ("fingerprint" = Option<String>, Query, description = "Only this cause, in detail."),
    ),
    responses((status = 200, description = "The groups, most dead first.", body = DeadList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<DeadList>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let query = Query::parse(request.uri().query(), &["queue", "type", "reason", "fingerprint"])?;
    let queue = query.parsed("queue", QueueName::new)?;
    let job_type = query.parsed("type", JobType::new)?;
    let reason = query.parsed("reason", |word| FailureReason::from_word(word).ok_or("is not a reason of failures"))?;
    let cause = query.parsed("fingerprint", fingerprint)?;
    let store = &state.services().store;
    let mut groups = store.dead_groups().await?;
    groups.retain(|group| {
        queue.as_ref().is_none_or(|queue| group.queue == *queue)
            && job_type.as_ref().is_none_or(|job_type| group.job_type == *job_type)
            && reason.is_none_or(|reason| group.reason == Some(reason))
            && cause.as_ref().is_none_or(|cause| group.fingerprint == *cause)
    });
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    let mut views: Vec<DeadGroupView> = groups.iter().map(views::dead_group).collect();
    if cause.is_some() {
        add_jobs(store, &groups, &mut views).await?;
    }
    Ok(Json(DeadList { groups: views }))
}

/// Adds the latest job of each group, of the first hundred groups.
async fn add_jobs(store: &Shards, groups: &[DeadGroup], views: &mut [DeadGroupView]) -> Result<(), ApiError> {
    let latest = groups.iter().take(bounds::SCRIPT_ITEMS).map(|group| store.job(&Scope::All, group.sample));
    for (view, job) in views.iter_mut().zip(try_join_all(latest).await?) {
        view.job = job.as_ref().map(JobView::from);
    }
    Ok(())
}
