//! `llm.chat` before a judge that nobody here wrote: every fault that llmock can make, and its verdict.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use windlass::domain::FailureReason::{self, Invalid, Permanent, Timeout};
use windlass::executors::llm::{LlmChat, LlmOptions};

use crate::support::llmock::{Llmock, work};

/// How a scenario must end: the attempts that llmock sees, and the reason of a job that failed.
type End = (usize, Option<FailureReason>);

const WELL: Option<FailureReason> = None;

fn chat(server: &Llmock) -> LlmChat {
    // Far below its stalls of 10 s and its late token of 20 s, and far above the pauses of a busy machine.
    let options = LlmOptions {
        first_token_timeout: Duration::from_secs(8),
        idle_timeout: Duration::from_secs(3),
        ..LlmOptions::new(server.url("/v1"), "m")
    };
    LlmChat::new(&options).unwrap()
}

fn say(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": format!("I am {model}")}]})
}

/// Faults of unary calls and streams alike.
fn faults() -> Vec<(&'static str, Vec<Value>, End)> {
    let fail = |status: u16, times: u32| json!({"type": "fail", "status": status, "times": times});
    let after = |status: u16, times: u32, seconds: f64| json!({"type": "fail", "status": status, "times": times, "retry_after": seconds});
    let mut all = vec![
        ("limited-twice", vec![after(429, 2, 0.6)], (3, WELL)),
        // More often than there are attempts: a provider that asks for patience gets it.
        ("limited-often", vec![after(429, 5, 0.2)], (6, WELL)),
        ("limited-by-its-default-time", vec![fail(429, 1)], (2, WELL)),
        ("busy-with-a-time", vec![after(503, 1, 0.8)], (2, WELL)),
        ("slow", vec![json!({"type": "delay", "seconds": 0.5})], (1, WELL)),
        (
            "tool",
            vec![json!({"type": "reply", "tool_calls": [{"name": "f", "arguments": {"a": [1, "ü"]}}]})],
            (1, WELL),
        ),
        ("cut-by-length", vec![json!({"type": "reply", "text": "one", "finish_reason": "length"})], (1, WELL)),
    ];
    for (name, status) in [("s408", 408), ("s409", 409), ("s500", 500), ("s502", 502), ("s503", 503), ("s504", 504)] {
        all.push((name, vec![fail(status, 2)], (3, WELL)));
    }
    all.push(("s529", vec![fail(529, 9)], (3, Some(FailureReason::Error))));
    for (name, status, reason) in [
        ("s400", 400, Invalid),
        ("s401", 401, Permanent),
        ("s403", 403, Permanent),
        ("s404", 404, Permanent),
        ("s422", 422, Invalid),
    ] {
        all.push((name, vec![fail(status, 9)], (1, Some(reason))));
    }
    all
}

/// Faults that only a stream can have.
fn stream_faults() -> Vec<(&'static str, Vec<Value>, End)> {
    let fault = |kind: &str, after: u32| json!({"type": "stream_fault", "kind": kind, "after_chunks": after});
    let slow = |seconds: f64| json!({"type": "slow_first_token", "seconds": seconds});
    vec![
        ("truncated-at-once", vec![fault("truncate", 0)], (2, WELL)),
        ("truncated", vec![fault("truncate", 3)], (2, WELL)),
        // Here all of the text has come, but not the word that it is all.
        ("truncated-before-the-finish", vec![fault("truncate", 6)], (2, WELL)),
        ("malformed-at-once", vec![fault("malformed", 0)], (2, WELL)),
        ("malformed", vec![fault("malformed", 3)], (2, WELL)),
        ("disconnected-at-once", vec![fault("disconnect", 0)], (2, WELL)),
        ("disconnected", vec![fault("disconnect", 3)], (2, WELL)),
        ("stalled-at-once", vec![fault("stall", 0)], (2, WELL)),
        ("stalled", vec![fault("stall", 3)], (2, WELL)),
        ("first-token-late", vec![slow(1.0)], (1, WELL)),
        ("first-token-too-late", vec![slow(20.0)], (2, WELL)),
        ("one-after-another", vec![fault("stall", 2), fault("truncate", 2)], (3, WELL)),
        (
            "never-well",
            vec![json!({"type": "stream_fault", "kind": "stall", "after_chunks": 2, "times": null})],
            (3, Some(Timeout)),
        ),
    ]
}

#[tokio::test]
async fn the_judge_finds_nothing_in_any_of_its_scenarios() {
    // Slow enough that it still writes when its client hangs up on it, which is how it tells.
    let server = Llmock::start(0, &["--stream-chunk-delay-ms", "150"]).await;
    let chat = chat(&server);
    let both = faults().into_iter().flat_map(|(name, faults, end)| {
        [(format!("{name}-unary"), false, faults.clone(), end), (format!("{name}-stream"), true, faults, end)]
    });
    let streams = stream_faults().into_iter().map(|(name, faults, end)| (name.to_owned(), true, faults, end));
    let scenarios: Vec<_> = both.chain(streams).collect();
    join_all(scenarios.iter().map(async |(model, stream, faults, (_, reason))| {
        server.script(model, faults).await;
        let outcome = work(&chat, &say(model, *stream)).await;
        assert_eq!(outcome.as_ref().err().map(|failed| failed.0), *reason, "{model}: {outcome:?}");
    }))
    .await;

    let requests = server.get("/_llmock/requests").await;
    let made = |model: &str| requests["requests"].as_array().unwrap().iter().filter(|r| r["model"] == model).count();
    for (model, _, _, (attempts, _)) in &scenarios {
        assert_eq!(made(model), *attempts, "{model}");
    }
    let verdict = server.get("/_llmock/verdict").await;
    // Two of its warnings are about moments: on a busy machine it has written all before it hears of the end, and takes
    // the retry for another call, which the number of attempts above tells better; and waits look alike.
    let late = |finding: &&Value| ["malformed_chunk_ignored", "no_backoff"].iter().any(|code| finding["code"] == *code);
    let findings: Vec<&Value> = verdict["findings"].as_array().unwrap().iter().filter(|f| !late(f)).collect();
    assert!(verdict["passed"] == true && findings.is_empty(), "{findings:?}");
    assert!(verdict["calls"].as_u64().unwrap() as usize >= scenarios.len(), "{verdict}");
    assert_eq!(server.get("/_llmock/scenario").await["pending"].as_array().unwrap().len(), leftovers(), "all were met");
}

/// Behaviours that are still queued at the end, since their jobs gave up before: each in both forms, but the last.
fn leftovers() -> usize {
    2 * ["s529", "s400", "s401", "s403", "s404", "s422"].len() + ["never-well"].len()
}

#[tokio::test]
async fn a_quota_is_waited_for_as_long_as_it_takes_and_a_full_context_is_not() {
    let server = Llmock::start(1, &["--rpm", "60", "--context-window", "300"]).await;
    let chat = chat(&server);
    let jobs = (0..62).map(async |n: usize| work(&chat, &say(&format!("quota-{n}"), n.is_multiple_of(2))).await);
    for outcome in join_all(jobs).await {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    for stream in [false, true] {
        let mut long = say("long", stream);
        long["messages"][0]["content"] = "many words ".repeat(500).into();
        let failed = work(&chat, &long).await.unwrap_err();
        assert_eq!(failed.0, Invalid, "{}", failed.2);
        assert!(failed.2.contains("400 context_length_exceeded"), "{}", failed.2);
    }
    let verdict = server.get("/_llmock/verdict").await;
    assert_eq!((&verdict["passed"], &verdict["findings"]), (&json!(true), &json!([])));
    assert!(verdict["faults_injected"].as_u64().unwrap() > 2, "the quota was met: {verdict}");
}
