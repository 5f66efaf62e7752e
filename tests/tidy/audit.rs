//! Lines of the audit log say who did it.

use crate::assert_none;
use crate::tree::rust;

/// How an event for the audit log begins.
const BEGINNING: &str = "target: AUDIT,";

#[test]
fn every_line_of_the_audit_log_names_who() {
    let (mut found, mut offenders) = (0, Vec::new());
    for file in rust("src") {
        for (at, _) in file.text.match_indices(BEGINNING) {
            let event = &file.text[at..];
            let event = &event[..event.find(");").unwrap_or(event.len())];
            let names_who = |field: &str| field == "by" || field.starts_with("by ");
            if !event.split(',').any(|field| names_who(field.trim())) {
                let line = file.text[..at].lines().count();
                offenders.push(format!("{}:{line}", file.path));
            }
            found += 1;
        }
    }
    assert!(found > 10, "the events are looked for as {BEGINNING:?}, of which there are {found}");
    assert_none("an event of the audit log needs the field `by`, who did it:", &offenders);
}
