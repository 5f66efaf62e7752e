//! Endpoints of webhooks that are left alone, keys that change, and what a lost answer means.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{NeedsReauth, RateLimited};
use windlass::domain::{EffectClass, EffectState};
use windlass::engine::Disposition;
use windlass::executors::actions::{
    Cooldowns, CredentialKind, Means, Secret, SigningSecret, WebhookOptions, WebhookSend,
};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::receiver::{Receiver, answer};
use crate::support::redis::TestRedis;
use crate::support::vault::{FixedVault, credential};

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xk";

fn options(receiver: &Receiver) -> WebhookOptions {
    WebhookOptions {
        signing_secret: Some(NEW.into()),
        allow_internal: vec![receiver.address.to_string().parse().unwrap()],
        ..WebhookOptions::default()
    }
}

fn sender(receiver: &Receiver) -> WebhookSend {
    WebhookSend::new(&options(receiver)).unwrap()
}

fn input(receiver: &Receiver, path: &str) -> Value {
    json!({"url": receiver.url(path), "payload": {}})
}

fn signatures(receiver: &Receiver) -> (Vec<String>, Vec<String>) {
    let request = receiver.received().pop().unwrap();
    let (id, at) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    let sign =
        |key: &str| SigningSecret::parse(&key.into()).unwrap().sign(id, at.parse().unwrap(), request.body.as_bytes());
    let seen = request.header("webhook-signature").unwrap().split(' ').map(str::to_owned).collect();
    (seen, vec![sign(NEW), sign(OLD)])
}

#[tokio::test]
async fn while_keys_change_every_key_signs() {
    let receiver = Receiver::start(answer(200, "", "")).await;
    let options = WebhookOptions { previous_secret: Some(OLD.into()), ..options(&receiver) };
    run(&WebhookSend::new(&options).unwrap(), input(&receiver, "/")).await.unwrap();
    let (seen, wanted) = signatures(&receiver);
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn the_keys_of_a_credential_take_the_place_of_the_settings() {
    let receiver = Receiver::start(answer(200, "", "")).await;
    let own = credential(CredentialKind::Webhook, "ours", Secret::Signing(vec![OLD.into()]));
    let means = Means { vault: Some(Arc::new(FixedVault::with(own))), cooldowns: Cooldowns::default() };
    let sender = sender(&receiver).with_means(means);
    let mut named = input(&receiver, "/");
    named["credential"] = json!("ours");
    run(&sender, named.clone()).await.unwrap();
    let (seen, wanted) = signatures(&receiver);
    assert_eq!(seen, wanted[1..]);
    named["credential"] = json!("missing");
    assert_eq!(run(&sender, named).await.unwrap_err().0, NeedsReauth);
    assert_eq!(receiver.connections(), 1, "nothing is sent unsigned instead");
}

#[tokio::test]
async fn a_broken_key_of_a_credential_is_refused_without_being_shown() {
    let receiver = Receiver::canary().await;
    let own = credential(CredentialKind::Webhook, "ours", Secret::Signing(vec!["whsec_canary!".into()]));
    let means = Means { vault: Some(Arc::new(FixedVault::with(own))), cooldowns: Cooldowns::default() };
    let mut named = input(&receiver, "/");
    named["credential"] = json!("ours");
    let failed = run(&sender(&receiver).with_means(means.clone()), named).await.unwrap_err();
    assert!(!format!("{failed:?} {means:?}").contains("canary"), "{failed:?}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_patience_is_left_alone_by_all_jobs_and_others_are_not() {
    let receiver = Receiver::start(answer(429, "retry-after: 60\r\n", "")).await;
    let sender = sender(&receiver);
    assert_eq!(run(&sender, input(&receiver, "/a?x=1")).await.unwrap_err().0, RateLimited);
    let second = run(&sender, input(&receiver, "/a?x=2")).await.unwrap_err();
    let Disposition::Postpone { after } = second.1 else { panic!("{second:?}") };
    assert!(after > Duration::from_secs(30) && after <= Duration::from_secs(75), "{after:?}");
    assert_eq!(receiver.connections(), 1);
    run(&sender, input(&receiver, "/b")).await.unwrap_err();
    assert_eq!(receiver.connections(), 2, "another path is another endpoint");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_alone() {
    let receiver = Receiver::start(answer(410, "", "")).await;
    let sender = sender(&receiver);
    assert_eq!(run(&sender, input(&receiver, "/a")).await.unwrap_err().1, Disposition::Dead);
    assert!(matches!(run(&sender, input(&receiver, "/a")).await.unwrap_err().1, Disposition::Postpone { .. }));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn an_endpoint_that_fails_five_times_in_a_row_is_left_alone() {
    let receiver = Receiver::start(answer(500, "", "")).await;
    let sender = sender(&receiver);
    for _ in 0..5 {
        assert!(matches!(run(&sender, input(&receiver, "/")).await.unwrap_err().1, Disposition::Retry { .. }));
    }
    assert!(matches!(run(&sender, input(&receiver, "/")).await.unwrap_err().1, Disposition::Postpone { .. }));
    assert_eq!(receiver.connections(), 5);
}

#[tokio::test]
async fn what_one_process_leaves_alone_another_leaves_alone_too() {
    let redis = TestRedis::start().await;
    let receiver = Receiver::start(answer(429, "retry-after: 600\r\n", "")).await;
    let mut senders = Vec::new();
    for _ in 0..2 {
        let book: windlass::store::Shards = redis.store().await.into();
        let means = Means { vault: None, cooldowns: Cooldowns::new(Some(Arc::new(book))) };
        senders.push(sender(&receiver).with_means(means));
    }
    run(&senders[0], input(&receiver, "/")).await.unwrap_err();
    let second = run(&senders[1], input(&receiver, "/")).await.unwrap_err();
    assert!(matches!(second.1, Disposition::Postpone { after } if after > Duration::from_secs(60)), "{second:?}");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_with_the_same_id_and_a_receipt_is_not() {
    let receiver = Receiver::start(answer(502, "", "")).await;
    let mut job = FakeJob::new();
    run_job(&job, &sender(&receiver), input(&receiver, "/")).await.unwrap_err();
    let record = job.effects.get("send").unwrap();
    assert_eq!((record.class, record.state), (EffectClass::Keyed, EffectState::Intent));
    job.attempt = 2;
    run_job(&job, &sender(&receiver), input(&receiver, "/")).await.unwrap_err();
    let ids: Vec<_> = receiver.received().iter().map(|r| r.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids, vec![job.id.to_string(); 2]);
}

#[tokio::test]
async fn a_doubt_older_than_a_receiver_remembers_is_for_a_person() {
    let receiver = Receiver::start(answer(502, "", "")).await;
    let mut job = FakeJob::new();
    run_job(&job, &sender(&receiver), input(&receiver, "/")).await.unwrap_err();
    job.attempt = 2;
    job.effects.age(Duration::from_secs(25 * 3600));
    let held = run_job(&job, &sender(&receiver), input(&receiver, "/")).await.unwrap_err();
    assert!(matches!(held.1, Disposition::Hold(_)), "{held:?}");
    assert_eq!(receiver.connections(), 1);
}
