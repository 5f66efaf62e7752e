//! The stream of log lines that say who did what.

/// The target of audit lines. They are written whatever the level is, and carry `"stream":"audit"`.
///
/// One is due wherever someone uses a right over others' work: keys, credentials, limits, rules, pauses, drains,
/// cancels, redrives, decisions about held jobs, and every access that was denied. Its message is a verb; `by` says who.
pub const AUDIT: &str = "windlass::audit";
