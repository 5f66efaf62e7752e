//! Bulk operations: what clients ask for, and what they see of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{
    JobId, Operation, OperationAction, OperationCounts, OperationPlan, Preview, PreviewGroup, QueueName, Timestamp,
    Workspace,
};

use super::filter::{Filter, FilterView, one_of};
use super::json::Json;
use super::read::{Fields, refuse};
use super::{ErrorCode, FieldError, Problem};

/// Jobs changed per second unless someone says otherwise: slow enough to be watched and stopped in time, and 180,000
/// an hour all the same.
pub const DEFAULT_RATE: u32 = 50;
/// The fastest an operation may be asked to go, in jobs per second.
pub const MAX_RATE: u32 = 100_000;

/// A bulk operation as a client wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginOperation {
    /// What to do with each job.
    #[schema(schema_with = super::schema::operation_actions)]
    pub action: String,
    /// To which jobs.
    #[serde(default, skip_serializing_if = "FilterView::is_empty")]
    #[schema(required = false)]
    pub filter: FilterView,
    /// Take every job that the action applies to. An operation without a filter is refused unless this is said; not
    /// together with a filter.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schema(required = false)]
    pub all: bool,
    /// The queue to move them to; only for `move`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub target: Option<String>,
    /// Jobs changed per second at most, 50 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate: Option<u32>,
    /// Why, for the record; at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
    /// Only look: count the jobs and show some. True unless it says `false`, so that a forgotten field changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// How many jobs the dry run counted, for the record and for progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// Your name for the operation, made like a job's id; with it repeating is safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9A-Z_a-z~]{22}$")]
    pub operation_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// An operation as it was read.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What to do.
    pub action: OperationAction,
    /// To which jobs.
    pub filter: Filter,
    /// Where to.
    pub target: Option<QueueName>,
    /// Jobs per second.
    pub rate: u32,
    /// Why.
    pub note: String,
    /// Whether it is a look only.
    pub dry_run: bool,
    /// The count of the dry run.
    pub expected: Option<u64>,
    /// The client's name for it.
    pub operation_id: Option<JobId>,
}

impl Wanted {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let known = |word: &str| OperationAction::from_word(word).ok_or_else(|| one_of(OperationAction::ALL));
        let action = fields.demanded("action", known);
        let filter = Filter::read(&mut fields, action);
        let (all, dry_run) = (fields.flag("all").unwrap_or(false), fields.flag("dry_run").unwrap_or(true));
        if !dry_run && !all && filter.is_empty() {
            let detail = "names no job: name some in `filter`, or say `\"all\": true` for every job";
            fields.fail(ErrorCode::MissingField, "filter", detail);
        }
        if all && !filter.is_empty() {
            fields.fail(ErrorCode::InvalidField, "all", "cannot be combined with a filter");
        }
        let wanted = Self {
            target: read_target(&mut fields, action, &filter),
            rate: read_rate(&mut fields).unwrap_or(DEFAULT_RATE),
            note: fields.short_text("note", 500).unwrap_or_default(),
            expected: fields.integer("expected", 0, u64::from(u32::MAX)),
            operation_id: fields.parsed("operation_id", |text| {
                text.parse().map_err(|_| "must be an id: 22 characters of [0-9A-Z_a-z~], made like a job's")
            }),
            // Without an action nothing of this is used.
            action: action.unwrap_or(OperationAction::Hold),
            filter,
            dry_run,
        };
        fields.finish()?;
        Ok(wanted)
    }

    /// The plan, with ages seen from `now`, kept to `workspace` if there is one.
    ///
    /// # Errors
    /// When the ages contradict each other.
    pub fn plan(&self, now: Timestamp, workspace: Option<&Workspace>) -> Result<OperationPlan, Box<Problem>> {
        let mut filter = self.filter.clone().at(now)?;
        filter.workspace = workspace.cloned().or(filter.workspace);
        let (action, target, rate) = (self.action, self.target.clone(), self.rate);
        Ok(OperationPlan { action, filter, target, rate, note: self.note.clone() })
    }

    /// Whether an operation on record does this: the same but for its moments, which ages make others each time, and its
    /// pace, which may have been changed.
    #[must_use]
    pub fn is(&self, plan: &OperationPlan, workspace: Option<&Workspace>) -> bool {
        self.action == plan.action && self.target == plan.target && self.filter.is(&plan.filter, workspace)
    }
}

fn read_rate(fields: &mut Fields) -> Option<u32> {
    fields.integer("rate", 1, u64::from(MAX_RATE)).and_then(|rate| u32::try_from(rate).ok())
}

fn read_target(fields: &mut Fields, action: Option<OperationAction>, filter: &Filter) -> Option<QueueName> {
    let given = fields.has("target");
    let target = fields.parsed("target", QueueName::new);
    match action {
        Some(OperationAction::Move) if !given => fields.fail(ErrorCode::MissingField, "target", "is required for move"),
        Some(OperationAction::Move) if target.is_some() && target.as_ref() == filter.queue() => {
            fields.fail(ErrorCode::InvalidField, "target", "must be another queue than that of the filter");
        }
        Some(OperationAction::Move) | None => {}
        Some(_) if given => fields.fail(ErrorCode::InvalidField, "target", "must be absent: only move has one"),
        Some(_) => {}
    }
    target
}

/// How a stopped operation goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeOperation {
    /// Jobs changed per second at most from now on; as before without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub rate: Option<u32>,
}

impl ResumeOperation {
    /// Reads a document.
    ///
    /// # Errors
    /// Everything that is wrong with it, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let rate = read_rate(&mut fields);
        fields.finish()?;
        Ok(Self { rate })
    }
}

/// What an operation would do now. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Preview")]
pub struct PreviewView {
    /// Always true: this was a look.
    pub dry_run: bool,
    /// What would be done.
    #[schema(schema_with = super::schema::operation_actions)]
    pub action: String,
    /// To which jobs; ages are moments here.
    pub filter: FilterView,
    /// Where they would go.
    pub target: Option<String>,
    /// Jobs that the filter names now.
    pub matched: u64,
    /// False if the look was cut short after ten seconds: there are at least `matched`.
    pub complete: bool,
    /// How many are in which queue, type and state, most first; at most 100.
    pub groups: Vec<PreviewGroupView>,
    /// How many are of which workspace, most first; at most 10. Empty where whole groups of dead letters are counted without
    /// a look at their jobs; with a `fingerprint`, as far as three seconds reach.
    #[serde(default)]
    pub workspaces: Vec<WorkspaceCount>,
    /// Workspaces that are not shown.
    #[serde(default)]
    pub other_workspaces: u64,
    /// The ids of some of them, at most 10.
    pub sample: Vec<String>,
}

/// Jobs of one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceCount {
    /// Whose.
    pub workspace: String,
    /// How many.
    pub count: u64,
}

/// Jobs that have queue, type and state in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "PreviewGroup")]
pub struct PreviewGroupView {
    /// Their queue.
    pub queue: String,
    /// Their type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Their state.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// How many.
    pub count: u64,
}

impl From<&PreviewGroup> for PreviewGroupView {
    fn from(group: &PreviewGroup) -> Self {
        Self {
            queue: group.queue.to_string(),
            job_type: group.job_type.to_string(),
            state: group.state.to_string(),
            count: group.count,
        }
    }
}

impl PreviewView {
    /// What the engine found for a plan.
    #[must_use]
    pub fn of(plan: &OperationPlan, preview: &Preview) -> Self {
        Self {
            dry_run: true,
            action: plan.action.to_string(),
            filter: FilterView::from(&plan.filter),
            target: plan.target.as_ref().map(ToString::to_string),
            matched: preview.matched,
            complete: preview.complete,
            groups: preview.groups.iter().map(PreviewGroupView::from).collect(),
            workspaces: preview
                .workspaces
                .iter()
                .map(|(of, count)| WorkspaceCount { workspace: of.to_string(), count: *count })
                .collect(),
            other_workspaces: preview.other_workspaces,
            sample: preview.sample.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A bulk operation as it is on record. `matched` = `done` + all of `skipped`, at every moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Operation")]
pub struct OperationView {
    /// Its id.
    #[schema(pattern = "^[0-9A-Z_a-z~]{22}$")]
    pub id: String,
    /// What it does to each job.
    #[schema(schema_with = super::schema::operation_actions)]
    pub action: String,
    /// To which jobs; ages are moments here, fixed when it began.
    pub filter: FilterView,
    /// Where they go.
    pub target: Option<String>,
    /// Jobs changed per second at most.
    pub rate: u32,
    /// Why, in the words of who began it; possibly empty.
    pub note: String,
    /// How it stands.
    #[schema(schema_with = super::schema::operation_states)]
    pub state: String,
    /// The name of the key that began it.
    pub by: String,
    /// When. No job that came into its state later is touched.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The name of the key that stopped or resumed it last.
    pub changed_by: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    pub changed_at: Option<String>,
    /// When it had been through all jobs.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Jobs that the dry run counted. Jobs come and go, so it is an estimate.
    pub expected: Option<u64>,
    /// Jobs that the filter named, met so far.
    pub matched: u64,
    /// Of these, changed.
    pub done: u64,
    /// Of these, left as they were, by why: `wrong_state` (it ran, ended, or someone else was first), `superseded`
    /// (another job has its `client_request_id`), `queue_full` (no room in the target), `needs_decision` (it waits for
    /// what an operation may not decide).
    pub skipped: BTreeMap<String, u64>,
    /// Shards of a cluster that did not answer: what was done there is not in these counts. After a stop: that could not be
    /// told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub missing_shards: Vec<u8>,
}

impl From<&Operation> for OperationView {
    fn from(operation: &Operation) -> Self {
        let Operation { plan, counts, changed, .. } = operation;
        let OperationCounts { matched, done, skipped, missing_shards } = counts;
        Self {
            id: operation.id.to_string(),
            action: plan.action.to_string(),
            filter: FilterView::from(&plan.filter),
            target: plan.target.as_ref().map(ToString::to_string),
            rate: plan.rate,
            note: plan.note.clone(),
            state: operation.state.to_string(),
            by: operation.by.clone(),
            created_at: operation.created_at.to_string(),
            changed_by: changed.as_ref().map(|(by, _)| by.clone()),
            changed_at: changed.as_ref().map(|(_, at)| at.to_string()),
            finished_at: operation.finished_at.map(|at| at.to_string()),
            expected: operation.expected,
            matched: *matched,
            done: *done,
            skipped: skipped.iter().map(|(why, n)| (why.to_string(), *n)).collect(),
            missing_shards: missing_shards.clone(),
        }
    }
}

/// Operations, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationList {
    /// The operations.
    pub operations: Vec<OperationView>,
}

/// A refusal of an operation that would leave the caller's workspace.
#[must_use]
pub fn foreign_workspace() -> Box<Problem> {
    let at = FieldError::new("/filter/workspace", "must be the caller's own workspace, or absent");
    refuse(vec![(ErrorCode::Forbidden, at)])
}

#[cfg(test)]
mod tests;
