//! Every query of every dashboard, asked of a live Prometheus.

use serde_json::Value;

use super::deployed;
use crate::support::monitoring::Monitoring;

const DASHBOARDS: [&str; 4] = ["fleet", "queue", "llm", "slo"];

/// Asks all of them. None may fail, and one whose series are all there has an answer. Returns how many were asked, and
/// how many of these had one.
pub(super) async fn ask_all(monitoring: &Monitoring) -> (usize, usize) {
    let (mut asked, mut answered) = (0, 0);
    for name in DASHBOARDS {
        let dashboard: Value = serde_json::from_str(&deployed(&format!("grafana/dashboards/{name}.json"))).unwrap();
        for query in queries(&dashboard) {
            let found = monitoring.query(&query).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            asked += 1;
            answered += usize::from(!found.is_empty());
            if found.is_empty() {
                assert!(
                    lacks_series(monitoring, &query).await,
                    "{name}: no answer, though its series are there: {query}"
                );
            }
        }
    }
    (asked, answered)
}

/// The queries as Grafana would send them.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| {
            let text = target["expr"].as_str().unwrap();
            text.replace("$__rate_interval", "3s").replace("$queue", ".*")
        })
        .collect()
}

/// Whether some series that a query names is not there: this stack has no model that answers, and no request that fails.
async fn lacks_series(monitoring: &Monitoring, query: &str) -> bool {
    let names = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours =
        names.filter(|name| ["ai_queue_", "windlass", "http_request"].iter().any(|start| name.starts_with(start)));
    for name in ours {
        if monitoring.query(name).await.unwrap().is_empty() {
            return true;
        }
    }
    // A status or a code that has not occurred.
    query.contains("status=~") || query.contains("code=")
}
