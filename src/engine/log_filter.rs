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
    // WARNING is what the lines themselves write. The rest stays as it is: values of fields, such as a job's id, differ by
    // case.
    let directives: String = level
        .split_inclusive(['=', ','])
        .map(|word| match word.trim_end_matches(',') {
            warning if warning.trim().eq_ignore_ascii_case("warning") => word.replace(warning, "warn"),
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
        let of_job = "INFO,[attempt{job_id=01dVmX8Y1uj8y5I0EHlEd0}]=Debug";
        assert!(log_filter(of_job).is_ok_and(|filter| filter.ends_with(of_job)), "an id keeps its case");
        assert!(log_filter("Warning,windlass=WARNING").is_ok_and(|filter| filter.ends_with(",warn,windlass=warn")));
        for bad in ["inof", "", "info,loud", "windlass=verbose"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
