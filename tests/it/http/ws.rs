//! Talking to models over a WebSocket.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::fleet::{Running, options, start};
use crate::support::redis::TestRedis;
use crate::support::scripted::Script;
use crate::support::socket::Socket;

struct Chat {
    api: Api,
    key: String,
    script: Script,
    worker: Running,
}

impl Chat {
    async fn new() -> Self {
        let (redis, script) = (TestRedis::start().await, Script::of("llm.chat"));
        let store = redis.store().await;
        let api = Api::start_offering(redis, store, script.registry.clone(), |_, _| {}).await;
        let key = api.client_key("acme").await;
        let worker = start(&api.store, &script.registry, options());
        Self { api, key, script, worker }
    }

    async fn socket(&self) -> Socket {
        Socket::with_key(&self.api, &self.key).await
    }
}

/// Reads text until it ends so; the text and the number of its last piece.
async fn read_until(socket: &mut Socket, end: &str) -> (String, u64) {
    let mut text = String::new();
    loop {
        let piece = socket.hear("stream").await;
        text += piece["text"].as_str().expect("text");
        if text.ends_with(end) {
            return (text, piece["seq"].as_u64().expect("a number"));
        }
    }
}

#[tokio::test]
async fn a_query_is_answered_with_its_result_and_its_usage() {
    let chat = Chat::new().await;
    let mut socket = chat.socket().await;
    chat.script.push("not told");
    chat.script.finish();
    socket.say(&json!({"type": "query", "id": "q1", "prompt": "hi", "client_request_id": "mine"})).await;
    let accepted = socket.hear("accepted").await;
    assert_eq!((&accepted["id"], &accepted["client_request_id"]), (&"q1".into(), &"mine".into()));
    let response = socket.hear("response").await;
    assert_eq!((&response["id"], &response["job"]), (&"q1".into(), &accepted["job"]));
    assert_eq!(response["result"], json!({"usage": {"total_tokens": 8}}));
    let done = socket.hear("done").await;
    assert_eq!((&done["state"], &done["usage"]), (&"succeeded".into(), &json!({"total_tokens": 8})));
    // The same again is the same job; a name of its own is made for one that brings none.
    socket.say(&json!({"type": "query", "prompt": "hi", "client_request_id": "mine"})).await;
    let again = socket.hear("accepted").await;
    assert_eq!((&again["replayed"], &again["job"], &again["id"]), (&true.into(), &accepted["job"], &Value::Null));
    socket.hear("response").await;
    socket.hear("done").await;
    chat.script.finish();
    socket.say(&json!({"type": "query", "prompt": "hi"})).await;
    let minted = socket.hear("accepted").await;
    assert!(minted["client_request_id"].as_str().is_some_and(|id| id.starts_with("ws-")), "{minted}");
    chat.worker.stop().await;
}

#[tokio::test]
async fn a_stream_tells_text_a_reset_and_the_end_in_order() {
    let chat = Chat::new().await;
    let mut socket = chat.socket().await;
    socket.say(&json!({"type": "stream", "id": "s", "messages": [{"role": "user", "content": "hi"}]})).await;
    let job = socket.hear("accepted").await["job"].clone();
    chat.script.push("one ");
    assert_eq!(read_until(&mut socket, "one ").await, ("one ".to_owned(), 1));
    chat.script.fail();
    chat.script.push("two");
    let reset = socket.hear("reset").await;
    assert_eq!((&reset["id"], &reset["job"], &reset["attempt"]), (&"s".into(), &job, &2.into()));
    assert_eq!(read_until(&mut socket, "two").await, ("two".to_owned(), 2));
    chat.script.push(" and the last");
    chat.script.finish();
    assert_eq!(read_until(&mut socket, "last").await, (" and the last".to_owned(), 3));
    let done = socket.hear("done").await;
    assert_eq!((&done["job"], &done["usage"]["total_tokens"]), (&job, &16.into()));
    chat.worker.stop().await;
}

#[tokio::test]
async fn a_dropped_connection_attaches_again_and_misses_nothing() {
    let chat = Chat::new().await;
    let mut socket = chat.socket().await;
    socket.say(&json!({"type": "stream", "prompt": "hi"})).await;
    let job = socket.hear("accepted").await["job"].clone();
    chat.script.push("a");
    let (_, seq) = read_until(&mut socket, "a").await;
    drop(socket);
    chat.script.push("b");
    let (mut back, mut late) = (chat.socket().await, chat.socket().await);
    back.say(&json!({"type": "attach", "id": "again", "job": job, "after_seq": seq})).await;
    late.say(&json!({"type": "attach", "job": job})).await;
    assert_eq!(read_until(&mut back, "b").await.0, "b");
    assert_eq!(read_until(&mut late, "b").await.0, "ab");
    chat.script.push("c");
    chat.script.finish();
    for socket in [&mut back, &mut late] {
        assert_eq!(read_until(socket, "c").await.0, "c");
        assert_eq!(socket.hear("done").await["state"], "succeeded");
    }
    // After the end, too; and with a number that another stream had, all is told again.
    let mut after = chat.socket().await;
    after.say(&json!({"type": "attach", "job": job})).await;
    assert_eq!(read_until(&mut after, "c").await.0, "abc");
    after.hear("done").await;
    after.say(&json!({"type": "attach", "job": job, "after_seq": 1000})).await;
    after.hear("reset").await;
    assert_eq!(read_until(&mut after, "c").await.0, "abc");
    after.hear("done").await;
    chat.worker.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_is_done_for_whoever_follows_it() {
    let chat = Chat::new().await;
    let (mut socket, mut other) = (chat.socket().await, chat.socket().await);
    socket.say(&json!({"type": "stream", "id": "s", "prompt": "hi"})).await;
    let job = socket.hear("accepted").await["job"].clone();
    chat.script.push("one");
    read_until(&mut socket, "one").await;
    other.say(&json!({"type": "cancel", "id": "c", "job": job})).await;
    for (socket, id) in [(&mut other, "c"), (&mut socket, "s")] {
        let done = socket.hear("done").await;
        assert_eq!((&done["id"], &done["job"], &done["state"]), (&id.into(), &job, &"cancelled".into()));
    }
    other.say(&json!({"type": "cancel", "job": "0000000000000000000000"})).await;
    assert_eq!(other.hear("error").await["code"], "not_found");
    chat.worker.stop().await;
}

#[tokio::test]
async fn several_streams_share_a_connection() {
    let chat = Chat::new().await;
    let mut socket = chat.socket().await;
    for id in ["a", "b", "c"] {
        chat.script.push("text");
        chat.script.finish();
        socket.say(&json!({"type": "stream", "id": id, "prompt": id})).await;
    }
    let mut done = Vec::new();
    while done.len() < 3 {
        let message = socket.next().await.expect("a message");
        if message["type"] == "done" {
            done.push(message["id"].as_str().expect("an id").to_owned());
        }
    }
    done.sort();
    assert_eq!(done, ["a", "b", "c"]);
    chat.worker.stop().await;
}
