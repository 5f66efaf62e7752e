//! Traces: which one a job belongs to, and the `traceparent` of W3C Trace Context.

use std::fmt;

use sha2::{Digest, Sha256};

use super::JobId;

/// The id of a trace: 128 bits, never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// The id of a span within its trace: 64 bits, never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

/// One span of a trace, as others refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRef {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether it is recorded somewhere.
    pub sampled: bool,
}

impl SpanRef {
    /// The span under which everything of a job stands: its enqueue. It follows from the job's id, so nothing has to be
    /// stored, and workers, retries and redrives all find it. Hashed, because samplers go by the low bits of a trace's
    /// id, and in a job's id those are a fixed pattern and its shard.
    #[must_use]
    pub fn of_job(job: JobId) -> Self {
        let digest = Sha256::new_with_prefix("windlass trace").chain_update(job.to_string()).finalize();
        let part = |from: usize, to: usize| digest[from..to].iter().fold(0, |all, byte| (all << 8) | u128::from(*byte));
        let span = u64::try_from(part(16, 24)).unwrap_or_default();
        Self { trace: TraceId(part(0, 16).max(1)), span: SpanId(span.max(1)), sampled: false }
    }

    /// Reads a `traceparent` (<https://www.w3.org/TR/trace-context/>): of any version but ff, with what a later one may
    /// append ignored. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let field = |at: usize, length: usize| {
            let part = text.get(at..at + length)?;
            part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).then_some(part)
        };
        let rest = text.get(55..)?;
        let dashes = [2, 35, 52].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
        let (version, flags) = (field(0, 2)?, u8::from_str_radix(field(53, 2)?, 16).ok()?);
        if !dashes || version == "ff" || !(rest.is_empty() || (version != "00" && rest.starts_with('-'))) {
            return None;
        }
        let trace = u128::from_str_radix(field(3, 32)?, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(field(36, 16)?, 16).ok().filter(|id| *id != 0)?;
        Some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1 })
    }

    /// As a `traceparent`.
    #[must_use]
    pub fn header(self) -> String {
        format!("00-{}-{}-0{}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_goes_in_and_comes_out_as_it_was() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = SpanRef::parse(text).expect("the example of the standard");
        assert_eq!((parsed.header().as_str(), parsed.sampled), (text, true));
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings";
        assert!(SpanRef::parse(later).is_some_and(|parsed| !parsed.sampled));
    }

    #[test]
    fn anything_else_is_none() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é6-00f067aa0ba902b7-01",
        ] {
            assert_eq!(SpanRef::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_process_finds_the_same_trace_of_a_job() {
        let (one, other) = (JobId::new(1_763_000_000_123, 7), JobId::new(1_763_000_000_123, 7));
        assert_eq!(SpanRef::of_job(one), SpanRef::of_job(one));
        assert_ne!(SpanRef::of_job(one).trace, SpanRef::of_job(other).trace);
    }
}
