//! What documents mean, and which are refused.

use super::*;
use crate::domain::JobState;

fn read(text: &str) -> Result<Wanted, Box<Problem>> {
    Wanted::read(crate::api::json::read(text.as_bytes()).expect("JSON"))
}

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn plan(text: &str) -> OperationPlan {
    read(text).expect(text).plan(NOW, None).expect(text)
}

#[test]
fn a_document_that_says_little_changes_nothing_and_goes_slowly() {
    let wanted = read(r#"{"action":"redrive"}"#).expect("accepted");
    assert!(wanted.dry_run);
    assert_eq!((wanted.rate, wanted.note.as_str()), (DEFAULT_RATE, ""));
    assert_eq!(plan(r#"{"action":"redrive"}"#).filter.states, [JobState::Dead]);
    assert_eq!(plan(r#"{"action":"move","target":"q"}"#).filter.states, [JobState::Pending, JobState::Scheduled]);
}

#[test]
fn every_word_of_a_filter_is_read() {
    let plan = plan(
        r#"{"action":"cancel","filter":{"state":["held","pending","held"],"type":"llm.chat","queue":"q","workspace":"acme",
        "fingerprint":"0123456789ab","reason":"timeout","held_reason":"approval","older_than":"90m","newer_than":"2d",
        "metadata":{"tenant":"x/y","run":"7"}}}"#,
    );
    let filter = plan.filter;
    assert_eq!(filter.states, [JobState::Pending, JobState::Held]);
    assert_eq!(filter.before, Some(Timestamp::from_unix_ms(1_800_000_000_000 - 5_400_000)));
    assert_eq!(filter.after, Some(Timestamp::from_unix_ms(1_800_000_000_000 - 2 * 86_400_000)));
    assert_eq!(filter.metadata["tenant"], "x/y");
    let view = FilterView::from(&filter);
    let again = format!(r#"{{"action":"cancel","filter":{}}}"#, serde_json::to_string(&view).expect("JSON"));
    assert_eq!(self::plan(&again).filter, filter, "what is shown is a filter again");
    let one = self::plan(r#"{"action":"redrive","filter":{"state":"expired","before":"2026-01-31T10:00:00+01:00"}}"#);
    assert_eq!(one.filter.states, [JobState::Expired]);
    assert_eq!(one.filter.before.map(|t| t.to_string()).as_deref(), Some("2026-01-31T09:00:00.000Z"));
}

#[test]
fn a_held_reason_means_held_jobs() {
    assert_eq!(plan(r#"{"action":"cancel","filter":{"held_reason":"operator"}}"#).filter.states, [JobState::Held]);
}

#[test]
fn everything_has_to_be_asked_for() {
    assert!(read(r#"{"action":"cancel","dry_run":false,"all":true}"#).is_ok());
    assert!(read(r#"{"action":"cancel","dry_run":false,"filter":{"queue":"q"}}"#).is_ok());
    assert!(read(r#"{"action":"cancel","dry_run":true,"filter":{}}"#).is_ok());
    for empty in
        ["", r#","filter":{}"#, r#","filter":null"#, r#","filter":{"queue":null,"metadata":{}}"#, r#","all":false"#]
    {
        let text = format!(r#"{{"action":"cancel","dry_run":false{empty}}}"#);
        let problem = read(&text).expect_err(&text);
        assert_eq!((problem.code.as_str(), problem.errors[0].pointer.as_str()), ("missing_field", "/filter"), "{text}");
    }
}

#[test]
fn a_bad_document_is_refused_by_field() {
    for (text, pointer) in [
        ("{}", "/action"),
        (r#"{"action":"delete"}"#, "/action"),
        (r#"{"action":"cancel","filter":[]}"#, "/filter"),
        (r#"{"action":"cancel","filter":{"status":"dead"}}"#, "/filter/status"),
        (r#"{"action":"cancel","filter":{"state":"gone"}}"#, "/filter/state"),
        (r#"{"action":"cancel","filter":{"state":[]}}"#, "/filter/state"),
        (r#"{"action":"cancel","filter":{"state":["held",7]}}"#, "/filter/state/1"),
        (r#"{"action":"cancel","filter":{"state":["held","dead"]}}"#, "/filter/state/1"),
        (r#"{"action":"redrive","filter":{"state":"pending"}}"#, "/filter/state"),
        (r#"{"action":"cancel","filter":{"type":"A"}}"#, "/filter/type"),
        (r#"{"action":"cancel","filter":{"queue":"a b"}}"#, "/filter/queue"),
        (r#"{"action":"cancel","filter":{"workspace":"*"}}"#, "/filter/workspace"),
        (r#"{"action":"cancel","filter":{"fingerprint":"XYZ"}}"#, "/filter/fingerprint"),
        (r#"{"action":"cancel","filter":{"reason":"bad luck"}}"#, "/filter/reason"),
        (r#"{"action":"cancel","filter":{"held_reason":"whim"}}"#, "/filter/held_reason"),
        (r#"{"action":"redrive","filter":{"held_reason":"approval"}}"#, "/filter/held_reason"),
        (r#"{"action":"cancel","filter":{"state":"pending","held_reason":"approval"}}"#, "/filter/held_reason"),
        (r#"{"action":"cancel","filter":{"older_than":"90"}}"#, "/filter/older_than"),
        (r#"{"action":"cancel","filter":{"newer_than":90}}"#, "/filter/newer_than"),
        (r#"{"action":"cancel","filter":{"before":"yesterday"}}"#, "/filter/before"),
        (r#"{"action":"cancel","filter":{"older_than":"1d","before":"2026-01-31T09:00:00Z"}}"#, "/filter/older_than"),
        (r#"{"action":"cancel","filter":{"metadata":{"a":1}}}"#, "/filter/metadata/a"),
        (r#"{"action":"cancel","filter":{"metadata":"a=b"}}"#, "/filter/metadata"),
        (r#"{"action":"move","filter":{"queue":"q"}}"#, "/target"),
        (r#"{"action":"move","filter":{"queue":"q"},"target":"q"}"#, "/target"),
        (r#"{"action":"move","target":"Q"}"#, "/target"),
        (r#"{"action":"cancel","target":"q"}"#, "/target"),
        (r#"{"action":"cancel","rate":0}"#, "/rate"),
        (r#"{"action":"cancel","rate":100001}"#, "/rate"),
        (r#"{"action":"cancel","rate":"50/s"}"#, "/rate"),
        (r#"{"action":"cancel","dry_run":"no"}"#, "/dry_run"),
        (r#"{"action":"cancel","all":true,"filter":{"queue":"q"}}"#, "/all"),
        (r#"{"action":"cancel","expected":-1}"#, "/expected"),
        (r#"{"action":"cancel","operation_id":"mine"}"#, "/operation_id"),
        (r#"{"action":"cancel","force":true}"#, "/force"),
    ] {
        let problem = read(text).expect_err(text);
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (400, pointer), "{text}");
    }
    let many: Vec<String> = (0..17).map(|i| format!(r#""k{i}":"v""#)).collect();
    let many = format!(r#"{{"action":"cancel","filter":{{"metadata":{{{}}}}}}}"#, many.join(","));
    assert_eq!(read(&many).expect_err("too many").errors[0].pointer, "/filter/metadata");
}

#[test]
fn a_refused_state_is_told_which_fit() {
    let problem = read(r#"{"action":"redrive","filter":{"state":"pending"}}"#).expect_err("refused");
    assert!(problem.detail.contains("dead, cancelled or expired"), "{}", problem.detail);
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    for (times, pointer) in [
        (r#""older_than":"2h","newer_than":"1h""#, "/filter/older_than"),
        (r#""older_than":"1h","newer_than":"1h""#, "/filter/older_than"),
        (r#""before":"2026-01-31T09:00:00Z","after":"2026-02-01T09:00:00Z""#, "/filter/before"),
        (r#""before":"2026-01-31T09:00:00Z","newer_than":"1h""#, "/filter/before"),
        (r#""older_than":"1h","after":"2027-01-15T08:00:00Z""#, "/filter/older_than"),
    ] {
        let wanted = read(&format!(r#"{{"action":"cancel","filter":{{{times}}}}}"#)).expect("each is fine");
        let problem = wanted.plan(NOW, None).expect_err(times);
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (400, pointer), "{times}");
    }
}

#[test]
fn a_repeat_is_known_by_what_it_does() {
    let text = r#"{"action":"cancel","filter":{"queue":"q","older_than":"1h"},"rate":7}"#;
    let plan = OperationPlan { rate: 9, ..plan(text) };
    assert!(read(text).expect("accepted").is(&plan, None));
    let own = Workspace::new("acme").expect("a name");
    assert!(!read(text).expect("accepted").is(&plan, Some(&own)));
    for other in [
        r#"{"action":"cancel","filter":{"queue":"r","older_than":"1h"}}"#,
        r#"{"action":"hold","filter":{"queue":"q","older_than":"1h"}}"#,
    ] {
        assert!(!read(other).expect("accepted").is(&plan, None), "{other}");
    }
}
