//! One random operation. Numbers name things by their age, and wrap around.

use proptest::prelude::*;
use windlass::domain::Priority;

use super::command::{Block, End, Item, When};

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// One call.
    Enqueue(Vec<(Item, Priority)>),
    /// The n-th newest attempts ever handed out report, perhaps long after they lost their leases, and the worker
    /// claims; or, with `release`, does not.
    Exchange {
        reports: Vec<(usize, End)>,
        release: bool,
        ask: Ask,
    },
    Progress {
        attempt: usize,
    },
    Heartbeat {
        worker: usize,
    },
    /// A worker claims, dies, and its leases run out. Another takes its place.
    Crash {
        ask: Ask,
    },
    /// A worker's registration runs out while it goes on.
    Lapse {
        worker: usize,
    },
    Cancel {
        job: usize,
    },
    Redrive {
        job: usize,
    },
    /// An attempt begins an effect that nobody can look up.
    Intent {
        attempt: usize,
    },
    Unhold {
        job: usize,
        nothing_happened: bool,
    },
    /// A day has passed for the request of an ended job, and perhaps the request is used again.
    ForgetKey {
        reuse: bool,
        job: usize,
    },
    /// A month has passed for a job in line.
    Overdue {
        job: usize,
    },
    Pause(Block),
    Resume(Block),
    Limit {
        ws: usize,
        weight: u32,
        cap: Option<usize>,
    },
    Tend,
}

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) worker: usize,
    pub(super) want: usize,
    pub(super) brief: bool,
    pub(super) may_suspect: bool,
    pub(super) may_reap: bool,
}

pub(super) const WORKSPACES: usize = 3;
pub(super) const KINDS: usize = 3;
pub(super) const WORKERS: usize = 3;

fn when() -> impl Strategy<Value = When> {
    prop_oneof![4 => Just(When::Now), 2 => Just(When::Soon), 1 => Just(When::Far)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Succeed),
        3 => when().prop_map(End::Retry),
        1 => when().prop_map(End::GiveBack),
        1 => Just(End::Release),
        2 => Just(End::Die),
        1 => Just(End::Hold),
    ]
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        1 => Just(Block::Queue),
        1 => Just(Block::Intake),
        2 => (0..KINDS).prop_map(Block::Kind),
        2 => (0..WORKSPACES).prop_map(Block::Workspace),
    ]
}

fn item() -> impl Strategy<Value = (Item, Priority)> {
    let band = prop_oneof![2 => Just(Priority::Normal), 1 => Just(Priority::High), 1 => Just(Priority::Low)];
    let rarely = |share| proptest::bool::weighted(share);
    (0..WORKSPACES, 0..15usize, 0..KINDS, band, when(), rarely(0.15), rarely(0.1)).prop_map(
        |(ws, request, kind, band, run, ends_soon, other_body)| {
            (Item { ws, request, kind, other_body, run, ends_soon }, band)
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let often = || proptest::bool::weighted(0.8);
    (0..WORKERS, 0..5usize, proptest::bool::weighted(0.4), often(), often())
        .prop_map(|(worker, want, brief, may_suspect, may_reap)| Ask { worker, want, brief, may_suspect, may_reap })
}

impl Step {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let reports = proptest::collection::vec((0..8usize, end()), 1..=3);
        let limit = (0..WORKSPACES, 1..4u32, proptest::option::weighted(0.7, 1..4usize))
            .prop_map(|(ws, weight, cap)| Self::Limit { ws, weight, cap });
        prop_oneof![
            20 => proptest::collection::vec(item(), 1..=3).prop_map(Self::Enqueue),
            14 => ask().prop_map(|ask| Self::Exchange { reports: Vec::new(), release: false, ask }),
            16 => (reports, any::<bool>(), ask())
                .prop_map(|(reports, release, ask)| Self::Exchange { reports, release, ask }),
            2 => (0..8usize).prop_map(|attempt| Self::Progress { attempt }),
            4 => (0..WORKERS).prop_map(|worker| Self::Heartbeat { worker }),
            6 => ask().prop_map(|ask| Self::Crash { ask }),
            2 => (0..WORKERS).prop_map(|worker| Self::Lapse { worker }),
            4 => (0..40usize).prop_map(|job| Self::Cancel { job }),
            5 => (0..40usize).prop_map(|job| Self::Redrive { job }),
            4 => (0..8usize).prop_map(|attempt| Self::Intent { attempt }),
            6 => (0..40usize, any::<bool>()).prop_map(|(job, nothing_happened)| Self::Unhold { job, nothing_happened }),
            3 => (0..40usize, any::<bool>()).prop_map(|(job, reuse)| Self::ForgetKey { job, reuse }),
            2 => (0..40usize).prop_map(|job| Self::Overdue { job }),
            3 => block().prop_map(Self::Pause),
            5 => block().prop_map(Self::Resume),
            3 => limit,
            2 => Just(Self::Tend),
        ]
    }
}
