//! The alerts of `deploy` reach someone: a real Prometheus scrapes a real stack, and a real Alertmanager tells a Slack.

mod dashboards;
mod latency;
mod live;
mod shortened;

/// A file of `deploy`.
pub(crate) fn deployed(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
