//! What the API measures of itself is what rules are about.

use windlass::client::Client;

use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::{ADMIN, Process};
use crate::support::redis::TestRedis;

/// The value of a series in a scrape; `None` when it is not there.
fn value(scrape: &str, series: &str) -> Option<f64> {
    scrape.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

/// Patient clients are no slow server, or each of them would page someone.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_a_client_asked_for_is_no_latency_and_a_problem_is_counted_by_its_code() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (_api, url) = Process::serve(&redis, &[]);
    drop(Client::new(&url, None).unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let id = enqueue_new(&store, spec("nobody-runs-it")).await;
    let get = |path: String| http.get(format!("{url}{path}")).bearer_auth(ADMIN).header("x-windlass-workspace", "ws");

    let waited = get(format!("/ai/jobs/{id}")).header("prefer", "wait=4").send().await.unwrap();
    assert_eq!(waited.headers().get("preference-applied").unwrap(), "wait=4");
    let missing = get(format!("/ai/jobs/{}", "0".repeat(22))).send().await.unwrap();
    assert_eq!(missing.status(), 404);

    let scrape = get("/metrics".to_owned()).send().await.unwrap().text().await.unwrap();
    let labels = "{path=\"/ai/jobs/{id}\",method=\"GET\"}";
    let count = value(&scrape, &format!("http_request_duration_seconds_count{labels}"));
    assert_eq!(count, Some(2.0), "{scrape}");
    // The wait alone is four seconds.
    let sum = value(&scrape, &format!("http_request_duration_seconds_sum{labels}")).unwrap();
    assert!(sum < 4.0, "{sum}");
    let problems = "windlass_http_problems_total{path=\"/ai/jobs/{id}\",code=\"not_found\"}";
    assert_eq!(value(&scrape, problems), Some(1.0), "{scrape}");
}
