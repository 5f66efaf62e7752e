//! What is learned of a request on its way: for the line that it leaves in the log, and for traces.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;

use crate::domain::{SpanId, SpanRef, TraceId};

use super::auth::Caller;

/// Where a client says which trace its request belongs to.
const TRACEPARENT: &str = "traceparent";

/// Goes along with a request; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Note(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Option<SpanRef>,
    own: SpanRef,
    caller: OnceLock<Caller>,
}

impl Note {
    /// In the trace that the client names, or in a new one. Two headers, or one that is none, name none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let client = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(SpanRef::parse),
            _ => None,
        };
        let trace = client.map_or_else(|| TraceId(rand::random::<u128>().max(1)), |client| client.trace);
        let own = SpanRef { trace, span: SpanId(rand::random::<u64>().max(1)), sampled: false };
        Self(Arc::new(Inner { client, own, caller: OnceLock::new() }))
    }

    /// The trace of the request.
    pub(super) fn trace(&self) -> TraceId {
        self.0.own.trace
    }

    /// The client's own span, of which this request is a part.
    pub(super) fn client(&self) -> Option<SpanRef> {
        self.0.client
    }

    /// The request's own span; whether it is recorded is the tracer's business.
    pub(super) fn own(&self) -> SpanRef {
        self.0.own
    }

    pub(super) fn caller_is(&self, caller: &Caller) {
        // The first one stays; a request has one caller.
        let _ = self.0.caller.set(caller.clone());
    }

    /// Who asks, once that is known.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_joins_the_trace_of_its_client_or_begins_one() {
        let named = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = |values: &[&str]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append(TRACEPARENT, value.parse().expect("a header"));
            }
            map
        };
        let joined = Note::of(&headers(&[named]));
        assert_eq!(joined.trace().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(joined.client().map(|client| client.span), Some(joined.own().span));
        for other in [&[][..], &["nonsense"], &[named, named]] {
            let fresh = Note::of(&headers(other));
            assert!(fresh.client().is_none() && fresh.trace() != joined.trace());
        }
    }
}
