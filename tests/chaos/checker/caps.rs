//! How many attempts of a workspace may run in a queue, at every moment.

use std::collections::HashMap;

use super::history::Loss;
use super::ops::CapChange;

/// Later than the reply by this much a change of a cap may still show, in microseconds.
const SETTLE_US: u64 = 100_000;

/// The caps of a workspace over time, as the most that may have been in force.
pub(super) struct Caps {
    /// By workspace: from when, and the cap; `u64::MAX` is none.
    steps: HashMap<u16, Vec<(u64, u64)>>,
}

impl Caps {
    /// `changes` in order of their begin. A change that a loss may have taken back stays uncertain until the next.
    pub(super) fn new(changes: &[CapChange], losses: &[Loss]) -> Self {
        let mut by_workspace: HashMap<u16, Vec<&CapChange>> = HashMap::new();
        for change in changes {
            by_workspace.entry(change.workspace).or_default().push(change);
        }
        let steps = by_workspace.into_iter().map(|(ws, changes)| (ws, steps(&changes, losses))).collect();
        Self { steps }
    }

    /// The most that may run at this moment of Redis' clock.
    pub(super) fn most(&self, workspace: u16, ms: u64) -> u64 {
        let Some(steps) = self.steps.get(&workspace) else { return u64::MAX };
        let at = steps.partition_point(|(from, _)| *from <= ms * 1000 + 999);
        if at == 0 { u64::MAX } else { steps[at - 1].1 }
    }
}

/// From when how many. Before the first change there is no cap.
fn steps(changes: &[&CapChange], losses: &[Loss]) -> Vec<(u64, u64)> {
    let mut moments: Vec<(u64, Moment)> =
        losses.iter().map(|loss| (loss.t, Moment::Loss(loss.last.0 * 1000))).collect();
    for change in changes {
        moments.push((change.from, Moment::Maybe(change)));
        if change.until != u64::MAX {
            moments.push((change.until + SETTLE_US, Moment::Certain(change)));
        }
    }
    moments.sort_by_key(|(t, _)| *t);
    let (mut steps, mut most) = (Vec::new(), u64::MAX);
    for (t, moment) in moments {
        most = match moment {
            Moment::Maybe(change) => most.max(change.most()),
            // What was before it is over; others that are under way may still win.
            Moment::Certain(change) => {
                let others = changes.iter().filter(|c| c.from <= t && c.until.saturating_add(SETTLE_US) > t);
                // One that never answered is over when a later one is certain.
                let others = others.filter(|c| c.until != u64::MAX || c.from >= change.from);
                others.map(|c| c.most()).max().unwrap_or(0).max(change.most())
            }
            // What a loss may have taken is uncertain until it is set again.
            Moment::Loss(last) if changes.iter().any(|c| c.from <= t && c.until > last) => u64::MAX,
            Moment::Loss(_) => most,
        };
        steps.push((t, most));
    }
    steps
}

enum Moment<'a> {
    Maybe(&'a CapChange),
    Certain(&'a CapChange),
    /// Up to here, in unix microseconds, all was kept.
    Loss(u64),
}

impl CapChange {
    fn most(&self) -> u64 {
        self.cap.unwrap_or(u64::MAX)
    }
}
