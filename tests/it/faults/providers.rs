//! Three providers behind one job type: one that fails half the time, one with limits, one that works.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::clock;
use windlass::domain::{Job, JobId, JobSpec, JobState, JobType, RawJson};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::store::{Figures, Scope, Store};

use crate::executors::llm::Fake;
use crate::support::jobs::{queue, spec_of};
use crate::support::processes::{Process, stat, wait_long_for};
use crate::support::redis::TestRedis;

const JOBS: usize = 2_000;
const SETTINGS: &[(&str, &str)] =
    &[("WORKER_CONCURRENCY", "24"), ("LLM_LOAD_BALANCING", "round-robin"), ("LOG_LEVEL", "warn")];
/// A dead worker is missed soon. A starved one may be missed too, and what it called for is called for again.
const BRIEF: (&str, &str) = ("LEASE_MS", "2000");
/// What the fleet is told that the limited provider takes.
const PER_MINUTE: usize = 250;
const AT_ONCE: usize = 6;
/// A provider counts a call when it arrives, and until its last byte is gone: later than the fleet does, each time by
/// a moment. So it takes as many more in a minute as can be on their way, and some that are about to end.
const TAKES_PER_MINUTE: usize = PER_MINUTE + AT_ONCE;
const TAKES_AT_ONCE: usize = AT_ONCE + 3;

struct Three {
    half: Fake,
    limited: Fake,
    good: Fake,
}

impl Three {
    /// The providers, and a settings file that names them.
    async fn start(redis: &TestRedis) -> Self {
        let delay = Duration::from_millis(20);
        let plain = || FakeLlmOptions { delay, ..FakeLlmOptions::default() };
        let three = Self {
            half: Fake::start(FakeLlmOptions { fault_rate: 0.5, seed: 7, ..plain() }).await,
            limited: Fake::start(FakeLlmOptions {
                requests_per_minute: Some(TAKES_PER_MINUTE),
                concurrency: Some(TAKES_AT_ONCE),
                ..plain()
            })
            .await,
            good: Fake::start(plain()).await,
        };
        let one = |name: &str, fake: &Fake, limits: &str| {
            format!(
                "[[providers]]\nname = \"{name}\"\nkind = \"compatible\"\nbase_url = \"{}\"\ndefault_model = \"m\"\n{limits}\n\
                 [[providers.models]]\nname = \"m\"\ninput_usd_per_million = 1.0\noutput_usd_per_million = 2.0\n",
                fake.url("")
            )
        };
        let limits = format!("requests_per_minute = {PER_MINUTE}\nconcurrency = {AT_ONCE}");
        let file =
            [one("half", &three.half, ""), one("limited", &three.limited, &limits), one("good", &three.good, "")];
        std::fs::write(redis.folder().join("windlass.toml"), file.concat()).unwrap();
        three
    }

    /// Calls that came, and those that were refused over a limit.
    async fn seen(&self) -> HashMap<&'static str, (u64, u64)> {
        let mut seen = HashMap::new();
        for (name, fake) in [("half", &self.half), ("limited", &self.limited), ("good", &self.good)] {
            let about = fake.get("/requests").await;
            seen.insert(name, (about["count"].as_u64().unwrap(), about["limited"].as_u64().unwrap()));
        }
        seen
    }
}

fn job(n: usize) -> JobSpec {
    let mut spec = spec_of(["red", "green"][n % 2], &format!("r{n}"));
    spec.job_type = JobType::new("llm.chat").unwrap();
    let prompt = format!("job {n} asks something");
    let input = json!({"messages": [{"role": "user", "content": prompt}], "stream": n.is_multiple_of(3)});
    spec.input = RawJson::from_value(&input);
    spec.max_attempts = 6;
    spec
}

async fn enqueue_all(store: &Store) -> Vec<JobId> {
    let now = store.now().await.unwrap().unix_ms() as u64;
    let mut ids = Vec::with_capacity(JOBS);
    for start in (0..JOBS).step_by(100) {
        let items: Vec<_> = (start..start + 100).map(|n| (JobId::new(now, 0), job(n))).collect();
        ids.extend(items.iter().map(|(id, _)| *id));
        store.enqueue(&queue(), &items).await.unwrap();
    }
    ids
}

/// Waits until every job has ended; each has to have succeeded.
async fn succeed(redis: &TestRedis, store: &Store, ids: &[JobId]) -> Vec<Job> {
    wait_long_for("every job ends", || stat(redis, "succeeded") + stat(redis, "dead") >= JOBS as i64);
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        let job = store.job(&Scope::All, *id).await.unwrap().expect("no job is lost");
        assert_eq!(job.state, JobState::Succeeded, "{:?} after {} crashes", job.failure, job.crashes);
        jobs.push(job);
    }
    jobs
}

/// The most calls that the limited provider may have seen in this time.
fn most(elapsed: Duration) -> u64 {
    (elapsed.as_secs() / 60 + 1) * PER_MINUTE as u64
}

/// The ledger by provider, over the day before and after too: a test may run at midnight.
async fn ledger(store: &Store) -> HashMap<String, Figures> {
    let today = store.now().await.unwrap().unix_ms() / 86_400_000;
    let mut by_provider: HashMap<String, Figures> = HashMap::new();
    for line in store.ledger(today - 1..=today + 1, None).await.unwrap() {
        by_provider.entry(line.provider).or_default().add(&line.figures);
    }
    by_provider
}

fn results(jobs: &[Job]) -> HashMap<String, (u64, u64, u64)> {
    let mut by_provider: HashMap<String, (u64, u64, u64)> = HashMap::new();
    for job in jobs {
        let result: Value = job.result.as_ref().expect("a result").to_value();
        let sums = by_provider.entry(result["provider"].as_str().unwrap().to_owned()).or_default();
        sums.0 += 1;
        sums.1 += result["usage"]["output_tokens"].as_u64().unwrap();
        sums.2 += result["cost_nano_usd"].as_u64().expect("the price is known");
    }
    by_provider
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_jobs_over_three_providers_succeed_within_every_limit_and_their_bills_add_up() {
    let redis = TestRedis::start().await;
    let three = Three::start(&redis).await;
    let store = redis.store().await;
    let ids = enqueue_all(&store).await;
    let began = clock::now();
    let _workers = [(); 2].map(|()| Process::worker(&redis, SETTINGS));

    let jobs = succeed(&redis, &store, &ids).await;
    let (seen, ledger, results) = (three.seen().await, ledger(&store).await, results(&jobs));
    assert_eq!(seen["limited"].1, 0, "the provider never had to refuse a call");
    assert!(seen["limited"].0 <= most(began.elapsed()) && seen["half"].0 > 0, "{seen:?}");
    let calls: u64 = ledger.values().map(|figures| figures.calls).sum();
    assert_eq!(calls, seen.values().map(|(calls, _)| calls).sum::<u64>(), "{ledger:?} {seen:?}");
    let failed: u64 = ledger.values().map(|figures| figures.failed).sum();
    assert_eq!(calls - failed, JOBS as u64);
    // A 429 charges no attempt; every other failure does.
    let attempts: u64 = jobs.iter().map(|job| u64::from(job.attempt)).sum();
    assert!((JOBS as u64..=calls).contains(&attempts), "{attempts} attempts, {calls} calls");
    for (provider, (answers, output, cost)) in &results {
        let figures = &ledger[provider];
        assert_eq!(*answers, figures.calls - figures.failed, "{provider}");
        if figures.failed == 0 {
            assert_eq!((*output, *cost), (figures.output, figures.nano_usd), "{provider}");
        } else {
            assert!(*output <= figures.output && *cost <= figures.nano_usd, "{provider}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_do_not_let_the_fleet_exceed_a_limit() {
    let redis = TestRedis::start().await;
    let three = Three::start(&redis).await;
    let store = redis.store().await;
    let ids = enqueue_all(&store).await;
    let began = clock::now();
    let settings = [SETTINGS, &[BRIEF]].concat();
    let mut workers: Vec<Process> = (0..2).map(|_| Process::worker(&redis, &settings)).collect();
    // Two, since a job that dies with three workers is poison.
    for share in 1..3 {
        wait_long_for("the work goes on", || stat(&redis, "succeeded") >= (share * JOBS / 4) as i64);
        workers.remove(0).kill();
        workers.push(Process::worker(&redis, &settings));
    }
    succeed(&redis, &store, &ids).await;
    let seen = three.seen().await;
    assert_eq!(seen["limited"].1, 0, "the provider never had to refuse a call");
    assert!(seen["limited"].0 <= most(began.elapsed()), "{seen:?}");
    // Calls of the killed are on the bill although nobody settled them.
    let ledger = ledger(&store).await;
    let calls: u64 = ledger.values().map(|figures| figures.calls).sum();
    assert!(calls >= seen.values().map(|(calls, _)| calls).sum::<u64>(), "{ledger:?} {seen:?}");
}
