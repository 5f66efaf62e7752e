//! The value of `LOG_LEVEL` as directives for the log filter.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Libraries that are louder than their news is worth: fred logs every reconnect attempt, and
/// async-openai logs request bodies, which are customers' data. They come first, so that an
/// explicit directive for one of them wins.
const QUIET: &str = "async_openai=off,fred=warn,hyper=warn,reqwest=warn,rustls=warn";

/// The directives of a level: a word such as `info`, or the syntax of `EnvFilter`.
///
/// # Errors
/// What is wrong with it. A word without `=` has to be a level: a typing mistake would otherwise be
/// taken for the name of a module, and nothing would be logged.
pub fn log_filter(level: &str) -> Result<String, String> {
    let lower = level.to_ascii_lowercase();
    // As the lines themselves write it.
    let directives: String = lower
        .split_inclusive(['=', ','])
        .map(|word| match word.trim_end_matches(',').trim() {
            "warning" => word.replace("warning", "warn"),
            _ => word.to_owned(),
        })
        .collect();
    for part in directives.split(',').map(str::trim).filter(|p| !p.contains(['=', '['])) {
        let known = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !known {
            return Err(format!("`{part}` is none of error, warn, info, debug, trace, off"));
        }
    }
    let all = format!("{QUIET},{directives}");
    EnvFilter::try_new(&all).map(|_| all).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_not_taken_for_a_module() {
        for good in ["info", "INFO", "warning", "warn,windlass::store=debug", "warning,windlass::http=WARNING", "off"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for bad in ["inof", "", "info,loud", "windlass=verbose"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
