//! Verb `pause`: switch off a queue, or a type or workspace in it, or the queue's intake.

use crate::domain::{DrainThen, JobType, QueueName, Timestamp, Workspace, clip_text};

use super::reply::Reply;
use super::views::SwitchedBy;
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

/// What came of switching off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// Whether this call did it; otherwise it was off before.
    pub first: bool,
    /// The record in force: of whoever was first.
    pub by: SwitchedBy,
}

impl Store {
    /// Switches off. What is switched off already keeps its first record, which is returned.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn pause(
        &self,
        queue: &QueueName,
        what: &Switch,
        by: &str,
        reason: &str,
    ) -> Result<Switched, StoreError> {
        self.switch_off(queue, what, (by, reason), None).await
    }

    /// Closes the intake, perhaps with a deadline after which something becomes of what is left.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn drain(
        &self,
        queue: &QueueName,
        (by, reason): (&str, &str),
        deadline: Option<&(Timestamp, DrainThen)>,
    ) -> Result<Switched, StoreError> {
        self.switch_off(queue, &Switch::Intake, (by, reason), deadline).await
    }

    async fn switch_off(
        &self,
        queue: &QueueName,
        what: &Switch,
        (by, reason): (&str, &str),
        deadline: Option<&(Timestamp, DrainThen)>,
    ) -> Result<Switched, StoreError> {
        let line = |text: &str, limit| clip_text(text, limit).replace(['\t', '\n'], " ");
        let (until, then) = deadline.map(|(at, then)| (at.unix_ms().to_string(), then.to_string())).unwrap_or_default();
        let args = vec![
            queue.as_str().into(),
            what.field().into(),
            line(by, 128).into(),
            line(reason, 512).into(),
            until.into(),
            then.into(),
        ];
        let mut reply = Reply::array(self.run(&self.inner.scripts.pause, args).await?)?;
        Ok(Switched { first: reply.int()? == 1, by: switched_by(&reply.text()?) })
    }
}

/// `<ms> \t <by> \t <reason>`, of a drain with a deadline also `\t <ms> \t <then>`, as the script wrote it. A version
/// that knew no deadlines shows these two behind the reason.
pub(super) fn switched_by(text: &str) -> SwitchedBy {
    let mut parts = text.split('\t');
    let time = |ms: Option<&str>| ms.and_then(|ms| ms.parse().ok()).map(Timestamp::from_unix_ms);
    let at = time(parts.next()).unwrap_or(Timestamp::from_unix_ms(0));
    let mut word = || parts.next().unwrap_or_default().to_owned();
    let (by, reason) = (word(), word());
    let until = time(parts.next());
    let then = parts.next().and_then(|then| then.parse().ok()).unwrap_or_default();
    SwitchedBy { by, at, reason, deadline: until.map(|until| (until, then)) }
}
