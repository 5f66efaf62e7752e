//! Verb `cap`.

use std::time::Duration;

use windlass::domain::JobId;

use crate::support::audit::refuses_wrong_types;
use crate::support::jobs::{kind, until_past, workspace};
use crate::support::redis::TestRedis;

const HOUR: Duration = Duration::from_secs(3600);
const KEY: &str = "ai:action:cap:ws:mail.send";

struct Caps {
    redis: TestRedis,
    jobs: Vec<JobId>,
    store: windlass::store::Store,
}

impl Caps {
    async fn new() -> Self {
        let redis = TestRedis::start().await;
        let jobs = (0..10).map(|n| JobId::new(1_000 + n, 0)).collect();
        Self { store: redis.store().await, redis, jobs }
    }

    async fn ask(&self, n: usize, most: u32) -> Option<Duration> {
        self.store.cap(&workspace("ws"), &kind("mail.send"), self.jobs[n], most).await.unwrap()
    }

    /// Makes what is booked older.
    fn age(&self, by: Duration) {
        for member in self.redis.cli(&["ZRANGE", KEY, "0", "-1"]).lines().map(str::to_owned).collect::<Vec<_>>() {
            self.redis.cli(&["ZINCRBY", KEY, &format!("-{}", by.as_millis()), &member]);
        }
    }
}

#[tokio::test]
async fn so_many_start_within_an_hour_and_the_others_get_a_time() {
    let caps = Caps::new().await;
    for n in 0..3 {
        assert_eq!(caps.ask(n, 3).await, None, "{n}");
        assert_eq!(caps.ask(n, 3).await, None, "asked again, {n} counts one time");
    }
    let wait = caps.ask(3, 3).await.expect("the hour is full");
    assert!(wait > HOUR - Duration::from_secs(60) && wait <= HOUR + Duration::from_millis(1), "{wait:?}");
    let later = caps.ask(6, 3).await.expect("so is the next place");
    assert!(later > HOUR - Duration::from_secs(60), "{later:?}");
    assert!(caps.ask(3, 3).await.expect("it has its place") <= wait);
    assert_eq!(caps.redis.cli_int(&["ZCARD", KEY]), 5);
    let other = caps.store.cap(&workspace("other"), &kind("mail.send"), caps.jobs[9], 3).await.unwrap();
    assert_eq!(other, None, "another workspace has its own");
    assert!(caps.redis.cli_int(&["PTTL", KEY]) > 0);
}

#[tokio::test]
async fn a_time_that_was_booked_comes_and_what_is_older_than_an_hour_counts_no_more() {
    let caps = Caps::new().await;
    assert_eq!(caps.ask(0, 1).await, None);
    let wait = caps.ask(1, 1).await.expect("full");
    caps.age(wait);
    assert_eq!(caps.ask(1, 1).await, None, "its time has come");
    assert!(caps.ask(2, 1).await.is_some(), "and it counts from then on");
    caps.age(HOUR * 3);
    assert_eq!(caps.ask(0, 1).await, None, "counted anew after its hour");
    assert_eq!(caps.redis.cli_int(&["ZCARD", KEY]), 1, "old ones are gone");
}

#[tokio::test]
async fn a_number_that_was_lowered_holds_for_what_was_booked_before() {
    let caps = Caps::new().await;
    for n in 0..4 {
        assert_eq!(caps.ask(n, 4).await, None);
        // Who was booked within the same millisecond is not told apart.
        until_past(&caps.store, caps.store.now().await.unwrap()).await;
    }
    assert_eq!(caps.ask(0, 2).await, None, "the first two keep their place");
    assert!(caps.ask(3, 2).await.is_some(), "the last ones do not");
    assert_eq!(caps.ask(7, 10).await, None, "a higher number lets more start at once");
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let caps = Caps::new().await;
    caps.ask(0, 1).await;
    let call = async || caps.store.cap(&workspace("ws"), &kind("mail.send"), caps.jobs[1], 1).await;
    refuses_wrong_types(&caps.redis, &[KEY], call).await;
}
