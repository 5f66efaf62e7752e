//! One random operation.

use proptest::prelude::*;
use windlass::domain::Priority;

/// When something happens relative to the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Now,
    /// A moment later; the step waits until it is past.
    Soon,
    /// Not within the test.
    Far,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeed,
    Retry(When),
    GiveBack(When),
    Release,
    Die,
    Hold,
}

/// What a pause covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Block {
    Queue,
    Intake,
    Kind(usize),
    Workspace(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Enqueue {
        ws: usize,
        request: usize,
        kind: usize,
        band: Priority,
        run: When,
        ends_soon: bool,
        other_body: bool,
    },
    Claim {
        worker: usize,
        want: usize,
        brief: bool,
        may_suspect: bool,
        may_reap: bool,
    },
    /// The n-th newest attempt ever handed out reports, perhaps long after it lost its lease.
    Finish {
        attempt: usize,
        end: End,
        by_release: bool,
        may_reap: bool,
    },
    Progress {
        attempt: usize,
    },
    Heartbeat {
        worker: usize,
    },
    /// A worker claims, dies, and its leases run out.
    Crash {
        want: usize,
        worker: usize,
    },
    Cancel {
        job: usize,
    },
    Redrive {
        job: usize,
    },
    /// A day has passed for the request of an ended job, and perhaps the request is used again.
    ForgetKey {
        reuse: bool,
        job: usize,
    },
    Pause(Block),
    Resume(Block),
    Limit {
        ws: usize,
        weight: u32,
        cap: Option<u32>,
    },
    Tend,
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

fn enqueue() -> impl Strategy<Value = Step> {
    let band = prop_oneof![2 => Just(Priority::Normal), 1 => Just(Priority::High), 1 => Just(Priority::Low)];
    let rare = proptest::bool::weighted(0.1);
    (0..WORKSPACES, 0..15usize, 0..KINDS, band, when(), proptest::bool::weighted(0.15), rare).prop_map(
        |(ws, request, kind, band, run, ends_soon, other_body)| Step::Enqueue {
            ws,
            request,
            kind,
            band,
            run,
            ends_soon,
            other_body,
        },
    )
}

impl Step {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let often = || proptest::bool::weighted(0.8);
        let claim = (0..WORKERS, 0..5usize, proptest::bool::weighted(0.4), often(), often()).prop_map(
            |(worker, want, brief, may_suspect, may_reap)| Self::Claim { worker, want, brief, may_suspect, may_reap },
        );
        let finish = (0..8usize, end(), any::<bool>(), often())
            .prop_map(|(attempt, end, by_release, may_reap)| Self::Finish { attempt, end, by_release, may_reap });
        let limit = (0..WORKSPACES, 1..4u32, proptest::option::weighted(0.7, 1..4u32))
            .prop_map(|(ws, weight, cap)| Self::Limit { ws, weight, cap });
        prop_oneof![
            20 => enqueue(),
            18 => claim,
            14 => finish,
            2 => (0..8usize).prop_map(|attempt| Self::Progress { attempt }),
            3 => (0..WORKERS).prop_map(|worker| Self::Heartbeat { worker }),
            6 => (0..WORKERS, 0..4usize).prop_map(|(worker, want)| Self::Crash { worker, want }),
            4 => (0..40usize).prop_map(|job| Self::Cancel { job }),
            5 => (0..40usize).prop_map(|job| Self::Redrive { job }),
            3 => (0..40usize, any::<bool>()).prop_map(|(job, reuse)| Self::ForgetKey { job, reuse }),
            3 => block().prop_map(Self::Pause),
            5 => block().prop_map(Self::Resume),
            3 => limit,
            2 => Just(Self::Tend),
        ]
    }
}
