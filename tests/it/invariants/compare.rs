//! Reads the whole state back and compares it with the model's.

use std::collections::{BTreeMap, BTreeSet};

use windlass::domain::{JobId, JobState, TRANSITIONS};

use super::command::Block;
use super::world::{KINDS, World};
use crate::support::audit::{Snapshot, audit};
use crate::support::jobs::queue;

impl World<'_> {
    /// The keyspace adds up, tells the same as the model, and so do the events.
    pub(super) async fn compare(&mut self) {
        let all = audit(self.redis);
        self.follow_events();
        for (ids, models) in self.made.chunks(100).zip(self.model.jobs.chunks(100)) {
            for ((id, model), stored) in ids.iter().zip(models).zip(self.store.jobs(ids).await.unwrap()) {
                let job = stored.unwrap_or_else(|| panic!("{id} is lost")).job;
                let seen = (job.state, job.attempt, job.crashes);
                assert_eq!(seen, (model.state, model.attempt, model.crashes), "{id} should be {model:?}");
                assert_eq!(self.told[id], job.state, "the events of {id} end elsewhere");
            }
        }
        self.compare_keys(&all);
        self.compare_figures(&all).await;
    }

    /// Who holds which request, and who has which lease.
    fn compare_keys(&self, all: &Snapshot) {
        let held: BTreeMap<&str, &str> = all
            .keys
            .iter()
            .filter_map(|(name, content)| Some((name.strip_prefix("ai:idempotency:")?, &content.items[0][..22])))
            .collect();
        let keys: BTreeMap<String, String> = self
            .model
            .keys
            .iter()
            .map(|((ws, request), job)| (format!("ws{ws}:r{request}"), self.made[*job].to_string()))
            .collect();
        let keys: BTreeMap<&str, &str> = keys.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
        assert_eq!(held, keys, "idempotency keys");
        let leased: BTreeSet<String> = all.members("ai:queue:running").iter().map(|m| m[..22].to_owned()).collect();
        let running = self.made.iter().zip(&self.model.jobs).filter(|(_, job)| job.lease.is_some());
        assert_eq!(leased, running.map(|(id, _)| id.to_string()).collect(), "leases");
    }

    /// Depth, gauges, counters, pauses, caps.
    async fn compare_figures(&self, all: &Snapshot) {
        let (model, summary) = (&self.model, self.store.summary(&queue()).await.unwrap());
        let counts = [JobState::Pending, JobState::Scheduled, JobState::Running, JobState::Held, JobState::Dead];
        let seen = [summary.depth, summary.scheduled, summary.running, summary.held, summary.dead];
        assert_eq!(seen.map(|n| n as usize), counts.map(|state| model.count(state)), "{counts:?}");
        let counters: BTreeMap<String, String> =
            model.counters.iter().map(|(name, n)| ((*name).to_owned(), n.to_string())).collect();
        assert_eq!(all.hash("ai:queue:stats"), counters, "counters");
        let blocked: BTreeSet<String> = all.hash("ai:queue:blocked").into_keys().collect();
        assert_eq!(blocked, model.blocks.iter().map(field).collect(), "pauses");
        let capped = |limits: &str| limits.split('\t').nth(1).and_then(|cap| cap.parse::<usize>().ok());
        let caps: BTreeMap<String, usize> =
            all.hash("ai:limits").into_iter().filter_map(|(ws, limits)| Some((ws, capped(&limits)?))).collect();
        assert_eq!(caps, model.caps.iter().map(|(ws, cap)| (format!("ws{ws}"), *cap)).collect(), "caps");
    }

    /// Every change told is a row of the table.
    fn follow_events(&mut self) {
        let text = self.redis.ask(&["XRANGE", "ai:events", &self.last_event, "+"]);
        // Id, e, transitions, a, the attempt id of a claim or nothing.
        let lines: Vec<&str> = text.split('\n').collect();
        for entry in lines.chunks_exact(5) {
            self.last_event = format!("({}", entry[0]);
            for told in entry[2].split_whitespace() {
                let id: JobId = told[..22].parse().unwrap();
                let at = if told[22..].starts_with(':') { 45 } else { 22 };
                let to = match &told[at..=at] {
                    "S" => JobState::Scheduled,
                    "P" => JobState::Pending,
                    "R" => JobState::Running,
                    "H" => JobState::Held,
                    "s" => JobState::Succeeded,
                    "d" => JobState::Dead,
                    "c" => JobState::Cancelled,
                    "e" => JobState::Expired,
                    "p" => continue,
                    other => panic!("an event {other}"),
                };
                let from = self.told.insert(id, to);
                assert!(TRANSITIONS.iter().any(|t| t.from == from && t.to == to), "{id}: {from:?} to {to}");
            }
        }
    }
}

fn field(block: &Block) -> String {
    match block {
        Block::Queue => "q".to_owned(),
        Block::Intake => "drain".to_owned(),
        Block::Kind(k) => format!("t:{}", KINDS[*k]),
        Block::Workspace(ws) => format!("w:ws{ws}"),
    }
}
