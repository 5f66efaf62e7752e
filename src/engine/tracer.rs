//! Traces: spans of what is done for a request and for a job, handed to whoever exports them.
//!
//! Everything of a job is one trace, whose id follows from the job's ([`SpanRef::of_job`]): the enqueue is its root, and
//! waits and attempts of whatever process are its children. A client's own trace holds its request; the enqueue links
//! to that, as OpenTelemetry's conventions for messaging recommend, since a job may outlive it by days.

use std::fmt;
use std::sync::Arc;

use crate::clock;
use crate::domain::{EffectClass, Job, JobId, JobType, SpanId, SpanRef, TraceId};

/// What a span is in the conversation with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Answers a request.
    Server,
    /// Puts a job in line.
    Producer,
    /// Runs a job.
    Consumer,
    /// Sends a request.
    Client,
    /// Something within.
    Internal,
}

/// What is known of a span: a text or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A text; never a secret, a payload or a text of a model.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name: few different ones.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Itself.
    pub own: SpanRef,
    /// What it is a part of.
    pub parent: Option<SpanId>,
    /// Nanoseconds since the Unix epoch.
    pub began: u64,
    /// Nanoseconds since the Unix epoch.
    pub ended: u64,
    /// By the names of OpenTelemetry's conventions where there are any.
    pub facts: Vec<(&'static str, Fact)>,
    /// A span of another trace that it has to do with.
    pub link: Option<SpanRef>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Takes spans; must not wait.
pub trait SpanSink: Send + Sync {
    /// Takes one.
    fn record(&self, span: Span);
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share of traces, from 0 to 1. It goes by the id, so every process decides alike.
    pub share: f64,
    /// Whether a request is recorded if its client's span is; otherwise it goes by the share as well.
    pub follow_clients: bool,
}

impl Sampling {
    /// As `TraceIdRatioBased` of OpenTelemetry's SDKs does it: by the low 64 bits, less the last.
    fn takes(self, trace: TraceId) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 63 bits")]
        let place = ((trace.0 as u64) >> 1) as f64;
        place < self.share * 9_223_372_036_854_775_808.0
    }
}

struct Inner {
    sink: Box<dyn SpanSink>,
    sampling: Sampling,
}

/// Makes spans, or nothing at no cost when there is nobody to take them; cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

impl Tracer {
    /// One that records.
    #[must_use]
    pub fn new(sink: impl SpanSink + 'static, sampling: Sampling) -> Self {
        Self(Some(Arc::new(Inner { sink: Box::new(sink), sampling })))
    }

    /// The span under which everything of a job stands; whether it is recorded is decided by its trace.
    #[must_use]
    pub fn of_job(&self, job: JobId) -> Trace {
        let root = SpanRef::of_job(job);
        let sampled = self.0.as_ref().is_some_and(|inner| inner.sampling.takes(root.trace));
        Trace { tracer: self.clone(), of: SpanRef { sampled, ..root } }
    }

    /// Whether a request is recorded.
    #[must_use]
    pub fn takes_request(&self, own: SpanRef, client: Option<SpanRef>) -> bool {
        let Some(inner) = &self.0 else { return false };
        match client {
            Some(client) if inner.sampling.follow_clients => client.sampled,
            _ => inner.sampling.takes(own.trace),
        }
    }

    /// Hands on a span, if it is one to be recorded.
    pub fn record(&self, span: Span) {
        if let Some(inner) = self.0.as_ref().filter(|_| span.own.sampled) {
            inner.sink.record(span);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

/// A place in a trace, under which spans are opened; cheap to clone.
#[derive(Clone, Debug)]
pub struct Trace {
    tracer: Tracer,
    of: SpanRef,
}

impl Trace {
    /// No trace.
    #[must_use]
    pub fn none(job: JobId) -> Self {
        Tracer::default().of_job(job)
    }

    /// The place itself.
    #[must_use]
    pub fn of(&self) -> SpanRef {
        self.of
    }

    /// Begins a span; `None` when it would not be recorded, so that nothing is made for it.
    #[must_use]
    pub fn open(&self, kind: SpanKind, name: impl FnOnce() -> String) -> Option<OpenSpan> {
        let fresh = SpanId(rand::random::<u64>().max(1));
        self.begin(kind, SpanRef { span: fresh, ..self.of }, Some(self.of.span), name)
    }

    /// Begins the span of an effect.
    pub(super) fn open_effect(&self, job_type: &JobType, step: &str, class: EffectClass) -> Option<OpenSpan> {
        let mut span = self.open(SpanKind::Client, || format!("effect {step}"))?;
        span.fact("windlass.effect.class", class.as_str());
        span.fact("windlass.job.type", job_type.as_str());
        Some(span)
    }

    /// As a `traceparent`; `None` when nothing is recorded.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        self.of.sampled.then(|| self.of.header())
    }

    /// Begins the span that is this place.
    pub(super) fn open_root(&self, kind: SpanKind, name: impl FnOnce() -> String) -> Option<OpenSpan> {
        self.begin(kind, self.of, None, name)
    }

    fn begin(
        &self,
        kind: SpanKind,
        own: SpanRef,
        parent: Option<SpanId>,
        name: impl FnOnce() -> String,
    ) -> Option<OpenSpan> {
        if !self.of.sampled {
            return None;
        }
        let (began, error) = (clock::unix_nanos(), Some("it was stopped".to_owned()));
        let span = Span { name: name(), kind, own, parent, began, ended: began, facts: Vec::new(), link: None, error };
        Some(OpenSpan { tracer: self.tracer.clone(), span })
    }
}

/// A span that has begun. It ends when it is dropped, as a failure unless [`Self::end`] said otherwise.
#[derive(Debug)]
pub struct OpenSpan {
    tracer: Tracer,
    span: Span,
}

impl OpenSpan {
    /// The place of this span, for what is part of it.
    #[must_use]
    pub fn place(&self) -> Trace {
        Trace { tracer: self.tracer.clone(), of: self.span.own }
    }

    /// Adds what is known.
    pub fn fact(&mut self, name: &'static str, value: impl Into<Fact>) {
        self.span.facts.push((name, value.into()));
    }

    /// Names a span of another trace.
    pub fn link(&mut self, to: Option<SpanRef>) {
        self.span.link = to;
    }

    /// When it really began and ended, if not now; in nanoseconds since the Unix epoch.
    pub(super) fn between(mut self, began: u64, ended: u64) {
        (self.span.began, self.span.ended) = (began, ended.max(began).max(1));
        self.span.error = None;
    }

    /// Ends it, with why it failed if it did.
    pub fn end(mut self, error: Option<String>) {
        self.span.error = error;
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.span.ended == self.span.began {
            self.span.ended = clock::unix_nanos().max(self.span.began);
        }
        self.tracer.record(self.span.clone());
    }
}

/// What every span of a job says, by the conventions for messaging: the operation's name and its type.
pub(super) fn facts_of_job(span: &mut OpenSpan, job: &Job, (name, kind): (&'static str, &'static str)) {
    span.fact("messaging.system", "windlass");
    span.fact("messaging.operation.name", name);
    span.fact("messaging.operation.type", kind);
    span.fact("messaging.destination.name", job.queue.as_str());
    span.fact("messaging.message.id", job.id.to_string());
    span.fact("windlass.job.type", job.job_type.as_str());
    span.fact("windlass.workspace", job.workspace.as_str());
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Span>>>);

    impl SpanSink for Kept {
        fn record(&self, span: Span) {
            self.0.lock().unwrap().push(span);
        }
    }

    fn tracer(share: f64) -> (Tracer, Kept) {
        let kept = Kept::default();
        (Tracer::new(kept.clone(), Sampling { share, follow_clients: true }), kept)
    }

    #[test]
    fn a_span_that_is_dropped_is_a_failure_and_one_that_ends_is_none() {
        let (tracer, kept) = tracer(1.0);
        let job = JobId::new(1_763_000_000_123, 0);
        let outer = tracer.of_job(job).open(SpanKind::Consumer, || "attempt".to_owned()).unwrap();
        drop(outer.place().open(SpanKind::Internal, || "inner".to_owned()));
        outer.end(None);
        let spans = kept.0.lock().unwrap();
        assert_eq!((spans[0].error.is_some(), spans[1].error.is_some()), (true, false));
        assert_eq!((spans[0].parent, spans[1].parent), (Some(spans[1].own.span), Some(SpanRef::of_job(job).span)));
        assert!(spans.iter().all(|span| span.own.trace == SpanRef::of_job(job).trace && span.ended >= span.began));
    }

    #[test]
    fn a_share_of_jobs_is_recorded_and_by_every_process_the_same() {
        let (one, other) = (tracer(0.25).0, tracer(0.25).0);
        let taken = (0..2000).map(|n| JobId::new(1_763_000_000_000 + n, 3)).filter(|job| {
            let sampled = one.of_job(*job).of().sampled;
            assert_eq!(sampled, other.of_job(*job).of().sampled);
            sampled
        });
        let count = taken.count();
        assert!((400..600).contains(&count), "{count}");
        assert!(tracer(0.0).0.of_job(JobId::new(1, 0)).open(SpanKind::Client, || unreachable!()).is_none());
        assert!(Tracer::default().of_job(JobId::new(1, 0)).open(SpanKind::Client, || unreachable!()).is_none());
    }

    #[test]
    fn a_request_goes_by_its_client_where_that_counts() {
        let own = SpanRef::of_job(JobId::new(1, 0));
        let client = |sampled| Some(SpanRef { sampled, ..own });
        let (none, all) = (tracer(0.0).0, tracer(1.0).0);
        assert!(none.takes_request(own, client(true)) && !all.takes_request(own, client(false)));
        assert!(all.takes_request(own, None) && !none.takes_request(own, None));
        assert!(!Tracer::default().takes_request(own, client(true)));
    }
}
