//! What the strict reader accepts, refuses and gives back.

use proptest::prelude::*;

use super::{DEPTH, Json, JsonErrorKind, items, lines, read};

fn refusal(text: &str) -> (JsonErrorKind, String) {
    let error = read(text.as_bytes()).expect_err(text);
    (error.kind, error.pointer)
}

#[test]
fn numbers_come_back_as_they_were_sent() {
    for number in ["0", "-0", "9007199254740993", "18446744073709551615", "-9223372036854775808", "1.10", "1e5", "5E-7"]
    {
        assert_eq!(read(number.as_bytes()).map(|j| j.compact()).as_deref(), Ok(number));
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for number in ["18446744073709551616", "-9223372036854775809", "1e999", "-1e999", "1000000000000000000000000"] {
        let text = format!("{{\"a\":[1,{number}]}}");
        assert_eq!(refusal(&text), (JsonErrorKind::NumberOutOfRange, "/a/1".into()), "{number}");
    }
}

#[test]
fn duplicate_keys_are_refused_at_any_depth_with_their_pointer() {
    assert_eq!(refusal(r#"{"a":1,"a":1}"#), (JsonErrorKind::DuplicateKey, "/a".into()));
    assert_eq!(refusal(r#"{"x":[{"a/b":{"k":1,"\u006b":2}}]}"#), (JsonErrorKind::DuplicateKey, "/x/0/a~1b/k".into()));
}

#[test]
fn depth_is_bounded_at_once() {
    let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(nest(DEPTH).as_bytes()).is_ok());
    assert_eq!(refusal(&nest(DEPTH + 1)).0, JsonErrorKind::TooDeep);
    assert_eq!(refusal(&"[".repeat(100_000)).0, JsonErrorKind::TooDeep);
}

#[test]
fn what_is_not_json_is_refused() {
    let cases = [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "Infinity",
        "1 2",
        "\"",
        "\"\t\"",
        "\"\u{0}\"",
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00""#,
        r#""\u12""#,
        r#""\x""#,
        "{\"a\" 1}",
        "{1:2}",
        "\u{feff}{}",
        "// c\n{}",
        "[1 2]",
    ];
    for text in cases {
        assert!(matches!(refusal(text).0, JsonErrorKind::Syntax { .. }), "{text}");
    }
    for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\""] {
        assert!(matches!(read(bytes).expect_err("not UTF-8").kind, JsonErrorKind::Syntax { .. }));
    }
}

#[test]
fn an_item_spoils_only_itself() {
    let parsed = items(br#"[{"a":1},{"a":1,"a":2},3]"#).expect("JSON").expect("an array");
    assert!(parsed[0].is_ok() && parsed[2].is_ok());
    assert_eq!(parsed[1].as_ref().expect_err("duplicate").pointer, "/a");
    assert_eq!(items(b"{}"), Ok(None));
    assert_eq!(items(b"[]"), Ok(Some(vec![])));
    assert!(items(b"[1").is_err());
    let parsed: Vec<_> = lines(b"{}\n\n nonsense \r\n[]").map(|r| r.is_ok()).collect();
    assert_eq!(parsed, [true, false, true]);
}

#[test]
fn canonical_text_ignores_order_space_and_escapes() {
    let a = read(br#"{"b":[1,{"y":"A","x":null}],"a":2}"#).expect("JSON");
    let b = read(br#" { "a" : 2, "b" : [ 1, { "x":null, "y":"\u0041" } ] , "id": 7 } "#).expect("JSON");
    assert_eq!(a.canonical(&[]), b.canonical(&["id"]));
    assert_ne!(a.canonical(&[]), b.canonical(&[]));
}

#[test]
fn pairs_of_surrogates_are_one_character() {
    assert_eq!(read(br#""\ud83d\ude00""#), Ok(Json::String("\u{1f600}".into())));
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_document_round_trips(value in documents()) {
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let json = read(text.as_bytes()).expect("accepted");
        prop_assert_eq!(json.to_value(), value);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json.compact()).expect("JSON"), json.to_value());
        prop_assert!(!json.compact().contains('\n'));
    }

    #[test]
    fn nothing_is_accepted_that_another_parser_refuses(text in r#"[\[\]{}:,"\\0-9eE.+\-truefalsn u\n]{0,40}"#) {
        if read(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }
}
