//! Structured output of `llm.chat`: a good answer, the one request to mend a bad one, and the end of patience.

use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, Truncated};
use windlass::engine::{Disposition, Executor};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::executors::llm::{LlmChat, LlmOptions};

use super::llm::Fake;
use super::llm_stream::follow;

const GOOD: &str = "{\"name\": \"Ada\", \"age\": 36}";
const BAD: &str = "{\"name\": \"a canary\", \"age\": \"old\"}";

fn chat(fake: &Fake) -> LlmChat {
    LlmChat::new(&LlmOptions::new(fake.url(""), "m")).unwrap()
}

fn ask(stream: bool) -> Value {
    let schema = json!({"type": "object", "required": ["name", "age"], "additionalProperties": false,
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": true}});
    json!({"stream": stream, "messages": [{"role": "user", "content": "who?"}], "response_format": format})
}

async fn answers(texts: &[&str]) -> Fake {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    for text in texts {
        fake.fault(json!({"kind": "say", "message": text})).await;
    }
    fake
}

#[tokio::test]
async fn an_answer_that_fits_takes_one_call() {
    for stream in [false, true] {
        let fake = answers(&[GOOD]).await;
        let result = follow(&chat(&fake), &ask(stream)).await.0.unwrap();
        assert_eq!(result["content"], GOOD);
        assert_eq!(fake.get("/requests").await["count"], 1);
    }
}

#[tokio::test]
async fn one_that_does_not_is_mended_once_and_readers_begin_anew() {
    for (stream, bad) in [(false, BAD), (true, BAD), (true, "no JSON at all")] {
        let fake = answers(&[bad, GOOD]).await;
        let (outcome, text) = follow(&chat(&fake), &ask(stream)).await;
        assert_eq!(outcome.unwrap()["content"], GOOD);
        assert_eq!(text, if stream { GOOD } else { "" });
        assert_eq!(fake.get("/requests").await["count"], 2);
    }
}

#[tokio::test]
async fn a_second_bad_answer_fails_the_attempt_and_shows_nothing_of_it() {
    for stream in [false, true] {
        let fake = answers(&[BAD, BAD]).await;
        let failed = follow(&chat(&fake), &ask(stream)).await.0.unwrap_err();
        assert_eq!((failed.0, failed.1), (Error, Disposition::Retry { after: None }));
        assert_eq!(failed.2, "the answer breaks response_format in 1 place");
        assert_eq!(fake.get("/requests").await["count"], 2, "one request to mend it and no more");
    }
}

#[tokio::test]
async fn json_that_the_output_limit_cut_is_not_asked_for_again() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let mut input = ask(false);
    input["max_output_tokens"] = json!(1);
    let failed = follow(&chat(&fake), &input).await.0.unwrap_err();
    assert_eq!((failed.0, failed.1), (Truncated, Disposition::Dead));
    assert_eq!(fake.get("/requests").await["count"], 1);
}

#[tokio::test]
async fn a_bad_schema_is_refused_at_the_door() {
    let chat = LlmChat::new(&LlmOptions::new("http://127.0.0.1:1", "m")).unwrap();
    assert_eq!(chat.check(&ask(true)), Ok(()));
    let mut remote = ask(true);
    remote["response_format"]["json_schema"]["schema"] = json!({"$ref": "https://example.com/schema.json"});
    let said = chat.check(&remote).unwrap_err();
    assert!(said.starts_with("response_format.json_schema.schema: `$ref` may only be"), "{said}");
}
