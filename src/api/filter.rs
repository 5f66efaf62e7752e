//! Which jobs a bulk operation is about: one grammar, as JSON here and as flags of the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{
    FailureReason, HeldReason, JobFilter, JobState, JobType, OperationAction, QueueName, Timestamp, Workspace, bounds,
    parse_age,
};

use super::read::{Fields, refuse};
use super::{ErrorCode, FieldError, Problem};

/// Which jobs; all that is named has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Filter")]
pub struct FilterView {
    /// In one of these states, which have to fit the action; one may be given as plain text. Without it, every state
    /// that the action applies to, and for a redrive `dead` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = super::schema::filter_states)]
    pub state: Vec<String>,
    /// Of this type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub job_type: Option<String>,
    /// In this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub queue: Option<String>,
    /// Of this workspace. A key that is bound to one means its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub workspace: Option<String>,
    /// Whose last failure has this fingerprint, as `GET /dead-letters` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{12}$")]
    pub fingerprint: Option<String>,
    /// Whose last failure has this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = super::schema::failure_reasons)]
    pub reason: Option<String>,
    /// Held for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = super::schema::held_reason_words)]
    pub held_reason: Option<String>,
    /// In its state for longer than this, such as `90m` or `1d12h`; for jobs that wait or run, created longer ago. Not
    /// together with `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]+[smhdw])+$")]
    pub older_than: Option<String>,
    /// In its state for this long at most. Not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9]+[smhdw])+$")]
    pub newer_than: Option<String>,
    /// In its state since before this moment; for jobs that wait or run, created before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub before: Option<String>,
    /// In its state since this moment or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub after: Option<String>,
    /// With all of these notes, at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl FilterView {
    /// Whether nothing is named, so that every job fits that the action applies to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&JobFilter> for FilterView {
    fn from(filter: &JobFilter) -> Self {
        Self {
            state: filter.states.iter().map(ToString::to_string).collect(),
            job_type: filter.job_type.as_ref().map(ToString::to_string),
            queue: filter.queue.as_ref().map(ToString::to_string),
            workspace: filter.workspace.as_ref().map(ToString::to_string),
            fingerprint: filter.fingerprint.clone(),
            reason: filter.reason.map(|reason| reason.to_string()),
            held_reason: filter.held_reason.map(|reason| reason.to_string()),
            older_than: None,
            newer_than: None,
            before: filter.before.map(|moment| moment.to_string()),
            after: filter.after.map(|moment| moment.to_string()),
            metadata: filter.metadata.clone(),
        }
    }
}

/// A filter as it was read: ages are not moments yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    jobs: JobFilter,
    older_than: Option<Duration>,
    newer_than: Option<Duration>,
    named: bool,
}

impl Filter {
    /// Whether nothing was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.named
    }

    /// The workspace that was named.
    #[must_use]
    pub fn workspace(&self) -> Option<&Workspace> {
        self.jobs.workspace.as_ref()
    }

    /// The queue that was named.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueName> {
        self.jobs.queue.as_ref()
    }

    /// The filter with its ages as moments, seen from `now`.
    ///
    /// # Errors
    /// When no job can be both old and new enough.
    pub fn at(mut self, now: Timestamp) -> Result<JobFilter, Box<Problem>> {
        self.jobs.before = self.jobs.before.or(self.older_than.map(|age| now.minus(age)));
        self.jobs.after = self.jobs.after.or(self.newer_than.map(|age| now.minus(age)));
        match (self.jobs.before, self.jobs.after) {
            (Some(before), Some(after)) if before <= after => {
                let (field, other) = match (self.older_than, self.newer_than) {
                    (Some(_), Some(_)) => ("/filter/older_than", "newer_than"),
                    (Some(_), None) => ("/filter/older_than", "after"),
                    (None, Some(_)) => ("/filter/before", "newer_than"),
                    (None, None) => ("/filter/before", "after"),
                };
                let detail = format!("contradicts {other}: no job is from before and after such a time");
                Err(refuse(vec![(ErrorCode::InvalidField, FieldError::new(field, detail))]))
            }
            _ => Ok(self.jobs),
        }
    }

    /// Whether `record` is this filter, kept to `workspace` if there is one. An age fits any moment.
    #[must_use]
    pub fn is(&self, record: &JobFilter, workspace: Option<&Workspace>) -> bool {
        let mut ours = self.jobs.clone();
        ours.workspace = workspace.cloned().or(ours.workspace);
        ours.before = ours.before.or(record.before.filter(|_| self.older_than.is_some()));
        ours.after = ours.after.or(record.after.filter(|_| self.newer_than.is_some()));
        ours == *record
    }

    /// Reads the field `filter`; what contradicts the action is refused.
    pub(super) fn read(fields: &mut Fields, action: Option<OperationAction>) -> Self {
        fields.object("filter", |inner| Self::of(inner, action)).unwrap_or_default().in_states_of(action)
    }

    fn of(fields: &mut Fields, action: Option<OperationAction>) -> Self {
        let jobs = JobFilter {
            states: read_states(fields, action),
            queue: fields.parsed("queue", QueueName::new),
            job_type: fields.parsed("type", JobType::new),
            workspace: fields.parsed("workspace", Workspace::new),
            fingerprint: fields.parsed("fingerprint", fingerprint),
            reason: fields
                .parsed("reason", |word| FailureReason::from_word(word).ok_or_else(|| one_of(FailureReason::ALL))),
            held_reason: None,
            before: None,
            after: None,
            metadata: fields.texts("metadata", bounds::METADATA_KEYS),
        };
        let held_reason = read_held_reason(fields, action, &jobs.states);
        let (before, older_than) = moment(fields, "before", "older_than");
        let (after, newer_than) = moment(fields, "after", "newer_than");
        let jobs = JobFilter { held_reason, before, after, ..jobs };
        let named = jobs != JobFilter::default() || older_than.is_some() || newer_than.is_some();
        Self { jobs, older_than, newer_than, named }
    }

    /// With states, where none were named.
    fn in_states_of(mut self, action: Option<OperationAction>) -> Self {
        let states = match (self.jobs.held_reason, action) {
            (Some(_), _) => &[JobState::Held][..],
            (None, Some(action)) => action.default_states(),
            (None, None) => &[],
        };
        if self.jobs.states.is_empty() {
            self.jobs.states = states.to_vec();
        }
        self
    }
}

/// `a, b or c`.
pub(super) fn either<T: std::fmt::Display>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

pub(super) fn one_of<T: std::fmt::Display>(words: &[T]) -> String {
    format!("must be {}", either(words))
}

/// What an action applies to, in words.
fn applies(action: OperationAction) -> String {
    format!("{action} applies to jobs that are {}", either(action.states()))
}

fn read_states(fields: &mut Fields, action: Option<OperationAction>) -> Vec<JobState> {
    let fits = |word: &str| {
        let state = JobState::from_word(word).ok_or_else(|| one_of(JobState::ALL))?;
        match action {
            Some(action) if !action.states().contains(&state) => {
                Err(format!("must not be {state}: {}", applies(action)))
            }
            _ => Ok(state),
        }
    };
    let mut states = fields.one_or_more("state", JobState::ALL.len(), fits).unwrap_or_default();
    states.sort_unstable();
    states.dedup();
    states
}

fn read_held_reason(fields: &mut Fields, action: Option<OperationAction>, states: &[JobState]) -> Option<HeldReason> {
    let reason =
        fields.parsed("held_reason", |word| HeldReason::from_word(word).ok_or_else(|| one_of(HeldReason::ALL)))?;
    let held = JobState::Held;
    if let Some(action) = action.filter(|action| !action.states().contains(&held)) {
        let detail = format!("must be absent: only held jobs have one, and {}", applies(action));
        fields.fail(ErrorCode::InvalidField, "held_reason", detail);
    } else if !states.is_empty() && !states.contains(&held) {
        fields.fail(ErrorCode::InvalidField, "held_reason", "must be absent unless state names held");
    }
    Some(reason)
}

/// A moment, or an age: not both.
fn moment(fields: &mut Fields, moment: &str, age: &str) -> (Option<Timestamp>, Option<Duration>) {
    if fields.has(moment) && fields.has(age) {
        fields.fail(ErrorCode::InvalidField, age, format!("cannot be combined with {moment}"));
    }
    (fields.time(moment), fields.parsed(age, parse_age))
}

/// The fingerprint of a failure.
///
/// # Errors
/// When it is none.
pub fn fingerprint(text: &str) -> Result<String, &'static str> {
    let hex = text.len() == 12 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex { Ok(text.to_owned()) } else { Err("must be 12 digits of lower-case hex") }
}
