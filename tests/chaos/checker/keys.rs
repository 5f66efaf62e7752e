//! Which keys Redis may hold, from the table in ARCHITECTURE.md.

/// What a key is for.
pub(super) enum Family<'a> {
    Jobs,
    Attempts,
    Progress,
    /// What is on record of the effects of a live or dead job.
    Effects,
    Done,
    /// Workspace and client_request_id.
    Idempotency(&'a str, &'a str),
    /// What of which queue.
    Queue(&'a str, &'a str),
    /// Lives for a time only.
    Expires,
    Known,
    Unknown,
}

/// Parts of a queue that exist once a queue.
const PARTS: &[&str] = &[
    "pending",
    "fair",
    "parked",
    "running",
    "scheduled",
    "expiring",
    "held",
    "dead",
    "blocked",
    "wake",
    "workers",
    "stats",
    "pace",
];
/// Parts that exist once a band, workspace or blocker; the number of names in between.
const MANY: &[(&str, usize)] = &[("order", 1), ("finish", 1), ("slots", 1), ("parked", 2)];

pub(super) fn family(key: &str) -> Family<'_> {
    let base_end = if key.starts_with('{') { key.find('}').map(|at| at + 1) } else { key.find(':') };
    let Some(rest) = base_end.and_then(|at| key.get(at + 1..)) else { return Family::Unknown };
    let (head, tail) = rest.split_once(':').unwrap_or((rest, ""));
    match (head, tail) {
        ("jobs", "") => Family::Jobs,
        ("attempts", "") => Family::Attempts,
        ("progress", "") => Family::Progress,
        ("done", _) => Family::Done,
        ("idempotency", _) => tail.split_once(':').map_or(Family::Unknown, |(ws, id)| Family::Idempotency(ws, id)),
        ("queue", _) => queue(tail),
        ("effects", "") => Family::Effects,
        ("index", _) | ("worker", _) | ("effects", _) => Family::Expires,
        ("job", _) if tail.ends_with(":stream") => Family::Expires,
        ("llm", _) => llm(tail),
        ("action", _) if tail.starts_with("cap:") => Family::Expires,
        ("dead", "groups") => Family::Known,
        (
            "indexes" | "sifting" | "workers" | "queues" | "limits" | "keys" | "events" | "streamed" | "layout"
            | "epoch" | "policy",
            "",
        ) => Family::Known,
        _ => Family::Unknown,
    }
}

/// Limits, breakers and the bill of calls to models.
fn llm(tail: &str) -> Family<'_> {
    match tail.split(':').next().unwrap_or_default() {
        "rate" | "money" | "usage" | "breaker" | "probe" | "health" => Family::Expires,
        // What a dead worker held is in them until its hold ends.
        "calls" | "reserved" | "holds" | "limits" => Family::Known,
        _ => Family::Unknown,
    }
}

fn queue(tail: &str) -> Family<'_> {
    let (head, rest) = tail.split_once(':').unwrap_or((tail, ""));
    // `parked:<band>:<blocker>`, and a blocker may be two names: `c:<workspace>`.
    if let Some((_, names)) = MANY.iter().find(|(name, _)| *name == head)
        && !rest.is_empty()
        && (head != "parked" || rest.contains(':'))
    {
        let wanted = match rest.split(':').nth(1) {
            Some("s") if head == "parked" => 2,
            _ if head == "parked" => names + 1,
            _ => *names,
        };
        let end = rest.match_indices(':').nth(wanted - 1).map_or(rest.len(), |(at, _)| at);
        let queue = rest.get(end + 1..).filter(|name| !name.is_empty()).unwrap_or("default");
        return Family::Queue(&tail[..head.len() + 1 + end], queue);
    }
    if PARTS.contains(&head) {
        return Family::Queue(head, if rest.is_empty() { "default" } else { rest });
    }
    Family::Unknown
}
