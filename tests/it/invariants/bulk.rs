//! Workers, commands to single jobs and steps of bulk operations in random turns: the keyspace adds up after each, and
//! in the end every counter is the sum of what was done, each job counted once for each time it was changed.

use proptest::test_runner::{Config, TestRunner};

use windlass::domain::{HeldReason, JobId, JobState, Operation, OperationAction, OperationState};
use windlass::store::{Cancelled, Claimed, Ending, OperationPart, PartPlace, Redriven, Step, Store, Unheld, Unhold};

use crate::support::audit::audit;
use crate::support::jobs::{
    TestWorker, death, enqueue_new, failure, from_now, queue, retry, shaped, state, success, until_past,
};
use crate::support::operations::{begun, carry_on, next_step, plan};
use crate::support::redis::TestRedis;

const PASSES: &[u8] = &[0, 1, 2];
const ACTIONS: [OperationAction; 5] = [
    OperationAction::Cancel,
    OperationAction::Redrive,
    OperationAction::Hold,
    OperationAction::Release,
    OperationAction::Discard,
];

/// An operation, and the last step of it.
struct Bulk {
    operation: Operation,
    last: Option<(OperationPart, PartPlace, Vec<JobId>)>,
}

struct Bench<'a> {
    redis: &'a TestRedis,
    store: &'a Store,
    worker: TestWorker,
    jobs: Vec<JobId>,
    running: Vec<Claimed>,
    bulks: Vec<Bulk>,
    cancelled: i64,
    redriven: i64,
    discarded: i64,
}

impl Bench<'_> {
    async fn take(&mut self, (what, a, b): (u8, u8, u8)) {
        let (a, b) = (usize::from(a), usize::from(b));
        match what % 9 {
            0 | 1 => self.enqueue(a % 3 + 1, b).await,
            2 => self.running.extend(self.worker.claim(self.store, a % 3 + 1).await),
            3 => self.end(a, b).await,
            4 => self.command(a, b).await,
            5 => {
                let operation = begun(self.store, plan(ACTIONS[a % ACTIONS.len()])).await;
                until_past(self.store, operation.created_at).await;
                self.bulks.push(Bulk { operation, last: None });
                if self.bulks.len() > 4 {
                    let done = self.bulks.remove(0);
                    self.close(done).await;
                }
            }
            6 => self.again(a).await,
            _ => self.step(a, b % 4 + 1).await,
        }
        audit(self.redis);
    }

    async fn enqueue(&mut self, n: usize, b: usize) {
        let later = from_now(self.store, 3_600_000).await;
        for _ in 0..n {
            let request = format!("r{}", self.jobs.len());
            let job = shaped(["ws", "other"][b % 2], &request, |s| s.run_at = b.is_multiple_of(5).then_some(later));
            self.jobs.push(enqueue_new(self.store, job).await);
        }
    }

    async fn end(&mut self, a: usize, b: usize) {
        if self.running.is_empty() {
            return;
        }
        let claimed = self.running.remove(a % self.running.len());
        let ending = match b % 4 {
            0 => success(),
            1 => retry(std::time::Duration::ZERO),
            2 => Ending::Held { reason: HeldReason::ALL[a % HeldReason::ALL.len()], failure: failure() },
            _ => death(),
        };
        self.worker.end(self.store, &claimed, ending).await;
    }

    async fn command(&mut self, a: usize, b: usize) {
        if self.jobs.is_empty() {
            return;
        }
        let id = self.jobs[a % self.jobs.len()];
        match b % 3 {
            0 => {
                let found = self.store.cancel(&queue(), id).await.unwrap();
                self.cancelled += i64::from(found == Cancelled::Now);
            }
            1 => {
                let found = self.store.redrive(&queue(), id, None).await.unwrap();
                self.redriven += i64::from(found == Redriven::Now);
            }
            _ => {
                let found = self.store.unhold(&queue(), id, None, Unhold::Release).await.unwrap();
                assert!(found != Unheld::Now || state(self.store, id).await != JobState::Held);
            }
        }
    }

    async fn step(&mut self, a: usize, want: usize) {
        if self.bulks.is_empty() {
            return;
        }
        let at = a % self.bulks.len();
        let bulk = &mut self.bulks[at];
        if let Some((part, to, ids)) = next_step(self.store, &bulk.operation, PASSES, want).await {
            let step = Step { operation: &bulk.operation, part: &part, to: &to, ids: &ids };
            self.store.operate(step).await.unwrap();
            bulk.last = Some((part, to, ids));
        }
    }

    /// The reply of a step was lost, or two processes made it.
    async fn again(&mut self, a: usize) {
        if self.bulks.is_empty() {
            return;
        }
        let bulk = &self.bulks[a % self.bulks.len()];
        if let Some((part, to, ids)) = &bulk.last {
            let is = self.store.operation_part(bulk.operation.id).await.unwrap();
            let step = Step { operation: &bulk.operation, part, to, ids };
            let told = self.store.operate(step).await.unwrap();
            assert_eq!((told.place, told.counts), (is.place, is.counts));
        }
    }

    /// Goes through what is left of an operation, and sums it up.
    async fn close(&mut self, bulk: Bulk) {
        carry_on(self.store, &bulk.operation, PASSES, 100).await;
        let counts = self.store.operation_part(bulk.operation.id).await.unwrap().counts;
        assert_eq!(counts.matched, counts.done + counts.skipped.values().sum::<u64>());
        let done = i64::try_from(counts.done).unwrap();
        match bulk.operation.plan.action {
            OperationAction::Cancel => self.cancelled += done,
            OperationAction::Redrive => self.redriven += done,
            OperationAction::Discard => self.discarded += done,
            OperationAction::Hold | OperationAction::Release | OperationAction::Move => {}
        }
        let record = self.store.operation(bulk.operation.id).await.unwrap().unwrap();
        let finished = OperationState::Finished;
        let ended = Operation { state: finished, ..record.operation.clone() };
        self.store.put_operation(Some(&record), &ended).await.unwrap();
    }

    async fn sum_up(&mut self) {
        while let Some(bulk) = self.bulks.pop() {
            self.close(bulk).await;
        }
        audit(self.redis);
        let number = |args: &[&str]| self.redis.cli(args).parse::<i64>().unwrap_or(0);
        let stat = |field: &str| number(&["HGET", "ai:queue:stats", field]);
        assert_eq!((stat("cancelled"), stat("redriven")), (self.cancelled, self.redriven));
        let left = number(&["ZCARD", "ai:queue:dead"]) + self.discarded;
        assert_eq!(stat("dead"), left + self.redriven, "every dead letter is there, redriven or discarded");
    }
}

#[test]
fn random_histories_with_bulk_operations_add_up_and_count_each_change_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (redis, store) = runtime.block_on(async {
        let redis = TestRedis::start_with(&["--appendonly", "no"]).await;
        let store = redis.store().await;
        (redis, store)
    });
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let turns = proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8)>(), 40..=80);
    let outcome = TestRunner::new(config).run(&turns, |turns| {
        redis.ask(&["FLUSHALL"]);
        runtime.block_on(async {
            let worker = TestWorker::register(&store).await;
            let mut bench = Bench {
                redis: &redis,
                store: &store,
                worker,
                jobs: Vec::new(),
                running: Vec::new(),
                bulks: Vec::new(),
                cancelled: 0,
                redriven: 0,
                discarded: 0,
            };
            for turn in turns {
                bench.take(turn).await;
            }
            bench.sum_up().await;
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
