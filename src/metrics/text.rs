//! The Prometheus text format for families that do not come from the recorder.

use std::fmt::Write;

use super::{Kind, Metric};

/// One series of a family: its label pairs and its value.
pub type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

/// Appends a counter or gauge family in the Prometheus text format 0.0.4 to `out`, `# HELP` and
/// `# TYPE` included even without samples. Label values may be any text.
pub fn render_family(out: &mut String, metric: &Metric, samples: &[Sample<'_>]) {
    debug_assert_ne!(metric.kind, Kind::Histogram, "histograms come from the recorder");
    out.push_str("# HELP ");
    out.push_str(metric.name);
    out.push(' ');
    push_escaped(out, metric.help, false);
    out.push_str("\n# TYPE ");
    out.push_str(metric.name);
    out.push(' ');
    out.push_str(metric.kind.as_str());
    out.push('\n');
    for (labels, value) in samples {
        out.push_str(metric.name);
        for (index, (key, text)) in labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(key);
            out.push_str("=\"");
            push_escaped(out, text, true);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        out.push(' ');
        push_value(out, *value);
        out.push('\n');
    }
}

/// Backslash and newline are escaped everywhere, the double quote in label values only.
fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

fn push_value(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JOBS, QUEUE_DEPTH, QUEUE_DEQUEUED, QUEUE_ENQUEUED, REDIS_UP};
    use super::*;

    #[test]
    fn a_family_has_help_type_and_one_line_per_sample() {
        let mut out = String::new();
        let samples = [(vec![("queue", "a"), ("state", "held")], 3.0), (vec![("queue", "b"), ("state", "dead")], 0.5)];
        render_family(&mut out, &JOBS, &samples);
        assert_eq!(
            out,
            "# HELP windlass_jobs Jobs by state; state=\"parked\" counts those in line behind a block, \
             \"paused\" those of them behind a pause.\n\
             # TYPE windlass_jobs gauge\n\
             windlass_jobs{queue=\"a\",state=\"held\"} 3\n\
             windlass_jobs{queue=\"b\",state=\"dead\"} 0.5\n"
        );
    }

    #[test]
    fn a_family_without_labels_has_no_braces_and_an_empty_one_keeps_its_head() {
        let mut out = String::new();
        render_family(&mut out, &REDIS_UP, &[(vec![], 1.0)]);
        assert!(out.ends_with("\nwindlass_redis_up 1\n"), "{out}");
        out.clear();
        render_family(&mut out, &QUEUE_ENQUEUED, &[]);
        assert_eq!(out.lines().count(), 2);
        assert!(out.ends_with("# TYPE ai_queue_enqueue_total counter\n"), "{out}");
    }

    #[test]
    fn label_values_cannot_break_out_of_their_quotes() {
        let mut out = String::new();
        render_family(&mut out, &QUEUE_DEPTH, &[(vec![("queue", "a\"} 9\n# x\\")], 1.0)]);
        assert!(out.ends_with("ai_queue_depth_total{queue=\"a\\\"} 9\\n# x\\\\\"} 1\n"), "{out}");
        assert_eq!(out.lines().count(), 3);
    }

    #[test]
    fn help_escapes_backslash_and_newline_but_not_quotes() {
        let mut out = String::new();
        let metric = Metric { help: "a \"b\" \\ c\nd", ..QUEUE_DEPTH };
        render_family(&mut out, &metric, &[]);
        assert!(out.starts_with("# HELP ai_queue_depth_total a \"b\" \\\\ c\\nd\n"), "{out}");
    }

    #[test]
    fn values_are_written_in_full_and_special_ones_in_the_formats_words() {
        for (value, text) in [
            (0.0, "0"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            push_value(&mut out, value);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn a_counter_that_went_backwards_is_shown_as_it_is() {
        let mut out = String::new();
        for value in [100.0, 3.0] {
            out.clear();
            render_family(&mut out, &QUEUE_DEQUEUED, &[(vec![("queue", "default")], value)]);
        }
        assert!(out.ends_with(" 3\n"), "{out}");
    }
}
