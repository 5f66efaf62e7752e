//! Whether a run was as it should be.

use std::collections::BTreeMap;

use windlass::domain::{Job, JobState};

use crate::Plan;
use crate::fleet::{Kills, SLOTS};
use crate::sinks::Sinks;
use crate::workload::{Kind, label};

/// What a run showed.
pub(crate) struct Report {
    plan: Plan,
    kills: Kills,
    /// Effects whose worker died before their answer, and answers that were lost on purpose.
    doubtful: (usize, usize),
    /// By kind: jobs, held, sinks' effects, and labels that a sink saw more than once.
    kinds: BTreeMap<Kind, Row>,
    decided: (usize, usize),
    /// Jobs that had not succeeded after the decisions.
    unfinished: usize,
    /// Jobs whose effect no sink saw, though they succeeded.
    unseen: usize,
    /// Deliveries of webhooks, repeats with the same id included.
    deliveries: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    jobs: usize,
    held: usize,
    effects: usize,
    twice: usize,
}

impl Report {
    /// Compares what became of the jobs with what the sinks saw.
    pub(crate) fn of(
        plan: Plan,
        sinks: &Sinks,
        kills: Kills,
        ends: &[Job],
        decided: (usize, usize),
        after: &[Job],
    ) -> Self {
        let seen = sinks.effects();
        let mut kinds: BTreeMap<Kind, Row> = BTreeMap::new();
        for (number, job) in ends.iter().enumerate() {
            let row = kinds.entry(Kind::of(number).0).or_default();
            let effects = seen.get(&label(number)).copied().unwrap_or_default();
            row.jobs += 1;
            row.held += usize::from(job.state == JobState::Held);
            row.effects += effects;
            row.twice += usize::from(effects > 1);
        }
        let succeeded = |job: &&Job| job.state == JobState::Succeeded;
        let unseen = (0..after.len()).filter(|n| !seen.contains_key(&label(*n)) && succeeded(&&after[*n])).count();
        Self {
            plan,
            kills,
            doubtful: (sinks.orphaned(), sinks.lost()),
            kinds,
            decided,
            unfinished: after.len() - after.iter().filter(succeeded).count(),
            unseen,
            deliveries: sinks.deliveries(),
        }
    }

    fn sum(&self, of: impl Fn(&Row) -> usize) -> usize {
        self.kinds.values().map(of).sum()
    }

    /// Whether the guard held, or, without it, whether its absence showed.
    pub(crate) fn is_as_it_should_be(&self) -> bool {
        if self.plan.unguarded {
            return self.sum(|row| row.twice) > 0;
        }
        self.problems().is_empty()
    }

    fn problems(&self) -> Vec<String> {
        let (twice, held) = (self.sum(|row| row.twice), self.sum(|row| row.held));
        let in_flight = self.kills.all * SLOTS + self.doubtful.1;
        let wrong = [
            (twice > 0, format!("{twice} effects happened twice")),
            (
                held > in_flight,
                format!("{held} jobs are held, and at most {in_flight} were at their effect when it mattered"),
            ),
            (self.unfinished > 0, format!("{} jobs did not succeed in the end", self.unfinished)),
            (self.unseen > 0, format!("{} jobs succeeded whose effect no sink saw", self.unseen)),
            (self.kills.inside < self.plan.kills, format!("only {} kills fell inside an effect", self.kills.inside)),
        ];
        wrong.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let (orphaned, lost) = self.doubtful;
        let mut text = format!(
            "{} jobs, the guard {}, seed {}\n\
             workers killed: {}, of these {} inside an effect; answers that no worker lived to see: {orphaned}; \
             answers lost on purpose: {lost}\n",
            self.sum(|row| row.jobs),
            if self.plan.unguarded { "OFF" } else { "on" },
            self.plan.seed,
            self.kills.all,
            self.kills.inside,
        );
        text.push_str("                        jobs    held   effects seen   seen twice\n");
        for (kind, name) in Kind::ALL {
            let row = self.kinds.get(&kind).copied().unwrap_or_default();
            text.push_str(&format!(
                "  {name:<20} {:>6}  {:>6}   {:>12}   {:>10}\n",
                row.jobs, row.held, row.effects, row.twice
            ));
        }
        let (happened, not) = self.decided;
        text.push_str(&format!(
            "webhooks delivered, repeats of one id included: {}\n\
             held jobs decided by the sinks' books: {happened} had happened, {not} had not; after that not succeeded: {}\n",
            self.deliveries, self.unfinished
        ));
        if self.plan.unguarded {
            let twice = self.sum(|row| row.twice);
            text.push_str(&format!("without the guard {twice} effects happened twice"));
        } else if self.problems().is_empty() {
            text.push_str("no effect happened twice, none was lost, every doubtful one was held");
        } else {
            text.push_str(&format!("WRONG: {}", self.problems().join("; ")));
        }
        text
    }
}
