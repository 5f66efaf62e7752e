//! Log lines as JSON: one flat object per event, the fields of its spans included.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Where lines go. Each line is one write, so that lines of several threads do not mix.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file opened for appending.
    File(Arc<File>),
}

impl Sink {
    /// A log that cannot be written must not stop the work: errors are ignored.
    fn write(&self, line: &[u8]) {
        let _ = match self {
            Self::Stdout => std::io::stdout().lock().write_all(line),
            Self::Stderr => std::io::stderr().lock().write_all(line),
            Self::File(file) => file.as_ref().write_all(line),
        };
    }
}

/// Writes events with the field names of the contract: timestamp, level, service, and whatever the
/// event and its spans carry (endpoint, method, status, duration_ms, request_id, job_id, …).
pub(super) struct JsonLayer {
    service: &'static str,
    sink: Sink,
}

impl JsonLayer {
    pub(super) fn new(service: &'static str, sink: Sink) -> Self {
        Self { service, sink }
    }
}

/// The fields of a span, kept until it closes.
struct SpanFields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Collect(&mut fields));
        span.extensions_mut().insert(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut Collect(&mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                line.extend(fields.0.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
        }
        event.record(&mut Collect(&mut line));
        line.insert("timestamp".to_owned(), crate::clock::wall().to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("service".to_owned(), self.service.into());
        line.insert("target".to_owned(), event.metadata().target().into());
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        self.sink.write(text.as_bytes());
    }
}

struct Collect<'a>(&'a mut Map<String, Value>);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        self.0.insert(name.strip_prefix("r#").unwrap_or(name).to_owned(), value);
    }
}

impl Visit for Collect<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let mut file = tempfile::tempfile().unwrap();
        let sink = Sink::File(Arc::new(file.try_clone().unwrap()));
        let subscriber = tracing_subscriber::registry().with(JsonLayer::new("api", sink));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", request_id = "r1", status = tracing::field::Empty);
            let _guard = span.enter();
            span.record("status", 200);
            tracing::warn!(duration_ms = 1.5, "two\nlines");
        });
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["level"], &line["service"], &line["message"]),
            (&"WARN".into(), &"api".into(), &"two\nlines".into())
        );
        assert_eq!(
            (&line["request_id"], &line["status"], &line["duration_ms"]),
            (&"r1".into(), &200.into(), &1.5.into())
        );
        assert!(line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')));
    }
}
