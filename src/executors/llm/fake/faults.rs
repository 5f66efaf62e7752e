//! What can go wrong with an answer, scripted or at random.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An HTTP error with `status`, `code`, `message` and the `Retry-After` fields.
    Status,
    /// Half an answer: a unary one breaks off, a stream ends cleanly without `finish_reason`.
    Truncate,
    /// Half an answer, then silence until the client leaves.
    Stall,
    /// An answer that is not JSON.
    Malformed,
    /// A web page with status 200, as proxies and captive portals send it.
    Html,
    /// A complete answer without text.
    Empty,
    /// An error object under status 200.
    #[serde(rename = "error_body_200")]
    ErrorBody200,
    /// The connection ends before any of the answer.
    Disconnect,
    /// A good answer with `finish_reason` as given, or none at all.
    Finish,
    /// A good answer, late by `delay_ms`.
    Delay,
    /// A good answer whose text is `message`.
    Say,
    /// A call of a tool in place of text; streamed in pieces.
    ToolCalls,
    /// In streams only, as the rest: an error object between two chunks, and then the rest of the answer.
    StreamError,
    /// The head at once, the first chunk after `delay_ms`.
    SlowFirstToken,
    /// A comment before the first chunk and after each.
    KeepAlive,
    /// Half an answer, then comments until the client leaves.
    OnlyKeepAlive,
    /// The same words again and again until the client leaves.
    Endless,
    /// A good answer without `[DONE]`.
    NoDone,
    /// A good answer whose usage comes with a choice, after the chunk with `finish_reason`.
    UsageWithChoices,
}

impl FaultKind {
    /// Whether `delay_ms` is for a place inside the answer.
    pub(super) const fn waits_inside(self) -> bool {
        matches!(self, Self::SlowFirstToken)
    }
}

/// Makes the next matching calls go wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many calls.
    #[serde(default = "once")]
    pub count: u32,
    /// Only calls whose last user message contains this; others pass by.
    #[serde(default, rename = "match")]
    pub matching: Option<String>,
    /// HTTP status of `status`; 500 when absent.
    pub status: Option<u16>,
    /// `Retry-After` of `status`: a number of seconds, or any text such as an HTTP-date.
    pub retry_after: Option<Value>,
    /// `retry-after-ms` of `status`.
    pub retry_after_ms: Option<i64>,
    /// Error code, a text or (as some servers do) a number.
    pub code: Option<Value>,
    /// Error message, or the text of `say`.
    pub message: Option<String>,
    /// The body of `status` instead of OpenAI's error object, sent as `text/html`.
    pub body: Option<String>,
    /// `finish_reason` of `finish`.
    pub finish_reason: Option<String>,
    /// Additional wait before the answer, with any kind but `slow_first_token`.
    #[serde(default)]
    pub delay_ms: u64,
}

const fn once() -> u32 {
    1
}

impl Fault {
    /// A fault of this kind for one call.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            count: 1,
            matching: None,
            status: None,
            retry_after: None,
            retry_after_ms: None,
            code: None,
            message: None,
            body: None,
            finish_reason: None,
            delay_ms: 0,
        }
    }

    /// An HTTP error for one call.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::new(FaultKind::Status) }
    }
}

/// Faults that were asked for, in order.
pub(super) struct FaultScript(VecDeque<Fault>);

impl FaultScript {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults.into())
    }

    /// The fault of a call with this prompt.
    pub(super) fn take(&mut self, prompt: &str) -> Option<Fault> {
        self.0.retain(|fault| fault.count > 0);
        let fits = |fault: &&mut Fault| fault.matching.as_ref().is_none_or(|wanted| prompt.contains(wanted));
        let fault = self.0.iter_mut().find(fits)?;
        fault.count -= 1;
        Some(fault.clone())
    }

    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push_back(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Faults still to come.
    pub(super) fn pending(&self) -> Vec<&Fault> {
        self.0.iter().filter(|fault| fault.count > 0).collect()
    }
}

/// Faults at a rate, the same for the same seed and call number.
#[derive(Clone, Copy)]
pub(super) struct RandomFaults {
    pub(super) rate: f64,
    pub(super) seed: u64,
}

impl RandomFaults {
    /// The fault of the `number`-th call, if it has one.
    pub(super) fn pick(self, number: u64) -> Option<Fault> {
        let hash = splitmix(self.seed ^ splitmix(number));
        // 53 bits fill a float's mantissa exactly.
        let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        if unit >= self.rate {
            return None;
        }
        Some(match splitmix(hash) % 5 {
            0 => Fault { retry_after: Some(1.into()), ..Fault::status(429) },
            1 => Fault::status(503),
            2 => Fault::new(FaultKind::Disconnect),
            3 => Fault::new(FaultKind::Truncate),
            _ => Fault::new(FaultKind::Malformed),
        })
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_in_order_and_counts() {
        let twice = Fault { count: 2, ..Fault::status(503) };
        let aimed = Fault { matching: Some("special".into()), ..Fault::new(FaultKind::Stall) };
        let mut script = FaultScript::new(vec![aimed, twice]);
        let mut kind = |prompt: &str| script.take(prompt).map(|f| f.kind);
        assert_eq!(kind("plain"), Some(FaultKind::Status));
        assert_eq!(kind("a special one"), Some(FaultKind::Stall));
        assert_eq!(kind("a special one"), Some(FaultKind::Status));
        assert_eq!(kind("plain"), None);
        assert!(script.pending().is_empty());
    }

    #[test]
    fn random_faults_keep_their_rate_and_their_seed() {
        let random = RandomFaults { rate: 0.2, seed: 7 };
        let hits: Vec<u64> = (0..1000).filter(|n| random.pick(*n).is_some()).collect();
        assert!((150..250).contains(&hits.len()), "{}", hits.len());
        assert_eq!(hits, (0..1000).filter(|n| random.pick(*n).is_some()).collect::<Vec<_>>());
        assert!((0..1000).all(|n| RandomFaults { rate: 0.0, seed: 7 }.pick(n).is_none()));
    }
}
