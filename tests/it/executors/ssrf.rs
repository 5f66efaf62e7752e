//! What a webhook must never reach. Each case has a canary that must see no connection at all.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;
use windlass::domain::FailureReason;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{HostRule, Lookup, WebhookOptions, WebhookSend};

use crate::support::context::{Failed, run};
use crate::support::receiver::{Receiver, answer};

/// A DNS that says what an attacker wants.
struct LyingDns(Vec<IpAddr>);

impl Lookup for LyingDns {
    fn lookup<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

fn rules(texts: &[String]) -> Vec<HostRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn public_only(hosts: &[String]) -> WebhookOptions {
    WebhookOptions { allowed_hosts: rules(hosts), ..WebhookOptions::default() }
}

fn assert_blocked(failed: &Failed) {
    assert_eq!((failed.0, failed.1), (FailureReason::NotAllowed, Disposition::Dead), "{}", failed.2);
}

#[tokio::test]
async fn loopback_in_any_spelling_is_never_connected_to() {
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "localhost",
        "LocalHost",
        "x.localhost",
    ] {
        // Even on the list of allowed hosts: that list is for public ones.
        let normal = url::Host::parse(host).unwrap().to_string();
        let sender = WebhookSend::new(&public_only(&[format!("{normal}:{port}")])).unwrap();
        let input = json!({"url": format!("http://{host}:{port}/"), "payload": {}});
        assert!(sender.check(&input).is_err(), "{host} at the door");
        assert_blocked(&run(&sender, input).await.unwrap_err());
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_an_internal_address_is_refused() {
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
        &["8.8.8.8", "127.0.0.1"],
        &["2606:4700:4700::1111", "10.0.0.1"],
    ] {
        let dns = LyingDns(addresses.iter().map(|a| a.parse().unwrap()).collect());
        let options = public_only(&[format!("hook.example:{port}")]);
        let sender = WebhookSend::with_lookup(&options, Arc::new(dns)).unwrap();
        let input = json!({"url": format!("http://hook.example:{port}/"), "payload": {}});
        assert!(sender.check(&input).is_ok(), "the door does no I/O");
        assert_blocked(&run(&sender, input).await.unwrap_err());
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
    let sender = WebhookSend::with_lookup(&public_only(&["hook.example".into()]), Arc::new(DeadDns)).unwrap();
    let failed = run(&sender, json!({"url": "http://hook.example/", "payload": {}})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (FailureReason::Error, Disposition::Retry { after: None }));
    assert!(failed.2.contains("no such name"), "{}", failed.2);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let canary = Receiver::canary().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", canary.url("/"));
        let receiver = Receiver::start(answer(status, &location, "")).await;
        let options = WebhookOptions {
            allow_internal: rules(&[receiver.address.to_string(), canary.address.to_string()]),
            ..WebhookOptions::default()
        };
        let sender = WebhookSend::new(&options).unwrap();
        let failed = run(&sender, json!({"url": receiver.url("/"), "payload": {}})).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (FailureReason::Permanent, Disposition::Dead));
        assert!(failed.2.contains("redirects are not followed"), "{}", failed.2);
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn an_allowed_internal_host_is_allowed_on_its_port_only() {
    let (receiver, canary) = (Receiver::start(answer(200, "", "")).await, Receiver::canary().await);
    let options =
        WebhookOptions { allow_internal: rules(&[receiver.address.to_string()]), ..WebhookOptions::default() };
    let sender = WebhookSend::new(&options).unwrap();
    assert!(run(&sender, json!({"url": receiver.url("/"), "payload": {}})).await.is_ok());
    assert_blocked(&run(&sender, json!({"url": canary.url("/"), "payload": {}})).await.unwrap_err());
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn nothing_is_allowed_by_default() {
    let sender = WebhookSend::new(&WebhookOptions::default()).unwrap();
    for url in [
        "https://example.com/",
        "http://8.8.8.8/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:,x",
        "http://ok@127.0.0.1/",
        "http://ok#@x",
        "http://ok\\@x",
        "http://example.com./",
        "not a url",
    ] {
        let input = json!({"url": url, "payload": {}});
        let refusal = sender.check(&input).unwrap_err();
        assert!(refusal.starts_with("url: "), "{url}: {refusal}");
        assert_blocked(&run(&sender, input).await.unwrap_err());
    }
}
