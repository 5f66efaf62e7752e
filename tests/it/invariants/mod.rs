//! The queue against a pure model of it. Random sequences of operations, taken in the store and in the model: after
//! every step both must have answered the same and must be in the same state, every change of state must be a row of
//! the table, and the whole keyspace must add up. The model itself is walked through every history of a small queue.

mod bulk;
mod command;
mod compare;
mod model;
mod step;
mod walk;
mod world;

use proptest::test_runner::{Config, TestRunner};

use self::step::Step;
use self::world::{DEPTH_LIMIT, World};
use crate::support::redis::TestRedis;

const CASES: u32 = 64;
const STEPS: usize = 60;

#[test]
fn random_histories_agree_with_the_model_and_lose_no_job() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (redis, store) = runtime.block_on(async {
        // No append-only file: thousands of steps, and nothing here restarts.
        let redis = TestRedis::start_with(&["--appendonly", "no"]).await;
        let store = redis.store_with(|options| options.max_depth = DEPTH_LIMIT as u64).await;
        (redis, store)
    });
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let steps = proptest::collection::vec(Step::any(), STEPS / 2..=STEPS);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        redis.ask(&["FLUSHALL"]);
        runtime.block_on(async {
            let mut world = World::new(&redis, &store).await;
            for step in &steps {
                world.take(step).await;
            }
            world.drain().await;
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
