//! Verb `pause`: switch off a queue, or a type or workspace in it, or the queue's intake.

use crate::domain::{JobType, QueueName, Workspace, clip_text};

use super::{Store, StoreError};

/// What a switch covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Claims from the whole queue.
    Queue,
    /// Claims of one type.
    Type(JobType),
    /// Claims of one workspace's jobs.
    Workspace(Workspace),
    /// New jobs.
    Intake,
}

impl Switch {
    /// The field in the queue's `blocked` hash, and the name of a parked set.
    pub(super) fn field(&self) -> String {
        match self {
            Self::Queue => "q".to_owned(),
            Self::Type(name) => format!("t:{name}"),
            Self::Workspace(name) => format!("w:{name}"),
            Self::Intake => "drain".to_owned(),
        }
    }

    /// Of a newer version: `None`.
    pub(super) fn from_field(field: &str) -> Option<Self> {
        match (field, field.split_once(':')) {
            ("q", _) => Some(Self::Queue),
            ("drain", _) => Some(Self::Intake),
            (_, Some(("t", name))) => JobType::new(name).ok().map(Self::Type),
            (_, Some(("w", name))) => Workspace::new(name).ok().map(Self::Workspace),
            _ => None,
        }
    }
}

impl Store {
    /// Switches off. What is switched off already keeps its first record.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn pause(&self, queue: &QueueName, what: &Switch, by: &str, reason: &str) -> Result<(), StoreError> {
        let line = |text: &str, limit| clip_text(text, limit).replace(['\t', '\n'], " ");
        let args = vec![queue.as_str().into(), what.field().into(), line(by, 128).into(), line(reason, 512).into()];
        self.run(&self.inner.scripts.pause, args).await.map(drop)
    }
}
