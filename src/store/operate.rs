//! Verb `operate`: a step of a bulk operation on one shard.

use fred::prelude::Value;

use crate::domain::{JobId, Operation, OperationAction, OperationCounts, QueueName, Skipped};

use super::reply::{Reply, corrupt};
use super::survey::{Place, filter_args};
use super::{Store, StoreError, codec};

/// The position behind all jobs of a place.
pub const PLACE_END: &str = "~";

/// How far an operation is on a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PartPlace {
    /// It has not begun.
    #[default]
    Start,
    /// In this place, behind this position: `""` at its start, [`PLACE_END`] when it is through.
    At(Place, String),
    /// It has been through all places.
    End,
}

/// What an operation did on a shard.
#[derive(Clone, Debug, Default)]
pub struct OperationPart {
    /// How far it is.
    pub place: PartPlace,
    /// Jobs that were changed in the pass that is under way.
    pub found: u64,
    /// What it did.
    pub counts: OperationCounts,
    /// Steps that are wanted under a smaller one are refused.
    pub fence: u64,
    cursor: String,
}

/// One step: these jobs, which were found in a place, and how far the operation is when they are done.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Whose, as it was read: its fence is the one under which the step is wanted.
    pub operation: &'a Operation,
    /// How far it is.
    pub part: &'a OperationPart,
    /// How far it is then.
    pub to: &'a PartPlace,
    /// The jobs, about 100 at most.
    pub ids: &'a [JobId],
}

impl PartPlace {
    fn text(&self) -> String {
        match self {
            Self::Start => String::new(),
            Self::End => "end".to_owned(),
            Self::At(place, position) => {
                let queue = place.queue.as_ref().map_or("-", QueueName::as_str);
                format!("{}\t{queue}\t{}\t{position}", place.pass, place.set)
            }
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        let parts: Vec<&str> = text.splitn(4, '\t').collect();
        match parts[..] {
            [""] => Ok(Self::Start),
            ["end"] => Ok(Self::End),
            [pass, queue, set, position] => {
                let pass = pass.parse().map_err(|_| corrupt("a pass"))?;
                let queue = match queue {
                    "-" => None,
                    name => Some(QueueName::new(name).map_err(|_| corrupt("a queue"))?),
                };
                Ok(Self::At(Place { pass, queue, set: set.to_owned() }, position.to_owned()))
            }
            _ => Err(corrupt("how far an operation is")),
        }
    }

    fn place(&self) -> Option<&Place> {
        match self {
            Self::At(place, _) => Some(place),
            Self::Start | Self::End => None,
        }
    }
}

impl OperationPart {
    pub(super) fn read(fields: &[(String, String)]) -> Result<Self, StoreError> {
        let get = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let number = |text: &str| text.parse::<u64>().map_err(|_| corrupt("a count"));
        let mut skipped = Vec::new();
        for (field, value) in fields {
            let why = field.strip_prefix("skipped:").or_else(|| field.strip_prefix("again:"));
            if let Some(why) = why.and_then(Skipped::from_word) {
                skipped.push((why, number(value)?));
            }
        }
        let cursor = get("cursor").unwrap_or_default().to_owned();
        Ok(Self {
            place: PartPlace::read(&cursor)?,
            found: number(get("found").unwrap_or("0"))?,
            counts: codec::counts(number(get("done").unwrap_or("0"))?, skipped.into_iter()),
            fence: number(get("fence").unwrap_or("0"))?,
            cursor,
        })
    }
}

impl Store {
    /// How far an operation is on this shard.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn operation_part(&self, id: JobId) -> Result<OperationPart, StoreError> {
        let args = vec![self.inner.keys.operation(&id.to_string()).into()];
        OperationPart::read(&Reply::array(self.inner.link.command("HGETALL", args).await?)?.pairs()?)
    }

    /// Makes a step, if it is the next one, and says how far the operation is then. A step that was made before, by
    /// whomever, changes nothing; nor does one that is wanted under a smaller fence than the part's, which is in the answer.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe. `Full`: a redrive or a move that found Redis full, and changed nothing.
    pub async fn operate(&self, step: Step<'_>) -> Result<OperationPart, StoreError> {
        match step.operation.plan.action {
            OperationAction::Redrive | OperationAction::Move => self.replay(step).await,
            OperationAction::Cancel | OperationAction::Hold | OperationAction::Release | OperationAction::Discard => {
                Self::stepped(self.run(&self.inner.scripts.operate, self.step_args(step)).await?)
            }
        }
    }

    pub(super) fn stepped(answer: Value) -> Result<OperationPart, StoreError> {
        let mut reply = Reply::array(answer)?;
        reply.int()?;
        OperationPart::read(&reply.nested()?.pairs()?)
    }

    /// What `lib/step.lua` reads.
    pub(super) fn step_args(&self, step: Step<'_>) -> Vec<Value> {
        let (operation, plan) = (step.operation, &step.operation.plan);
        let (from, to) = (step.part.place.place(), step.to.place());
        // The jobs are where the step ends.
        let at = to.or(from);
        let default = QueueName::default_queue();
        let queue = at.and_then(|place| place.queue.as_ref()).unwrap_or(&default);
        let left = from.is_some_and(|place| place.hour().is_some()) && from != to;
        let another_pass = from.zip(to).is_some_and(|(from, to)| to.pass > from.pass && from.pass > 0);
        let turn = if another_pass {
            "pass"
        } else if left {
            "place"
        } else {
            ""
        };
        let mut args = self.ending_args(queue);
        args.extend([
            operation.id.to_string().into(),
            step.part.cursor.as_str().into(),
            step.to.text().into(),
            plan.action.as_str().into(),
            operation.created_at.unix_ms().to_string().into(),
            turn.into(),
            at.and_then(Place::hour).unwrap_or_default().into(),
            plan.target.as_ref().map(QueueName::as_str).unwrap_or_default().into(),
            self.inner.options.max_depth.to_string().into(),
            codec::USUAL_ATTEMPTS.to_string().into(),
            if at.is_some_and(|place| place.pass > 0) { "1" } else { "" }.into(),
            operation.fence.to_string().into(),
        ]);
        args.extend(filter_args(plan).map(Value::from));
        args.extend(step.ids.iter().map(|id| Value::from(id.to_string())));
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let line = Place { pass: 2, queue: QueueName::new("mail").ok(), set: "parked:low:w:ws".into() };
        let bucket = Place { pass: 0, queue: None, set: "done:490000".into() };
        for place in [
            PartPlace::Start,
            PartPlace::End,
            PartPlace::At(line, "5:0a:b".into()),
            PartPlace::At(bucket, String::new()),
        ] {
            assert_eq!(PartPlace::read(&place.text()).unwrap(), place);
        }
        assert!(PartPlace::read("7\tdefault").is_err());
    }
}
