//! Log lines as JSON: one flat object per event, the fields of its spans included.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::lane::Lane;
use super::line::{Fields, line};

/// Writes events with the field names of the contract: timestamp, level, service, and whatever the
/// event and its spans carry (endpoint, method, status, duration_ms, request_id, job_id, …).
pub(super) struct JsonLayer {
    service: &'static str,
    lanes: Vec<Lane>,
}

impl JsonLayer {
    pub(super) fn new(service: &'static str, lanes: Vec<Lane>) -> Self {
        Self { service, lanes }
    }
}

/// The fields of a span, kept until it closes.
struct SpanFields(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
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
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<SpanFields>() {
                fields.extend(&of_span.0);
            }
        }
        event.record(&mut Collect(&mut fields));
        let about = event.metadata();
        let line = Arc::new(line(self.service, about.target(), *about.level(), fields));
        self.lanes.iter().for_each(|lane| lane.push(Arc::clone(&line)));
    }
}

struct Collect<'a>(&'a mut Fields);

fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl Visit for Collect<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.put(name(field), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.put(name(field), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.put(name(field), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.put(name(field), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.put_text(name(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.put_text(name(field), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::time::Duration;

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::lane::Plain;
    use super::*;

    fn written(what: impl FnOnce()) -> Vec<Value> {
        let mut file = tempfile::tempfile().unwrap();
        let lane = Lane::start("test", Plain(file.try_clone().unwrap())).unwrap();
        let subscriber = tracing_subscriber::registry().with(JsonLayer::new("api", vec![lane.clone()]));
        tracing::subscriber::with_default(subscriber, what);
        lane.flush(Duration::from_secs(60));
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let lines = written(|| {
            let span = tracing::info_span!("request", request_id = "r1", status = tracing::field::Empty);
            let _guard = span.enter();
            span.record("status", 200);
            tracing::warn!(duration_ms = 1.5, user_roles = "jobs:read,jobs:write", "two\nlines\u{1b}[2J");
            tracing::info!(target: crate::domain::AUDIT, level = "x", by = "ann", request_id = "r2", "pause");
        });
        assert_eq!(lines.len(), 2);
        let mut line = lines[0].clone();
        assert!(line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')));
        line["timestamp"].take();
        assert_eq!(
            line,
            json!({
                "timestamp": null, "level": "WARNING", "service": "api", "stream": "app",
                "target": "windlass::telemetry::json::tests", "message": "two\nlines\u{fffd}[2J",
                "request_id": "r1", "status": 200, "duration_ms": 1.5, "user_roles": ["jobs:read", "jobs:write"],
            })
        );
        let audit = &lines[1];
        assert_eq!((&audit["stream"], &audit["by"]), (&"audit".into(), &"ann".into()));
        assert_eq!((&audit["level"], &audit["level_"]), (&"INFO".into(), &"x".into()));
        assert_eq!(audit["request_id"], "r2", "the event's own field wins");
    }
}
