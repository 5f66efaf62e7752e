//! Proxies of the environment are read when a client is built, so this test runs itself again in a process that has
//! them.

use std::sync::Arc;

use windlass::executors::actions::SystemLookup;

use super::ssrf::{both, input};
use crate::support::context::run;
use crate::support::processes::{run_test_again, variable};
use crate::support::receiver::{Receiver, answer};

const NAME: &str = "executors::ssrf_proxy::requests_go_past_the_proxies_of_the_environment";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_past_the_proxies_of_the_environment() {
    if variable("HTTP_PROXY").is_some() {
        let receiver = Receiver::start(answer(200, "", "")).await;
        for executor in both(&[], &[receiver.address.to_string()], Arc::new(SystemLookup)) {
            run(&*executor, input(&*executor, &receiver.url("/"))).await.unwrap();
        }
        assert_eq!(receiver.connections(), 2);
        return;
    }
    let canary = Receiver::canary().await;
    let proxy = canary.url("");
    let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let env: Vec<(&str, String)> = names.into_iter().map(|name| (name, proxy.clone())).collect();
    let again = tokio::task::spawn_blocking(move || run_test_again(NAME, &env));
    assert!(again.await.unwrap(), "the requests went to the proxy");
    assert_eq!(canary.connections(), 0);
}
