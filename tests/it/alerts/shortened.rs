//! Rules in which time passes faster are the same rules.

use super::deployed;
use crate::support::monitoring::FACTOR;
use crate::support::shortened::{durations, shortened};

#[test]
fn names_numbers_and_prose_are_no_durations() {
    let kept =
        "rate5m p95_rate5m > 1000 \"5 minutes\" 0.001 path=\"/ai/jobs\" 16777216 windlass:x:rate1h v2 127.0.0.1:9d";
    assert_eq!(shortened(kept, 20), kept);
    assert_eq!(
        shortened("rate(x[5m] offset 10m) > 0\nfor: 1h # 15s, 2d", 20),
        "rate(x[15000ms] offset 30000ms) > 0\nfor: 180000ms # 750ms, 8640000ms"
    );
}

#[test]
fn every_duration_of_the_committed_files_is_divided_by_the_same_number_and_nothing_else_changes() {
    let files =
        ["prometheus/alerts.yml", "prometheus/recording.yml", "prometheus/slo.yml", "alertmanager/alertmanager.yml"];
    for file in files {
        let text = deployed(file);
        let ((before, rest), (after, rest_after)) = (durations(&text), durations(&shortened(&text, FACTOR)));
        assert!(before.len() >= 5, "{file}: {before:?}");
        assert_eq!(rest, rest_after, "{file}");
        assert_eq!(before, after.iter().map(|ms| ms * FACTOR).collect::<Vec<_>>(), "{file}");
    }
}
