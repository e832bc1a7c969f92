//! Pieces of JSON, and what only looks like it.

use super::*;
use proptest::prelude::*;

fn value(text: &str) -> Option<&str> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value().ok()?;
    scanner.end().ok().map(|()| value)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

#[test]
fn values_of_every_kind_are_handed_out_as_they_are_written() {
    for text in [
        "0",
        "-1.50e-7",
        "1E5",
        "true",
        "false",
        "null",
        r#""""#,
        r#""é\"\\ \u00e9 long enough""#,
        "[]",
        "{}",
        r#"{"a" : [1, {"b": "c"}],"d":[[]]}"#,
    ] {
        assert_eq!(value(&format!(" \t{text}\r\n")), Some(text));
    }
}

#[test]
fn what_is_not_json_is_not_read() {
    for text in [
        "",
        " ",
        "-",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "nul",
        "True",
        "\"",
        "\"\\",
        r#""\x""#,
        r#""\u12g4""#,
        r#""\u12"#,
        "\"\n\"",
        "\"\u{1f}\"",
        "[1,]",
        "[,1]",
        "[1",
        "{",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "{1:2}",
        "1 2",
        "'a'",
        "\u{a0}1",
    ] {
        assert!(value(text).is_none() && !is_json(text), "{text:?}");
    }
}

#[test]
fn names_with_escapes_and_deep_values_are_left_to_others() {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(value(&deep(DEPTH_MAX)).is_some());
    for text in [deep(DEPTH_MAX + 1).as_str(), r#"{"\u0041":1}"#] {
        assert!(value(text).is_none() && is_json(text), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_json(text in r#"[\[\]{}:,"\\\\ \n0-9.eE+tfrualsnx\-/é]{0,24}"#) {
        if let Some(value) = value(&text) {
            let raw: &serde_json::value::RawValue = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(raw.get(), value);
        }
    }
}
