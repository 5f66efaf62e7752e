//! Spans as OTLP over HTTP. They go through a bounded queue to a thread of the SDK: what an exporter that is down or
//! slow cannot take is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::{Link, SpanContext, SpanKind as Kind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanLinks, SpanProcessor};
use secrecy::ExposeSecret;

use crate::config::TracesConfig;
use crate::domain::SpanRef;
use crate::engine::{Fact, Span, SpanKind, SpanSink, Tracer, tasks};

use super::TelemetryError;

/// For one post of spans.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The end of a process waits this long for its last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Starts exporting, if the settings say where to.
///
/// # Errors
/// When the exporter cannot be set up. That it is reachable is not needed.
pub(super) fn start(config: &TracesConfig, service: &str) -> Result<(Tracer, Option<Exporting>), TelemetryError> {
    let Some(endpoint) = &config.endpoint else { return Ok((Tracer::default(), None)) };
    let setup = |e: &dyn std::fmt::Display| TelemetryError::Setup(format!("traces: {e}"));
    let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    let client = Posts {
        http: http.build().map_err(|e| setup(&e))?,
        runtime: tokio::runtime::Handle::try_current().map_err(|e| setup(&e))?,
        failing: Arc::default(),
    };
    let headers = config.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_headers(headers.collect())
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|e| setup(&e))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let service = config.service.clone().unwrap_or_else(|| service.to_owned());
    let resource = Resource::builder_empty().with_service_name(service);
    let facts = [
        KeyValue::new("service.version", crate::VERSION),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
    ];
    processor.set_resource(&resource.with_attributes(facts).build());
    let exporting = Exporting(Arc::new(processor));
    Ok((Tracer::new(exporting.clone(), config.sampling), Some(exporting)))
}

/// Spans on their way out; cheap to clone.
#[derive(Clone)]
pub(super) struct Exporting(Arc<BatchSpanProcessor>);

impl Exporting {
    /// Sends what waits, and ends.
    pub(super) fn finish(&self) {
        // What an exporter does not take in time is lost.
        let _ = self.0.shutdown_with_timeout(LAST_SPANS);
    }
}

impl SpanSink for Exporting {
    fn record(&self, span: Span) {
        self.0.on_end(data(span));
    }
}

fn context(span: SpanRef, is_remote: bool) -> SpanContext {
    let flags = if span.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, own) = (span.trace.0.to_be_bytes(), span.span.0.to_be_bytes());
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(trace),
        opentelemetry::SpanId::from_bytes(own),
        flags,
        is_remote,
        TraceState::default(),
    )
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn data(span: Span) -> SpanData {
    let mut links = SpanLinks::default();
    links.links = span.link.map(|to| Link::with_context(context(to, true))).into_iter().collect();
    let fact = |(name, fact): (&'static str, Fact)| match fact {
        Fact::Text(text) => KeyValue::new(name, text),
        Fact::Number(number) => KeyValue::new(name, number),
    };
    let parent =
        span.parent.map_or(opentelemetry::SpanId::INVALID, |id| opentelemetry::SpanId::from_bytes(id.0.to_be_bytes()));
    SpanData {
        span_context: context(span.own, false),
        parent_span_id: parent,
        parent_span_is_remote: matches!(span.kind, SpanKind::Server | SpanKind::Consumer),
        span_kind: match span.kind {
            SpanKind::Server => Kind::Server,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
            SpanKind::Client => Kind::Client,
            SpanKind::Internal => Kind::Internal,
        },
        name: span.name.into(),
        start_time: time(span.began),
        end_time: time(span.ended),
        attributes: span.facts.into_iter().map(fact).collect(),
        dropped_attributes_count: 0,
        events: opentelemetry_sdk::trace::SpanEvents::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("windlass").with_version(crate::VERSION).build(),
    }
}

/// Posts what the SDK's thread has put together, on our runtime and with our TLS.
#[derive(Debug)]
struct Posts {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
    failing: Arc<AtomicBool>,
}

impl HttpClient for Posts {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (http, failing) = (self.http.clone(), Arc::clone(&self.failing));
        let _within = self.runtime.enter();
        let sent = tasks::spawn("otlp", async move {
            let outcome = post(&http, request).await;
            tell(&failing, &outcome);
            outcome
        });
        Box::pin(async move { sent.await? })
    }
}

async fn post(http: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let answer = http.request(head.method, head.uri.to_string()).headers(head.headers).body(body).send().await?;
    let status = answer.status();
    // What is in it concerns nobody; it is read so that the connection can be used again.
    answer.bytes().await?;
    Ok(Response::builder().status(status).body(Bytes::new())?)
}

/// One line when it begins to fail and one when it is well again.
fn tell(failing: &AtomicBool, outcome: &Result<Response<Bytes>, HttpError>) {
    let why = match outcome {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(answer.status().to_string()),
        // The URL may hold a secret.
        Err(error) => Some(match error.downcast_ref::<reqwest::Error>() {
            Some(error) if error.is_timeout() => "it did not answer in time".to_owned(),
            Some(error) if error.is_connect() => "it cannot be reached".to_owned(),
            _ => "the request broke off".to_owned(),
        }),
    };
    match (failing.swap(why.is_some(), Ordering::Relaxed), why) {
        (false, Some(why)) => tracing::warn!(why, "traces are not taken; spans are dropped until they are"),
        (true, None) => tracing::info!("traces are taken again"),
        _ => {}
    }
}
