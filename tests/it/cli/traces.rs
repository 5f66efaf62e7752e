//! Traces of real processes, as a collector gets them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use windlass::domain::{JobId, SpanRef};
use windlass::engine::tasks;

use super::process::{ADMIN_KEY, Patience, Role, http};
use super::roles::worker;
use crate::support::ports::Reserved;
use crate::support::redis::TestRedis;

/// What arrived: spans with the name of their service, and the heads of requests.
#[derive(Clone, Default)]
struct Arrived {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    heads: Arc<Mutex<Vec<(&'static str, HeaderMap)>>>,
}

impl Arrived {
    fn head(&self, of: &str, name: &str) -> Option<String> {
        let heads = self.heads.lock().unwrap();
        let (_, head) = heads.iter().find(|(what, _)| *what == of)?;
        Some(head.get(name)?.to_str().unwrap().to_owned())
    }
}

async fn spans(State(arrived): State<Arrived>, head: HeaderMap, body: Bytes) -> StatusCode {
    arrived.heads.lock().unwrap().push(("spans", head));
    for of in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let facts = of.resource.unwrap().attributes;
        let service = facts.iter().find(|fact| fact.key == "service.name").unwrap().clone();
        let service = text(service.value.unwrap());
        let all = of.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (service.clone(), span));
        arrived.spans.lock().unwrap().extend(all);
    }
    StatusCode::OK
}

fn text(value: opentelemetry_proto::tonic::common::v1::AnyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Of;
    match value.value {
        Some(Of::StringValue(text)) => text,
        Some(Of::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn fact(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|fact| fact.key == name)?;
    found.value.clone().map(text)
}

async fn hook(State(arrived): State<Arrived>, head: HeaderMap) -> StatusCode {
    arrived.heads.lock().unwrap().push(("hook", head));
    StatusCode::OK
}

async fn chat(State(arrived): State<Arrived>, head: HeaderMap) -> axum::Json<Value> {
    arrived.heads.lock().unwrap().push(("chat", head));
    axum::Json(json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "answer-canary"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }))
}

/// A collector, a receiver of webhooks and a model.
async fn outside() -> (String, Arrived) {
    let arrived = Arrived::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/v1/traces", post(spans))
        .route("/hook", post(hook))
        .route("/v1/chat/completions", post(chat))
        .with_state(arrived.clone());
    tasks::spawn("outside", async move { axum::serve(listener, app).await.unwrap() });
    (url, arrived)
}

/// Submits a job, with the headers of a client that traces, and returns its id once it is done.
async fn done(server: &Role, body: Value, traceparent: &str) -> JobId {
    let request = http().post(format!("{}/ai/jobs", server.url)).bearer_auth(ADMIN_KEY).json(&body);
    let request = request.header("x-windlass-workspace", "acme").header("traceparent", traceparent);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let mut patience = Patience::for_what("the job's end");
    loop {
        let request = http().get(format!("{}/ai/jobs/{id}", server.url)).bearer_auth(ADMIN_KEY);
        let job: Value = request.header("x-windlass-workspace", "acme").send().await.unwrap().json().await.unwrap();
        if job["state"] == "succeeded" {
            return id.parse().unwrap();
        }
        patience.last_seen = job.to_string();
        patience.pause().await;
    }
}

const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_one_trace_from_its_enqueue_to_its_effect_over_two_processes() {
    let (redis, (url, arrived)) = (TestRedis::start().await, outside().await);
    let model = format!("{url}/v1");
    let host = url.trim_start_matches("http://");
    let own = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=header-canary"),
        ("ACTIONS_ENABLED", "true"),
        ("ALLOW_ACTIONS_DEFAULT", "webhook.send"),
        ("WEBHOOK_ALLOWED_HOSTS", "127.0.0.1"),
        ("WEBHOOK_ALLOW_INTERNAL", host),
        ("LLM_URL", &model),
        ("LLM_MODEL", "m"),
        ("WINDLASS_ADMIN_KEY", ADMIN_KEY),
        ("LOG_LEVEL", "trace"),
    ];
    let (server, worker) = (Role::serve(&redis, &own), worker(&redis, &own));
    server.wait_ready().await;
    let input = json!({"url": format!("{url}/hook"), "payload": {}});
    let sent = done(&server, json!({"client_request_id": "r1", "type": "webhook.send", "input": input}), CLIENT).await;
    let input = json!({"messages": [{"role": "user", "content": "prompt-canary"}]});
    let asked = done(&server, json!({"client_request_id": "r2", "type": "llm.chat", "input": input}), CLIENT).await;
    let logs = (server.wrote(), worker.wrote());
    // What waits is sent at the end.
    assert_eq!((server.stop(), worker.stop()), (Some(0), Some(0)));

    let spans = arrived.spans.lock().unwrap().clone();
    let root = SpanRef::of_job(sent);
    let trace = root.trace.0.to_be_bytes();
    let of_job = |id: [u8; 16], name: &str| {
        let found: Vec<_> = spans.iter().filter(|(_, span)| span.trace_id == id && span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {spans:?}");
        found[0].clone()
    };
    let (api, enqueue) = of_job(trace, "enqueue default");
    let (_, wait) = of_job(trace, "wait default");
    let (fleet, attempt) = of_job(trace, "attempt webhook.send");
    let (_, effect) = of_job(trace, "effect send");
    assert_eq!((api.as_str(), fleet.as_str()), ("windlass-api", "windlass-worker"));
    assert_eq!((enqueue.span_id.as_slice(), enqueue.parent_span_id.len()), (&root.span.0.to_be_bytes()[..], 0));
    assert_eq!((&wait.parent_span_id, &attempt.parent_span_id), (&enqueue.span_id, &enqueue.span_id));
    assert_eq!(effect.parent_span_id, attempt.span_id);
    assert_eq!(fact(&attempt, "windlass.outcome").as_deref(), Some("succeeded"));
    for span in [&enqueue, &wait, &attempt] {
        assert_eq!(fact(span, "messaging.message.id"), Some(sent.to_string()), "{span:?}");
        assert!(
            span.start_time_unix_nano > 1 << 60 && span.end_time_unix_nano >= span.start_time_unix_nano,
            "{span:?}"
        );
    }

    // The client's own trace has the request, and both name each other.
    let client = SpanRef::parse(CLIENT).unwrap();
    let requests = spans.iter().map(|(_, span)| span).filter(|span| span.name == "POST /ai/jobs");
    let request = requests.into_iter().find(|span| span.links.iter().any(|link| link.trace_id == trace)).unwrap();
    assert_eq!(request.trace_id, client.trace.0.to_be_bytes());
    assert_eq!(request.parent_span_id, client.span.0.to_be_bytes());
    assert_eq!((&enqueue.links[0].trace_id, &enqueue.links[0].span_id), (&request.trace_id, &request.span_id));
    assert_eq!(fact(request, "http.response.status_code").as_deref(), Some("202"));

    let (_, call) = of_job(SpanRef::of_job(asked).trace.0.to_be_bytes(), "chat m");
    assert_eq!(fact(&call, "gen_ai.usage.output_tokens").as_deref(), Some("5"));

    // Webhooks carry it on, calls to models do not, and no secret or text is in it or in the log.
    let carried = SpanRef::parse(&arrived.head("hook", "traceparent").unwrap()).unwrap();
    assert_eq!((carried.trace, carried.sampled), (root.trace, true));
    assert_eq!(arrived.head("chat", "traceparent"), None);
    assert_eq!(arrived.head("spans", "x-key").as_deref(), Some("header-canary"));
    let all = format!("{spans:?}{logs:?}");
    assert!(!all.contains("canary"), "{}", all.split("canary").next().unwrap_or_default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_costs_one_line_and_no_job() {
    let redis = TestRedis::start().await;
    let nobody = Reserved::new();
    let closed = format!("http://{}", nobody.address());
    let own = [("OTEL_EXPORTER_OTLP_ENDPOINT", closed.as_str()), ("WINDLASS_ADMIN_KEY", ADMIN_KEY)];
    let (server, worker) = (Role::serve(&redis, &own), worker(&redis, &own));
    server.wait_ready().await;
    done(&server, json!({"client_request_id": "r1", "type": "echo", "input": {}}), CLIENT).await;
    let mut patience = Patience::for_what("the line");
    while !server.stdout().contains("traces are not taken") {
        patience.last_seen = server.stdout();
        patience.pause().await;
    }
    done(&server, json!({"client_request_id": "r2", "type": "echo", "input": {}}), CLIENT).await;
    assert_eq!(server.stdout().matches("traces are not taken").count(), 1);
    assert_eq!((server.stop(), worker.stop()), (Some(0), Some(0)));
}
