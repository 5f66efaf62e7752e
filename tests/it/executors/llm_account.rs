//! What a call asks of the fleet's book before it, and what is settled after it, however it ends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass::clock;
use windlass::domain::FailureReason::{Error, Invalid, RateLimited};
use windlass::domain::llm::{BlockKind, Price, Quota, Reserved, Usage, Verdict};
use windlass::engine::{Disposition, Executor, tasks};
use windlass::executors::llm::{LlmChat, LlmOptions};
use windlass::store::StoreError;

use super::llm_routing::{model, provider, say};
use crate::support::book::{Book, Settled, block, later};
use crate::support::context::{FakeJob, run, run_job};
use crate::support::receiver::{Receiver, answer};

const PRICE: Price = Price { input: 150_000_000, cached_input: 75_000_000, output: 600_000_000 };

fn chat(url: String) -> (LlmChat, Arc<Book>, Settled) {
    chat_with(Book::new(), url)
}

fn chat_with((book, settled): (Arc<Book>, Settled), url: String) -> (LlmChat, Arc<Book>, Settled) {
    let mut priced = model("m");
    (priced.price, priced.quota.concurrency) = (Some(PRICE), Some(3));
    let mut options = LlmOptions::with_providers(vec![provider("a", url, vec![priced])]);
    options.providers[0].info.quota.requests_per_minute = Some(60);
    options.workspace = Quota { nano_usd_per_day: Some(7), ..Quota::default() };
    options.fleet = Some(Arc::clone(&book) as _);
    (LlmChat::new(&options).unwrap(), book, settled)
}

fn completion() -> String {
    let body = json!({
        "id": "x", "model": "m-2026", "choices": [{"finish_reason": "stop", "message": {"content": "hello"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 30}}
    });
    let left = "x-ratelimit-remaining-requests: 41\r\nx-ratelimit-remaining-tokens: -1\r\n";
    answer(200, left, &body.to_string())
}

#[tokio::test]
async fn a_call_asks_for_the_most_it_may_use_and_settles_what_it_did() {
    let server = Receiver::start(completion()).await;
    let (chat, book, mut settled) = chat(server.url(""));
    let job = FakeJob::new();
    let result = run_job(&job, &chat, say(&"a".repeat(400))).await.unwrap();
    // 600 at 0.15, 400 cached at 0.075 and 100 at 0.60 USD per million.
    let cost = 600 * 150 + 400 * 75 + 100 * 600;
    assert_eq!((&result["cost_nano_usd"], &result["provider"]), (&json!(cost), &json!("a")));
    assert_eq!(
        result["usage"],
        json!({"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 100, "reasoning_tokens": 30,
            "total_tokens": 1100, "estimated": false})
    );

    let demand = book.demands().remove(0);
    let candidate = &demand.candidates[0];
    assert_eq!((demand.job, demand.workspace.as_str()), (job.id, "tests"));
    assert_eq!(demand.workspace_default.nano_usd_per_day, Some(7));
    assert_eq!((candidate.provider.requests_per_minute, candidate.model.concurrency), (Some(60), Some(3)));
    // 400 bytes and the frame of a message, a tenth on top, and the usual output limit.
    assert_eq!((candidate.tokens, candidate.nano_usd), (114 + 800, 114 * 150 + 800 * 600));
    assert!((60..=70).contains(&demand.hold.as_secs()), "{:?}", demand.hold);

    let end = settled.recv().await.unwrap();
    assert_eq!((end.job, &end.call, end.target.to_string()), (job.id, &demand.call, "a/m".to_owned()));
    let used = Usage { input: 1_000, cached_input: 400, output: 100, reasoning: 30, estimated: false };
    assert_eq!((end.usage, end.nano_usd), (used, Some(cost)));
    assert_eq!((end.verdict, end.status, end.remaining), (Verdict::Good, "ok", (Some(41), None)));
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_settled_with_what_was_sent() {
    let mut silent = Receiver::start(String::new()).await;
    let (chat, _book, mut settled) = chat(silent.url(""));
    let attempt = tasks::spawn("attempt", async move { run(&chat, say(&"a".repeat(400))).await });
    while silent.received().is_empty() {
        tokio::task::yield_now().await;
    }
    attempt.abort();
    silent.hang_ups.recv().await.unwrap();
    let end = settled.recv().await.unwrap();
    assert_eq!((end.verdict, end.status), (Verdict::Neutral, "cancelled"));
    assert_eq!(end.usage, Usage { input: 104, estimated: true, ..Usage::default() });
    assert_eq!(end.nano_usd, Some(104 * 150));
    assert!(settled.try_recv().is_err(), "settled twice");
}

#[tokio::test]
async fn a_share_that_comes_too_late_for_its_job_is_given_back_unused() {
    let server = Receiver::canary().await;
    let (chat, book, mut settled) = chat_with(Book::gated(), server.url(""));
    let attempt = tasks::spawn("attempt", async move { run(&chat, say("hi")).await });
    while book.demands().is_empty() {
        tokio::task::yield_now().await;
    }
    attempt.abort();
    assert!(attempt.await.unwrap_err().is_cancelled());
    book.open();
    let end = settled.recv().await.unwrap();
    assert_eq!((end.verdict, end.status, end.usage), (Verdict::Neutral, "cancelled", Usage::default()));
    assert_eq!(end.call, book.demands()[0].call);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn every_bad_answer_is_settled_by_its_kind() {
    let good = Verdict::Cool(Duration::from_secs(5));
    let withheld = json!({"choices": [{"finish_reason": "content_filter", "message": {}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1}});
    for (canned, verdict, status, tokens) in [
        (answer(500, "", "<html>"), Verdict::Faulty, "unavailable", 0),
        (answer(429, "", ""), good, "rate_limited", 0),
        (answer(401, "", ""), Verdict::Cool(Duration::from_secs(300)), "refused", 0),
        (answer(400, "", "{}"), Verdict::Neutral, "bad_request", 0),
        (answer(404, "", "{}"), Verdict::Neutral, "not_found", 0),
        (answer(200, "", "<html>"), Verdict::Faulty, "malformed", 5),
        (answer(200, "", r#"{"error":{"message":"x"}}"#), Verdict::Faulty, "unavailable", 0),
        (answer(200, "", r#"{"choices":[{"message":{"content":"cut"}}]}"#), Verdict::Faulty, "truncated", 6),
        (answer(200, "", &withheld.to_string()), Verdict::Neutral, "content_filter", 10),
        (String::from("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), Verdict::Faulty, "truncated", 5),
    ] {
        let server = Receiver::start(canned.clone()).await;
        let (chat, _book, mut settled) = chat(server.url(""));
        assert!(run(&chat, say("hi")).await.is_err(), "{canned}");
        let end = settled.recv().await.unwrap();
        assert_eq!((end.verdict, end.status, end.usage.total()), (verdict, status, tokens), "{canned}");
    }
}

#[tokio::test]
async fn a_short_wait_is_sat_out_and_a_long_one_gives_the_slot_back() {
    let server = Receiver::start(completion()).await;
    let (chat, book, mut settled) = chat(server.url(""));
    book.answer(later(Duration::from_millis(20)));
    assert!(run(&chat, say("hi")).await.is_ok());
    let demands = book.demands();
    assert_eq!((demands.len(), &demands[0].call), (2, &demands[1].call));
    assert_eq!(settled.recv().await.unwrap().status, "ok");

    book.answer(later(Duration::from_secs(30)));
    let failed = run(&chat, say("hi")).await.unwrap_err();
    let Disposition::Postpone { after } = failed.1 else { panic!("{failed:?}") };
    assert!(after > Duration::from_secs(25) && after <= Duration::from_secs(30), "{after:?}");
    assert!(failed.2.contains("requests per minute of provider a"), "{}", failed.2);
    assert_eq!(server.connections(), 1, "nothing is sent without a share");
    assert!(settled.try_recv().is_err(), "there is nothing to settle");
}

#[tokio::test]
async fn a_wait_beyond_the_jobs_time_in_line_ends_it_now() {
    let (chat, book, _settled) = chat("http://127.0.0.1:1".to_owned());
    let ends = |wait: Duration| {
        book.answer(later(Duration::from_secs(30)));
        chat.run(FakeJob::new().context(&chat, &say("hi")).with_expiry(clock::wall().plus(wait)))
    };
    let failed = ends(Duration::from_secs(10)).await.unwrap_err();
    assert_eq!((failed.reason, failed.disposition), (RateLimited, Disposition::Dead));
    assert!(failed.message.contains("time in line ends"), "{}", failed.message);
    let failed = ends(Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(failed.disposition, Disposition::Postpone { .. }), "{failed:?}");
}

#[tokio::test]
async fn what_no_limit_can_ever_grant_is_refused_and_an_absent_book_waited_for() {
    let (chat, book, _settled) = chat("http://127.0.0.1:1".to_owned());
    book.answer(Ok(Reserved::Never { block: block(BlockKind::Tokens) }));
    let failed = run(&chat, say("hi")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Invalid, Disposition::Dead));
    assert!(failed.2.contains("more than all of the tokens per minute of provider a"), "{}", failed.2);
    book.answer(Err(StoreError::Unavailable("away".to_owned())));
    let failed = run(&chat, say("hi")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, Disposition::Postpone { after: Duration::from_secs(1) }));
    book.answer(Err(StoreError::Corrupt("odd".to_owned())));
    let failed = run(&chat, say("hi")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, Disposition::Retry { after: None }), "it would go round for ever");
}

#[tokio::test]
async fn a_share_whose_grant_got_lost_is_asked_for_under_the_same_name() {
    let server = Receiver::start(completion()).await;
    let (chat, book, mut settled) = chat(server.url(""));
    book.answer(Err(StoreError::Unknown("no reply".to_owned())));
    assert!(run(&chat, say("hi")).await.is_ok());
    let demands = book.demands();
    assert_eq!((demands.len(), &demands[0].call), (2, &demands[1].call));
    assert_eq!(settled.recv().await.unwrap().call, demands[0].call);
}

#[tokio::test]
async fn calls_are_measured_and_a_model_that_a_client_made_up_is_no_label() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    // This test runs on one thread, and so does everything that it starts.
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = Receiver::start(completion()).await;
    let (priced, _book, _settled) = chat(server.url(""));
    let mut streaming = say("hi");
    streaming["stream"] = json!(true);
    run(&priced, streaming).await.unwrap();
    let open = LlmChat::new(&LlmOptions::new(server.url(""), "m")).unwrap();
    let mut made_up = say("hi");
    made_up["model"] = json!("a-canary");
    run(&open, made_up).await.unwrap();
    let shown = shown.render();
    for line in [
        r#"windlass_llm_queries_total{provider="a",model="m",status="ok"} 1"#,
        r#"windlass_llm_queries_total{provider="local",model="other",status="ok"} 1"#,
        r#"windlass_llm_duration_seconds_count{provider="a",model="m"} 1"#,
        r#"windlass_llm_first_token_seconds_count{provider="a",model="m"} 1"#,
        r#"windlass_llm_tokens_total{provider="a",model="m",kind="cached_input"} 400"#,
        r#"windlass_llm_cost_nano_usd_total{provider="a",model="m"} 180000"#,
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("canary") && !shown.contains(r#"cost_nano_usd_total{provider="local""#), "{shown}");
}
