//! Who may open a WebSocket, what it takes, and how it ends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use windlass::domain::bounds;

use crate::support::api::{ADMIN, Api};
use crate::support::fleet::until;
use crate::support::redis::TestRedis;
use crate::support::scripted::Script;
use crate::support::socket::Socket;

async fn api() -> Api {
    let (redis, script) = (TestRedis::start().await, Script::of("llm.chat"));
    let store = redis.store().await;
    Api::start_offering(redis, store, script.registry, |_, _| {}).await
}

/// Makes a job that no worker takes, to show that the key is good.
async fn works(socket: &mut Socket) {
    socket.say(&json!({"type": "query", "prompt": "hi"})).await;
    socket.hear("accepted").await;
}

#[tokio::test]
async fn a_key_comes_by_header_by_subprotocol_or_by_the_first_message() {
    let api = api().await;
    let key = api.client_key("acme").await;
    works(&mut Socket::with_key(&api, &key).await).await;
    let offered = format!("windlass.v1, {key}");
    let mut by_protocol = Socket::open(&api, &[("sec-websocket-protocol", &offered)]).await.expect("open");
    assert_eq!(by_protocol.protocol.as_deref(), Some("windlass.v1"), "the key is not said back");
    works(&mut by_protocol).await;
    let mut by_message = Socket::open(&api, &[]).await.expect("open");
    by_message.say(&json!({"type": "auth", "key": key})).await;
    by_message.hear("ready").await;
    works(&mut by_message).await;
    let mut of_all = Socket::open(&api, &[]).await.expect("open");
    of_all.say(&json!({"type": "auth", "key": ADMIN, "workspace": "acme"})).await;
    of_all.hear("ready").await;
    works(&mut of_all).await;
}

#[tokio::test]
async fn without_a_good_key_nothing_opens_or_it_ends() {
    let api = api().await;
    assert_eq!(Socket::open(&api, &[("authorization", "Bearer wl_x")]).await.err(), Some(401));
    assert_eq!(Socket::open(&api, &[("sec-websocket-protocol", "windlass.v1, wl_x")]).await.err(), Some(401));
    let writer = api.key("acme", &["jobs:write"]).await;
    assert_eq!(Socket::open(&api, &[("authorization", &format!("Bearer {writer}"))]).await.err(), Some(403));
    for first in [json!({"type": "auth", "key": "wl_x"}), json!({"type": "query", "prompt": "hi"}), json!(7)] {
        let mut socket = Socket::open(&api, &[]).await.expect("open");
        socket.say(&first).await;
        assert_eq!(socket.hear("error").await["code"], "unauthorized");
        assert_eq!(socket.closed().await, 1008);
    }
    let mut silent = Socket::open(&api, &[]).await.expect("open");
    assert_eq!(silent.hear("error").await["code"], "unauthorized", "after five seconds");
    assert_eq!(silent.closed().await, 1008);
}

#[tokio::test]
async fn errors_are_messages_with_the_codes_of_the_api() {
    let api = api().await;
    let key = api.client_key("acme").await;
    let mut socket = Socket::with_key(&api, &key).await;
    for (message, code) in [
        (json!({"id": "x", "type": "sing"}), "invalid_field"),
        (json!({"id": "x", "type": "query", "input": {}, "model": "m"}), "unknown_field"),
        (json!({"id": "x", "type": "query", "prompt": "hi", "timeout_ms": 1}), "invalid_field"),
        (json!({"id": "x", "type": "query", "prompt": "hi", "client_request_id": ""}), "invalid_field"),
        (json!({"id": "x", "type": "attach", "job": "0000000000000000000000"}), "not_found"),
        (json!({"id": "x", "type": "auth", "key": key}), "invalid_field"),
    ] {
        socket.say(&message).await;
        let error = socket.hear("error").await;
        assert_eq!((&error["id"], &error["code"]), (&"x".into(), &code.into()), "{message}");
    }
    socket.say(&Value::from("x".repeat(bounds::BODY))).await;
    assert_eq!(socket.hear("error").await["code"], "body_too_large");
    socket.send(Message::binary(vec![1])).await;
    assert_eq!(socket.hear("error").await["code"], "unsupported_media_type");
    let mut reader = Socket::with_key(&api, &api.key("acme", &["jobs:read"]).await).await;
    reader.say(&json!({"type": "query", "prompt": "hi"})).await;
    assert_eq!(reader.hear("error").await["code"], "forbidden");
    works(&mut socket).await;
}

#[tokio::test]
async fn another_workspace_does_not_see_a_job() {
    let api = api().await;
    let mut own = Socket::with_key(&api, &api.client_key("acme").await).await;
    own.say(&json!({"type": "query", "prompt": "hi"})).await;
    let job = own.hear("accepted").await["job"].clone();
    let mut foreign = Socket::with_key(&api, &api.client_key("other").await).await;
    for kind in ["attach", "cancel"] {
        foreign.say(&json!({"type": kind, "job": job})).await;
        assert_eq!(foreign.hear("error").await["code"], "not_found");
    }
}

#[tokio::test]
async fn jobs_at_once_and_the_size_of_a_message_are_bounded() {
    let api = api().await;
    let mut socket = Socket::with_key(&api, &api.client_key("acme").await).await;
    for _ in 0..8 {
        works(&mut socket).await;
    }
    socket.say(&json!({"type": "query", "id": "ninth", "prompt": "hi"})).await;
    let error = socket.hear("error").await;
    assert_eq!((&error["id"], &error["code"]), (&"ninth".into(), &"overloaded".into()));
    let far_too_long = Message::text("x".repeat(3 * bounds::BODY));
    drop(futures_util::SinkExt::send(&mut socket.inner, far_too_long).await);
    socket.closed().await;
}

#[tokio::test]
async fn a_revoked_key_ends_the_connection() {
    let api = api().await;
    let key = api.client_key("acme").await;
    let mut socket = Socket::with_key(&api, &key).await;
    works(&mut socket).await;
    assert!(api.store.revoke_key(key.split('_').nth(1).expect("an id")).await.expect("revoked"));
    assert_eq!(socket.closed().await, 1008);
}

#[tokio::test]
async fn a_stopping_server_says_that_it_goes_away() {
    let api = api().await;
    let mut socket = Socket::with_key(&api, &api.client_key("acme").await).await;
    works(&mut socket).await;
    api.shutdown.cancel();
    assert_eq!(socket.next().await, Err(1001));
    drop(socket);
    tokio::time::timeout(Duration::from_secs(10), api.stopped.cancelled()).await.expect("the server stopped");
}

async fn api_for_one(ping: Duration) -> (Api, String) {
    let (redis, script) = (TestRedis::start().await, Script::of("llm.chat"));
    let store = redis.store().await;
    let api = Api::start_offering(redis, store, script.registry, |options, _| {
        (options.ping, options.max_websockets) = (ping, 1);
    })
    .await;
    let key = format!("Bearer {}", api.client_key("acme").await);
    (api, key)
}

#[tokio::test]
async fn sockets_over_the_bound_are_refused_until_one_ends() {
    let (api, key) = api_for_one(Duration::from_secs(20)).await;
    let mut first = Socket::open(&api, &[("authorization", &key)]).await.expect("open");
    works(&mut first).await;
    assert_eq!(Socket::open(&api, &[("authorization", &key)]).await.err(), Some(503));
    drop(first);
    until("there is room", async || Socket::open(&api, &[("authorization", &key)]).await.ok()).await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let (api, key) = api_for_one(Duration::from_millis(20)).await;
    // Its frames are not read, so no pong goes out.
    let silent = Socket::open(&api, &[("authorization", &key)]).await.expect("open");
    until("the silent client is dropped", async || Socket::open(&api, &[("authorization", &key)]).await.ok()).await;
    drop(silent);
}
