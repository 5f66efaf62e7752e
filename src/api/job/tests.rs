//! Reading requests for jobs: what is refused, under which code, and where.

use super::*;
use crate::api::json;

const NOW: &str = "2026-06-01T00:00:00Z";

fn read_text(text: &str) -> Result<NewJob, Box<Problem>> {
    let body = json::read(text.as_bytes()).map_err(json_problem)?;
    read_job(body, Timestamp::parse(NOW).expect("a time"))
}

/// A minimal body with `more` added.
fn with(more: &str) -> Result<NewJob, Box<Problem>> {
    read_text(&format!(r#"{{"client_request_id":"r1","type":"echo"{more}}}"#))
}

fn refused(result: Result<NewJob, Box<Problem>>) -> (String, Vec<String>) {
    let problem = result.expect_err("refused");
    assert_eq!(problem.status, 400);
    (problem.code, problem.errors.into_iter().map(|e| e.pointer).collect())
}

#[test]
fn a_minimal_body_gets_the_defaults() {
    let job = with("").expect("accepted");
    assert_eq!((job.request_id.as_str(), job.job_type.as_str(), job.queue.as_str()), ("r1", "echo", "default"));
    assert_eq!((job.priority, job.timeout, job.max_attempts, job.run_at), (Priority::Normal, None, None, None));
    assert_eq!((job.input.as_str(), job.metadata.as_str()), ("{}", "{}"));
}

#[test]
fn null_means_the_default_everywhere_but_in_input() {
    let nulls = r#","queue":null,"priority":null,"run_at":null,"expires_at":null,"timeout_ms":null,
        "max_attempts":null,"callback_url":null,"metadata":null,"input":null"#;
    assert_eq!(with(nulls).expect("accepted").input.as_str(), "null");
}

#[test]
fn input_and_metadata_keep_their_exact_text() {
    let job = with(r#","input":{"n":9007199254740993,"f":1.10,"z":"\u0041"},"metadata":{"b":"1","a":"2"}"#);
    let job = job.expect("accepted");
    assert_eq!(job.input.as_str(), r#"{"n":9007199254740993,"f":1.10,"z":"A"}"#);
    assert_eq!(job.metadata.as_str(), r#"{"b":"1","a":"2"}"#);
}

#[test]
fn unknown_fields_are_refused_also_those_a_job_has() {
    for field in ["workspace", "status", "state", "attempt", "id", "created_at", "clientRequestId", "a/b~c"] {
        let (code, pointers) = refused(with(&format!(r#","{field}":1"#)));
        let pointer = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
        assert_eq!((code.as_str(), pointers), ("unknown_field", vec![pointer]));
    }
}

#[test]
fn required_fields_are_missed_by_name() {
    assert_eq!(refused(read_text("{}")), ("missing_field".into(), vec!["/client_request_id".into(), "/type".into()]));
    let null = read_text(r#"{"client_request_id":null,"type":"echo"}"#);
    assert_eq!(refused(null), ("missing_field".into(), vec!["/client_request_id".into()]));
}

#[test]
fn ids_and_names_keep_to_their_rules() {
    for id in ["\"\"", r#""a\u0000""#, r#""a\n""#, "5", "[]", &format!("\"{}\"", "x".repeat(256))] {
        let result = read_text(&format!(r#"{{"client_request_id":{id},"type":"echo"}}"#));
        assert_eq!(refused(result), ("invalid_field".into(), vec!["/client_request_id".into()]), "{id}");
    }
    for name in ["\"*\"", "\"{}\"", "\"a\\r\\n\"", "\"../\"", "\"A\"", "7", &format!("\"{}\"", "x".repeat(10_000))] {
        let result = with(&format!(r#","queue":{name}"#));
        assert_eq!(refused(result), ("invalid_field".into(), vec!["/queue".into()]), "{name}");
    }
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for value in ["-1", "0", "2147483648", "9223372036854775808", "1.5", "5.0", "1e2", "\"5\"", "true", "[5]"] {
        for field in ["timeout_ms", "max_attempts"] {
            let (code, pointers) = refused(with(&format!(r#","{field}":{value}"#)));
            assert_eq!((code.as_str(), pointers), ("invalid_field", vec![format!("/{field}")]), "{value}");
        }
    }
    assert_eq!(refused(with(r#","timeout_ms":18446744073709551616"#)).0, "number_out_of_range");
    assert_eq!(refused(with(r#","input":{"x":1e999}"#)), ("number_out_of_range".into(), vec!["/input/x".into()]));
}

#[test]
fn times_are_bounded() {
    let cases = [
        (r#","run_at":"9999-12-31T23:59:59Z""#, "/run_at"),
        (r#","run_at":"2027-06-02T00:00:00Z""#, "/run_at"),
        (r#","run_at":"2026-06-02T00:00:00""#, "/run_at"),
        (r#","run_at":-1"#, "/run_at"),
        (r#","run_at":"1969-01-01T00:00:00Z""#, "/run_at"),
        (r#","expires_at":"2026-07-02T00:00:00Z""#, "/expires_at"),
        (r#","expires_at":"2026-05-30T00:00:00Z""#, "/expires_at"),
        (r#","run_at":"2026-06-03T00:00:00Z","expires_at":"2026-06-02T00:00:00Z""#, "/expires_at"),
    ];
    for (more, pointer) in cases {
        assert_eq!(refused(with(more)), ("invalid_field".into(), vec![pointer.into()]), "{more}");
    }
    for more in [
        r#","run_at":"2020-01-01T00:00:00+02:00""#,
        r#","run_at":"2027-05-01T00:00:00Z","expires_at":"2027-05-30T00:00:00Z""#,
        r#","expires_at":"2026-05-31T12:00:00Z""#,
    ] {
        assert!(with(more).is_ok(), "{more}");
    }
}

#[test]
fn metadata_is_a_small_object_of_strings() {
    let many: Vec<String> = (0..17).map(|i| format!(r#""k{i}":"v""#)).collect();
    let large = format!(r#"{{"k":"{}"}}"#, "x".repeat(4096));
    for bad in ["[]", "\"x\"", r#"{"a":1}"#, r#"{"a":null}"#, &format!("{{{}}}", many.join(",")), &large] {
        let result = with(&format!(r#","metadata":{bad}"#));
        assert_eq!(refused(result), ("invalid_field".into(), vec!["/metadata".into()]), "{bad}");
    }
}

#[test]
fn a_callback_is_refused_rather_than_ignored() {
    let result = with(r#","callback_url":"https://example.com/""#);
    assert_eq!(refused(result), ("not_supported".into(), vec!["/callback_url".into()]));
}

#[test]
fn all_errors_are_reported_at_once() {
    let (code, pointers) = refused(with(r#","x":1,"timeout_ms":1,"priority":"urgent""#));
    assert_eq!(code, "unknown_field");
    assert_eq!(pointers, ["/x", "/priority", "/timeout_ms"]);
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["[]", "null", "\"x\"", "1"] {
        assert_eq!(refused(read_text(text)), ("invalid_field".into(), vec![String::new()]), "{text}");
    }
}

#[test]
fn the_fingerprint_covers_the_body_as_sent_without_the_id() {
    let print = |text: &str| read_text(text).expect("accepted").fingerprint;
    let a = print(r#"{"client_request_id":"r1","type":"echo","input":{"a":1,"b":2}}"#);
    let b = print(r#" {"input": {"b":2, "a":1}, "type":"ech\u006f", "client_request_id":"r2"} "#);
    assert_eq!(a, b);
    assert_eq!(a.len(), 11);
    assert_ne!(a, print(r#"{"client_request_id":"r1","type":"echo","input":{"a":1,"b":3}}"#));
    assert_ne!(a, print(r#"{"client_request_id":"r1","type":"echo","input":{"a":1,"b":2},"queue":"default"}"#));
}
