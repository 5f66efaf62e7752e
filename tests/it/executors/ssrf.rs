//! What a webhook or a request must never reach. Each case has a canary that must see no connection at all.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Value, json};
use windlass::domain::FailureReason;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{
    HostRule, HttpRequest, HttpRequestOptions, Lookup, SystemLookup, WebhookOptions, WebhookSend,
};

use crate::support::context::{Failed, run};
use crate::support::receiver::{Receiver, answer};

/// A DNS that says what an attacker wants.
struct LyingDns(Vec<IpAddr>);

impl Lookup for LyingDns {
    fn lookup<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

pub(super) fn rules(texts: &[String]) -> Vec<HostRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Both actions that take a URL, with the same lists of hosts.
pub(super) fn both(allowed: &[String], internal: &[String], lookup: Arc<dyn Lookup>) -> [Box<dyn Executor>; 2] {
    let (allowed_hosts, allow_internal) = (rules(allowed), rules(internal));
    let http = HttpRequestOptions {
        allowed_hosts: allowed_hosts.clone(),
        allow_internal: allow_internal.clone(),
        ..HttpRequestOptions::default()
    };
    let webhook = WebhookOptions { allowed_hosts, allow_internal, ..WebhookOptions::default() };
    [
        Box::new(WebhookSend::with_lookup(&webhook, lookup.clone()).unwrap()),
        Box::new(HttpRequest::with_lookup(&http, lookup).unwrap()),
    ]
}

/// The input of either for a URL.
pub(super) fn input(executor: &dyn Executor, url: &str) -> Value {
    match executor.info().name.as_str() {
        "webhook.send" => json!({"url": url, "payload": {}}),
        _ => json!({"method": "POST", "url": url, "body": {}}),
    }
}

pub(super) fn assert_blocked(failed: &Failed) {
    assert_eq!((failed.0, failed.1), (FailureReason::NotAllowed, Disposition::Dead), "{}", failed.2);
}

/// Refused at the door, and again at the run.
pub(super) async fn assert_never_called(allowed: &[String], url: &str) {
    for executor in both(allowed, &[], Arc::new(SystemLookup)) {
        let input = input(&*executor, url);
        let refusal = executor.check(&input).unwrap_err();
        assert!(refusal.starts_with("url: "), "{url}: {refusal}");
        assert_blocked(&run(&*executor, input).await.unwrap_err());
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_an_internal_address_is_refused() {
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["::127.0.0.1"],
        &["169.254.169.254"],
        &["100.100.100.200"],
        &["fd00:ec2::254"],
        &["64:ff9b::7f00:1"],
        &["64:ff9b::a9fe:a9fe"],
        &["2002:7f00:1::"],
        &["2002:a9fe:a9fe::"],
        &["fe80::1"],
        &["0.0.0.0"],
        &["::"],
        &["224.0.0.1"],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["2606:4700:4700::1111", "10.0.0.1"],
        &["::1", "8.8.8.8"],
        &["8.8.8.8", "2606:4700:4700::1111", "::ffff:127.0.0.1"],
    ] {
        let dns = LyingDns(addresses.iter().map(|a| a.parse().unwrap()).collect());
        for executor in both(&[format!("hook.example:{port}")], &[], Arc::new(dns)) {
            let input = input(&*executor, &format!("http://hook.example:{port}/"));
            assert!(executor.check(&input).is_ok(), "the door does no I/O");
            assert_blocked(&run(&*executor, input).await.unwrap_err());
        }
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_tried_again() {
    struct DeadDns;
    impl Lookup for DeadDns {
        fn lookup<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            Box::pin(async { Err(io::Error::other("no such name")) })
        }
    }
    for executor in both(&["hook.example".into()], &[], Arc::new(DeadDns)) {
        let failed = run(&*executor, input(&*executor, "http://hook.example/")).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (FailureReason::Error, Disposition::Retry { after: None }));
        assert!(failed.2.contains("no such name"), "{}", failed.2);
    }
}

#[tokio::test]
async fn a_name_that_changes_is_asked_for_once_a_request_and_vetted_each_time() {
    /// Leads to loopback from the second question on, as a name with a short life does.
    struct Rebinding(std::sync::atomic::AtomicUsize);
    impl Lookup for Rebinding {
        fn lookup<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            let first = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            // The first is not public either, so that no packet leaves this machine.
            let address = if first { "192.0.2.1" } else { "127.0.0.1" };
            Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
        }
    }
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    for number in 0..2 {
        let dns = Arc::new(Rebinding(std::sync::atomic::AtomicUsize::new(0)));
        let executor = &both(&[format!("hook.example:{port}")], &[], dns.clone())[number];
        let input = input(&**executor, &format!("http://hook.example:{port}/"));
        for _ in 0..3 {
            assert_blocked(&run(&**executor, input.clone()).await.unwrap_err());
        }
        assert_eq!(dns.0.load(std::sync::atomic::Ordering::SeqCst), 3, "one question for each request");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let canary = Receiver::canary().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", canary.url("/"));
        let receiver = Receiver::start(answer(status, &location, "")).await;
        let internal = [receiver.address.to_string(), canary.address.to_string()];
        for executor in both(&[], &internal, Arc::new(SystemLookup)) {
            let failed = run(&*executor, input(&*executor, &receiver.url("/"))).await.unwrap_err();
            assert_eq!((failed.0, failed.1), (FailureReason::Permanent, Disposition::Dead));
            assert!(failed.2.contains("redirects are not followed"), "{}", failed.2);
        }
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn an_allowed_internal_host_is_allowed_on_its_port_only() {
    let (receiver, canary) = (Receiver::start(answer(200, "", "")).await, Receiver::canary().await);
    for executor in both(&[], &[receiver.address.to_string()], Arc::new(SystemLookup)) {
        assert!(run(&*executor, input(&*executor, &receiver.url("/"))).await.is_ok());
        assert_blocked(&run(&*executor, input(&*executor, &canary.url("/"))).await.unwrap_err());
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn nothing_is_allowed_by_default() {
    for url in ["https://example.com/", "http://8.8.8.8/", "not a url"] {
        assert_never_called(&[], url).await;
    }
}
