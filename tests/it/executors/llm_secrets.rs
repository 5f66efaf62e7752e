//! Keys, prompts and answers stay where they belong.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use windlass::config::log_filter;
use windlass::engine::Executor;
use windlass::executors::llm::{LlmChat, LlmOptions};

use super::llm_routing::{model, provider, say};
use crate::support::book::Book;
use crate::support::context::{FakeJob, run_job};
use crate::support::receiver::{Receiver, answer};

#[tokio::test]
async fn each_key_goes_to_its_own_provider_and_to_no_other() {
    let servers = [(); 3].map(|()| Receiver::start(answer(503, "", "")));
    let servers = futures_util::future::join_all(servers).await;
    let names = ["a", "b", "c"];
    let mut providers: Vec<_> =
        names.iter().zip(&servers).map(|(name, s)| provider(name, s.url(""), vec![model("m")])).collect();
    providers[0].api_key = Some("sk-of-a".into());
    providers[1].api_key = Some("sk-of-b".into());
    let chat = LlmChat::new(&LlmOptions::with_providers(providers)).unwrap();
    let mut job = FakeJob::new();
    for attempt in 1..=3 {
        job.attempt = attempt;
        assert!(run_job(&job, &chat, say("hi")).await.is_err());
    }
    let sent: Vec<_> = servers.iter().map(|s| s.received()[0].header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("Bearer sk-of-a".to_owned()), Some("Bearer sk-of-b".to_owned()), None]);
    for server in &servers {
        let received = server.received();
        let head = received[0].head.to_lowercase();
        assert_eq!(received.len(), 1);
        assert!(!head.contains("openai-organization") && !head.contains("openai-project"), "{head}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_prompt_answer_or_key_reaches_a_log_or_an_error() {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
    let filter = EnvFilter::new(log_filter("trace").unwrap());
    // This test runs on one thread, and so does everything that it starts.
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(filter).with(layer));

    let whole = json!({"choices": [{"finish_reason": "stop", "message": {"content": "canary answer"}}]});
    let echoed = json!({"error": {"message": "bad key sk-canary-key in 'the canary prompt'", "code": "sk-canary-key"}});
    let mut errors = String::new();
    for canned in [
        answer(200, "", &whole.to_string()),
        answer(200, "", "{\"choices\": \"canary answer"),
        answer(200, "", r#"{"choices":[{"message":{"content":"canary answer"}}]}"#),
        answer(400, "", &echoed.to_string()),
        answer(500, "", "<html>canary answer"),
    ] {
        let server = Receiver::start(canned).await;
        let (book, _settled) = Book::new();
        let options = LlmOptions {
            fleet: Some(book),
            ..LlmOptions::with_providers(vec![provider("a", server.url(""), vec![model("m")])])
        };
        let chat = LlmChat::new(&options.with_key("sk-canary-key")).unwrap();
        let context = FakeJob::new().context(&chat, &say("the canary prompt"));
        errors += &format!("{chat:?} {context:?}");
        if let Err(error) = chat.run(context).await {
            errors += &format!("{error:?} {error}");
        }
        assert!(server.received()[0].body.contains("canary prompt"));
    }
    tracing::info!("the end");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the end"));
    for canary in ["canary prompt", "canary answer", "sk-canary-key"] {
        assert!(!log.contains(canary), "{canary} in the log:\n{log}");
        assert!(!errors.contains(canary), "{canary} in {errors}");
    }
}
