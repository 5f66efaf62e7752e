//! What the workers of a queue have to do with a job's waiting.

use std::collections::BTreeMap;

use crate::domain::{JobType, WorkerState, Workspace};

use super::heartbeat::WorkerAbout;
use super::views::{Blocker, Crew, WorkspaceLimits};

impl Crew {
    /// What these descriptions add up to. `leases`: how many jobs of the queue run; `running`: workspace and type of the
    /// first of them; `wanted`: the type that is asked about.
    pub(super) fn of(about: &[WorkerAbout], leases: u64, running: &[String], wanted: Option<&JobType>) -> Self {
        let mut crew = Self { running: by_type(running), ..Self::default() };
        let mut of_others = 0;
        for worker in about {
            let state = WorkerState::from_status(&worker.status);
            *crew.states.entry(state.as_str()).or_default() += 1;
            if state == WorkerState::Active {
                crew.slots += u64::from(worker.slots);
                crew.busy += u64::from(worker.busy);
                continue;
            }
            of_others += u64::from(worker.busy);
            let by = &worker.told_by;
            if !by.is_empty() && !crew.told_by.contains(by) {
                crew.told_by.push(by.clone());
            }
            let offers = wanted.is_some_and(|wanted| worker.types.iter().any(|name| name == wanted.as_str()));
            crew.offered_by_others += u64::from(offers);
            crew.offered_by_quiet += u64::from(offers && state == WorkerState::Quiet);
        }
        // What a worker says of its slots is as old as its last heartbeat; leases are of this moment. What those run that
        // do not claim takes no slot of the others.
        crew.busy = crew.busy.max(leases.saturating_sub(of_others)).min(crew.slots);
        crew
    }

    /// Whether nobody claims, and why; `live` of them are registered.
    pub(super) fn absent(&self, live: u64) -> Option<Blocker> {
        let has = |state: WorkerState| self.states.get(state.as_str()).is_some_and(|n| *n > 0);
        if live == 0 || self.states.is_empty() {
            return Some(Blocker::NoWorker);
        }
        if has(WorkerState::Active) {
            return None;
        }
        // What a single order mends comes first.
        let order = [WorkerState::Quiet, WorkerState::Deaf, WorkerState::Stopping];
        order.into_iter().find(|state| has(*state)).map(Blocker::NotClaiming)
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots > 0 && self.busy >= self.slots
    }
}

/// Whether a worker that claims offers the type.
pub(super) fn is_offered(about: &[WorkerAbout], wanted: &str) -> bool {
    let claims = |worker: &&WorkerAbout| WorkerState::from_status(&worker.status) == WorkerState::Active;
    about.iter().filter(claims).any(|worker| worker.types.iter().any(|name| name == wanted))
}

/// Descriptions as stored; what cannot be read is of a newer version, and left out.
pub(super) fn read_about(texts: &[String]) -> Vec<WorkerAbout> {
    texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

fn by_type(kinds: &[String]) -> Vec<(JobType, u64)> {
    let mut counts: BTreeMap<JobType, u64> = BTreeMap::new();
    let types = kinds.iter().filter_map(|kind| JobType::new(kind.split_once('\t')?.1).ok());
    types.for_each(|name| *counts.entry(name).or_default() += 1);
    most_first(counts)
}

/// Workspaces of the jobs ahead, with their weights.
pub(super) fn by_workspace(kinds: &[String], limits: &BTreeMap<String, String>) -> Vec<(Workspace, u32, u64)> {
    let mut counts: BTreeMap<Workspace, u64> = BTreeMap::new();
    let names = kinds.iter().filter_map(|kind| Workspace::new(kind.split_once('\t')?.0).ok());
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let weight = |name: &Workspace| limits.get(name.as_str()).map_or(1, |text| WorkspaceLimits::read(text).weight);
    most_first(counts).into_iter().map(|(name, n)| (name.clone(), weight(&name), n)).collect()
}

fn most_first<K: Ord>(counts: BTreeMap<K, u64>) -> Vec<(K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(status: &str, busy: u32, types: &[&str]) -> WorkerAbout {
        WorkerAbout {
            host: "h".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            queues: Vec::new(),
            types: types.iter().map(ToString::to_string).collect(),
            slots: 4,
            busy,
            status: status.to_owned(),
            started_ms: 0,
            hears: true,
            claims: status == "running",
            told_by: if status == "quiet" { "alice".to_owned() } else { String::new() },
        }
    }

    #[test]
    fn only_those_that_claim_have_slots_and_offer_types() {
        let about = [worker("running", 1, &["echo"]), worker("quiet", 4, &["mail"]), worker("draining", 2, &["mail"])];
        let mail = JobType::new("mail").unwrap();
        let crew = Crew::of(&about, 0, &["ws\techo".to_owned()], Some(&mail));
        assert_eq!((crew.slots, crew.busy, crew.offered_by_others), (4, 1, 2));
        assert_eq!((crew.told_by.as_slice(), crew.absent(3)), (["alice".to_owned()].as_slice(), None));
        assert_eq!(crew.running, [(JobType::new("echo").unwrap(), 1)]);
        assert!(is_offered(&about, "echo") && !is_offered(&about, "mail") && !crew.is_full());
        assert!(Crew::of(&about, 10, &[], None).is_full(), "leases are newer than heartbeats");
        assert_eq!(Crew::of(&about, 7, &[], None).busy, 1, "the others run 6 of them");
        assert_eq!(crew.offered_by_quiet, 1, "the one that ends does not come back");
    }

    #[test]
    fn why_nobody_claims_is_what_a_single_order_mends() {
        let absent = |all: &[&str]| {
            let about: Vec<_> = all.iter().map(|status| worker(status, 0, &["echo"])).collect();
            Crew::of(&about, 0, &[], None).absent(about.len() as u64)
        };
        assert_eq!(absent(&[]), Some(Blocker::NoWorker));
        assert_eq!(absent(&["draining", "deaf", "quiet"]), Some(Blocker::NotClaiming(WorkerState::Quiet)));
        assert_eq!(absent(&["draining", "deaf"]), Some(Blocker::NotClaiming(WorkerState::Deaf)));
        assert_eq!(absent(&["draining"]), Some(Blocker::NotClaiming(WorkerState::Stopping)));
        assert_eq!(absent(&["deaf", "running"]), None);
    }
}
