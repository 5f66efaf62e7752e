//! The line that every request leaves, and the one for who was turned away.

use std::time::Duration;

use http::Method;

use crate::clock;
use crate::domain::{AUDIT, JobId, SpanRef, clip_text};
use crate::engine::{Span, SpanKind, Tracer};

use super::auth::Caller;
use super::note::Note;

/// A request and its answer.
pub(super) struct Answered<'a> {
    pub(super) method: &'a Method,
    /// The route's template.
    pub(super) endpoint: &'a str,
    pub(super) status: u16,
    pub(super) took: Duration,
    /// The job that it is about.
    pub(super) job: Option<JobId>,
}

/// The job in a path such as `/ai/jobs/{id}/why`.
pub(super) fn job_in(path: &str) -> Option<JobId> {
    path.strip_prefix("/ai/jobs/")?.split('/').next()?.parse().ok()
}

macro_rules! line {
    ($level:ident, $answered:ident, $roles:ident, $tenant:ident, $job:ident) => {
        tracing::$level!(
            target: "windlass::access",
            method = %$answered.method,
            endpoint = $answered.endpoint,
            status = $answered.status,
            duration_ms = ($answered.took.as_secs_f64() * 1e6).round() / 1e3,
            user_roles = $roles.as_deref(),
            tenant_id = $tenant,
            job_id = $job.as_deref(),
            "request"
        )
    };
}

/// Writes the line: an ERROR for a bug of ours, a WARNING for what we could not do.
pub(super) fn tell(note: &Note, answered: &Answered<'_>) {
    let caller = note.caller();
    let roles = caller.map(|caller| caller.info.scopes.join(","));
    let tenant = caller.and_then(Caller::tenant).map(crate::domain::Workspace::as_str);
    let job = answered.job.map(|job| job.to_string());
    match answered.status {
        500 => line!(error, answered, roles, tenant, job),
        501.. => line!(warn, answered, roles, tenant, job),
        _ => line!(info, answered, roles, tenant, job),
    }
    if matches!(answered.status, 401 | 403) {
        tracing::info!(
            target: AUDIT,
            by = caller.map(Caller::name), method = %answered.method, endpoint = answered.endpoint,
            status = answered.status, tenant_id = tenant, job_id = job.as_deref(),
            "denied"
        );
    }
}

/// Records the request's span, in the trace of its client if it named one.
pub(super) fn trace(tracer: &Tracer, note: &Note, answered: &Answered<'_>) {
    let (own, client) = (note.own(), note.client());
    if !tracer.takes_request(own, client) {
        return;
    }
    let ended = clock::unix_nanos();
    let took = u64::try_from(answered.took.as_nanos()).unwrap_or_default();
    let mut facts = vec![
        ("http.request.method", answered.method.as_str().into()),
        ("http.route", answered.endpoint.into()),
        ("http.response.status_code", u64::from(answered.status).into()),
    ];
    facts.extend(answered.job.map(|job| ("messaging.message.id", job.to_string().into())));
    tracer.record(Span {
        name: format!("{} {}", clip_text(answered.method.as_str(), 20), answered.endpoint),
        kind: SpanKind::Server,
        own: SpanRef { sampled: true, ..own },
        parent: client.map(|client| client.span),
        began: ended.saturating_sub(took),
        ended,
        facts,
        link: answered.job.map(SpanRef::of_job),
        error: (answered.status >= 500).then(|| answered.status.to_string()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_of_a_path_is_found() {
        let id = JobId::new(1_763_000_000_123, 0);
        assert_eq!(job_in(&format!("/ai/jobs/{id}")), Some(id));
        assert_eq!(job_in(&format!("/ai/jobs/{id}/why")), Some(id));
        for other in ["/ai/jobs", "/ai/jobs/", "/ai/jobs/batch", "/queues/default"] {
            assert_eq!(job_in(other), None, "{other}");
        }
    }
}
