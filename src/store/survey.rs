//! Verb `survey`: the sets that a bulk operation walks, and a page of one.

use std::collections::BTreeMap;

use fred::prelude::Value;

use crate::domain::{
    FailureReason, HeldReason, JobFilter, JobId, JobState, JobType, OperationAction, OperationPlan, QueueName,
    Timestamp, Workspace,
};

use super::reply::{Reply, corrupt};
use super::{Store, StoreError};

const HOUR_MS: i64 = 3_600_000;

/// The last time that sets are walked whose jobs go from one to another meanwhile.
pub const LAST_PASS: u8 = 3;

/// One set of jobs, and in which pass it is walked: 0 for what jobs only leave for good, 1 to [`LAST_PASS`] for the
/// line, the schedule and the leases, between which they move. Places are walked in their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The pass.
    pub pass: u8,
    /// The queue; `None` for a bucket of jobs that ended, which has those of all.
    pub queue: Option<QueueName>,
    /// The set, as the script names it.
    pub(super) set: String,
}

/// How many jobs have a queue, a type and a state in common.
pub type JobGroups = BTreeMap<(QueueName, JobType, JobState), u64>;

/// What to look for, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Survey<'a> {
    /// What an operation is to do.
    pub plan: &'a OperationPlan,
    /// Before which moment a job has to be in its state; any without it.
    pub cut: Option<Timestamp>,
    /// Jobs looked at, 500 at most.
    pub look: usize,
    /// Jobs found, 100 at most; a bucket may give a few more.
    pub want: usize,
    /// Whether all that are found are counted by group, and `want` are named.
    pub count: bool,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Surveyed {
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
    /// Jobs that the filter names.
    pub found: Vec<JobId>,
    /// All of them counted.
    pub groups: JobGroups,
    /// The same by workspace.
    pub workspaces: BTreeMap<Workspace, u64>,
}

impl Place {
    /// The hour of a bucket.
    pub(super) fn hour(&self) -> Option<&str> {
        self.set.strip_prefix("done:")
    }
}

impl Store {
    /// The sets of this shard that a plan may find jobs in, in the order they are walked, as they are now.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn places(&self, plan: &OperationPlan, pass: u8, until: Timestamp) -> Result<Vec<Place>, StoreError> {
        let queues = match &plan.filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.queue_names().await?,
        };
        let asks = |state: JobState| plan.filter.states.contains(&state);
        let mut places = Vec::new();
        if pass == 0 && (asks(JobState::Cancelled) || asks(JobState::Expired)) {
            let oldest = until.unix_ms() - i64::try_from(self.inner.options.retention.as_millis()).unwrap_or(i64::MAX);
            let first = oldest.max(plan.filter.after.map_or(0, Timestamp::unix_ms)) / HOUR_MS - 1;
            let hours = first..=until.unix_ms() / HOUR_MS;
            places.extend(hours.map(|hour| Place { pass, queue: None, set: format!("done:{hour}") }));
        }
        for queue in queues.into_iter().filter(|queue| Some(queue) != plan.target.as_ref()) {
            let mut sets: Vec<String> = Vec::new();
            let states = [(0, JobState::Dead), (0, JobState::Held), (1, JobState::Scheduled), (1, JobState::Running)];
            sets.extend(states.iter().filter(|(at, s)| *at == pass.min(1) && asks(*s)).map(|(_, s)| s.to_string()));
            if pass > 0 && asks(JobState::Pending) {
                sets.extend(["high", "normal", "low"].map(|band| format!("order:{band}")));
                let args = vec![self.inner.keys.parked(queue.as_str()).into()];
                let fields = Reply::array(self.inner.link.command("HKEYS", args).await?)?.texts()?;
                sets.extend(fields.iter().filter(|f| f.contains(':')).map(|field| format!("parked:{field}")));
            }
            places.extend(sets.into_iter().map(|set| Place { pass, queue: Some(queue.clone()), set }));
        }
        places.sort();
        Ok(places)
    }

    /// A page of a place, from where the last one ended (`""` at first). Reads only.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn survey(&self, place: &Place, from: &str, what: Survey<'_>) -> Result<Surveyed, StoreError> {
        let filter = &what.plan.filter;
        let sifts = !filter.metadata.is_empty();
        let bucket = place.hour().is_some();
        // Metadata is decided on here, so each page is looked at whole. A bucket has no places to cut a page at.
        let (look, want) = match (sifts, bucket) {
            (true, true) => (what.look.min(60), what.look.min(60)),
            (true, false) => (what.look, what.look),
            (false, true) => (what.look, what.want.min(60)),
            (false, false) => (what.look, what.want),
        };
        let mode = if sifts {
            "m"
        } else if what.count {
            "g"
        } else {
            "n"
        };
        let mut args: Vec<Value> = vec![
            place.queue.as_ref().or(filter.queue.as_ref()).map_or("-", QueueName::as_str).into(),
            place.set.as_str().into(),
            from.into(),
            look.to_string().into(),
            want.to_string().into(),
            what.cut.map(|cut| cut.unix_ms().to_string()).unwrap_or_default().into(),
            mode.into(),
        ];
        args.extend(filter_args(what.plan).map(Value::from));
        let mut reply = Reply::array(self.run(&self.inner.scripts.survey, args).await?)?;
        let next = Some(reply.text()?).filter(|next| !next.is_empty());
        let groups = reply.nested()?.texts()?;
        let found = reply.nested()?.texts()?;
        let limit = (!what.count && !bucket).then_some(what.want);
        if sifts {
            return sifted(&found, filter, next, limit);
        }
        let mut page = Surveyed { next, found: ids(found.iter())?, ..Surveyed::default() };
        for pair in groups.chunks_exact(2) {
            page.count(&pair[0], pair[1].parse().map_err(|_| corrupt("a count"))?)?;
        }
        Ok(page)
    }
}

/// What of a page has the metadata that the filter wants; up to `limit`, if there is one.
fn sifted(
    found: &[String],
    filter: &JobFilter,
    next: Option<String>,
    limit: Option<usize>,
) -> Result<Surveyed, StoreError> {
    let mut page = Surveyed { next, ..Surveyed::default() };
    let (rows, mut last) = (found.chunks_exact(4), None);
    for row in rows.filter(|row| has_metadata(&row[2], filter)) {
        if limit.is_some_and(|limit| page.found.len() >= limit) {
            page.next = last;
            break;
        }
        page.found.extend(ids([&row[0]].into_iter())?);
        page.count(&row[1], 1)?;
        last = Some(row[3].clone());
    }
    Ok(page)
}

fn has_metadata(text: &str, filter: &JobFilter) -> bool {
    let metadata: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    filter.metadata.iter().all(|(key, want)| match metadata.get(key) {
        Some(serde_json::Value::String(is)) => is == want,
        Some(other) => serde_json::from_str::<serde_json::Value>(want).is_ok_and(|want| want == *other),
        None => false,
    })
}

fn ids<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<JobId>, StoreError> {
    texts.map(|id| id.parse().map_err(|_| corrupt("a job id"))).collect()
}

impl Surveyed {
    /// Adds jobs of a group as the script writes it.
    fn count(&mut self, text: &str, n: u64) -> Result<(), StoreError> {
        let parts: Vec<&str> = text.split('\t').collect();
        let [queue, kind, letter, workspace] = parts[..] else { return Err(corrupt("a group of jobs")) };
        let state = JobState::ALL.iter().find(|state| self::letter(**state) == Some(letter));
        match (QueueName::new(queue), JobType::new(kind), state, Workspace::new(workspace)) {
            (Ok(queue), Ok(kind), Some(state), Ok(workspace)) => {
                *self.groups.entry((queue, kind, *state)).or_default() += n;
                *self.workspaces.entry(workspace).or_default() += n;
                Ok(())
            }
            _ => Err(corrupt("a group of jobs")),
        }
    }
}

/// A state as scripts name it.
const fn letter(state: JobState) -> Option<&'static str> {
    match state {
        JobState::Pending => Some("w"),
        JobState::Scheduled => Some("S"),
        JobState::Running => Some("r"),
        JobState::Held => Some("h"),
        JobState::Dead => Some("d"),
        JobState::Cancelled => Some("c"),
        JobState::Expired => Some("e"),
        JobState::Succeeded => None,
    }
}

/// What `lib/sift.lua` reads.
pub(super) fn filter_args(plan: &OperationPlan) -> [String; 9] {
    let f = &plan.filter;
    let ms = |moment: Option<Timestamp>| moment.map(|at| at.unix_ms().max(0).to_string()).unwrap_or_default();
    [
        f.states.iter().filter_map(|state| letter(*state)).collect(),
        f.job_type.as_ref().map(JobType::as_str).unwrap_or_default().to_owned(),
        f.workspace.as_ref().map(Workspace::as_str).unwrap_or_default().to_owned(),
        f.fingerprint.clone().unwrap_or_default(),
        f.reason.map(FailureReason::as_str).unwrap_or_default().to_owned(),
        f.held_reason.map(HeldReason::as_str).unwrap_or_default().to_owned(),
        ms(f.before),
        ms(f.after),
        if plan.action == OperationAction::Hold { "1" } else { "" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_compared_as_strings_or_as_compact_json() {
        let filter = |key: &str, want: &str| JobFilter {
            metadata: [(key.to_owned(), want.to_owned())].into(),
            ..JobFilter::default()
        };
        let text = "{\"a\":\"b\",\"n\":7,\"deep\":{\"x\":[1,2]}}";
        for (key, want, fits) in [
            ("a", "b", true),
            ("a", "\"b\"", false),
            ("n", "7", true),
            ("deep", "{\"x\":[1,2]}", true),
            ("no", "", false),
        ] {
            assert_eq!(has_metadata(text, &filter(key, want)), fits, "{key}={want}");
        }
        assert!(has_metadata("broken", &JobFilter::default()));
        assert!(!has_metadata("broken", &filter("a", "b")));
    }
}
