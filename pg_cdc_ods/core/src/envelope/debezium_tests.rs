//! A usual body is read as `serde_json` reads it, or left to it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Reads bodies one after another as a batch does, and compares; returns how many were usual.
fn compare(bodies: &[String]) -> usize {
    let mut known = Known::default();
    let usual = bodies.iter().filter(|body| {
        let mut usual = Body::empty();
        let is_usual = usual.read_usual(body, &mut known).is_ok();
        assert!(!is_usual || usual == serde_json::from_str(body).unwrap(), "{body}");
        is_usual
    });
    usual.count()
}

fn envelope(columns: &str, transaction: &str) -> String {
    format!(
        r#"{{"payload":{{"before":null,"after":{columns},"source":{{"version":"3.0","name":"a","ts_ms":4,"snapshot":"false",
            "schema":"S","table":"T","scn":"77","commit_scn":80,"sequence":"[\"1\",\"2\"]","lsn":null}},
            "op":"u","ts_ms":5,"transaction":{transaction}}}}}"#
    )
}

#[test]
fn usual_bodies_are_known() {
    let columns = [
        r#"{"ID":1,"NAME":"a"}"#,
        r#"{"ID":2,"NAME":"\"b\"","NEW":[1,{"x":null}]}"#,
        r#"{"ID":3}"#,
        r#"{}"#,
        r#"{"ID":4,"OTHER":true,"NAME":-1.5e3}"#,
        r#"{ "ID" : 5 , "NAME" : "c" }"#,
        r#"{"NAME":"d","ID":6}"#,
        r#"{"ID":7,"ID":8,"NAME":"e"}"#,
    ];
    let bodies: Vec<String> =
        columns.iter().map(|columns| envelope(columns, r#"{"total_order":2}"#)).collect();
    let bodies = [bodies.clone(), bodies].concat();
    assert_eq!(compare(&bodies), bodies.len());
}

#[test]
fn what_is_ignored_may_change() {
    let ignored = ["1", "12", "1.5", "1 ", "\"a\"", "\"a\"", "\"ab\"", "null", "{}", "{}", "[1]", "[1,2]"];
    let body =
        |version: &str| format!(r#"{{"source":{{"version":{version},"scn":"77","v":{version}}},"op":"c"}}"#);
    let bodies: Vec<String> = ignored.iter().map(|version| body(version)).collect();
    assert_eq!(compare(&bodies), bodies.len());
    assert_eq!(compare(&[body("1"), body("1x"), body("1"), body("12}")]), 2);
}

#[test]
fn names_of_rows_alike_are_shared() {
    let mut known = Known::default();
    let mut names = |columns: &str| {
        let text = envelope(columns, "null").leak();
        let body = Body::read(text, &mut known).unwrap();
        body.payload.unwrap().after.unwrap().names().id()
    };
    let (first, other) = (names(r#"{"ID":1,"A":2}"#), names(r#"{"ID":1}"#));
    assert_eq!([names(r#"{"ID":3, "A":4}"#), names(r#"{"ID":5}"#)], [first, other]);
    assert_ne!(first, other);
}

#[test]
fn the_corpus_is_read_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let bodies: Vec<String> = files.filter_map(|bytes| String::from_utf8(bytes).ok()).collect();
    assert!(compare(&bodies) > bodies.len() / 2);
}

/// JSON, and what nearly is: spaces, escapes, odd numbers, names that come twice.
fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-1.50",
        "1e9",
        "01",
        "-",
        "1.",
        "nul",
        "\"\"",
        "\"a\"",
        r#""\u00e9\n\\""#,
        r#""\ud800""#,
        r#""\q""#,
        "\"\u{1}\"",
        "\"é\"",
        "\"u\"",
        r#""{\"a\":1}""#,
        "\"a value that is longer than what is looked at together\"",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 32, 6, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let object = any_object(any_name(), inner);
        prop_oneof![1 => list.prop_map(|items| format!("[{}]", items.join(","))), 3 => object]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    let names = vec![
        "payload",
        "schema",
        "before",
        "after",
        "source",
        "op",
        "ts_ms",
        "transaction",
        "total_order",
        "status",
        "scn",
        "table",
        "sequence",
        "ddl",
        "ID",
        "NAME",
        "A",
        r"\u0041",
        "",
    ];
    prop::sample::select(names).prop_map(str::to_owned)
}

fn any_object(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let space = || prop::sample::select(vec!["", "", "", "", " ", "\n\t", "\u{b}"]);
    let field = (space(), name, space(), value, space())
        .prop_map(|(a, name, b, value, c)| format!("{a}\"{name}\"{b}:{a}{value}{c}"));
    prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

proptest! {
    #[test]
    fn any_body_is_read_alike(bodies in prop::collection::vec(any_object(any_name(), any_value()), 1..6)) {
        compare(&bodies);
    }

    #[test]
    fn any_envelope_is_read_alike(
        rows in prop::collection::vec((any_object(prop::sample::select(vec!["A", "B", "C"]).prop_map(str::to_owned), any_value()), any_value()), 1..6),
    ) {
        let bodies: Vec<String> = rows.iter().map(|(columns, transaction)| envelope(columns, transaction)).collect();
        compare(&bodies);
    }

    #[test]
    fn any_damage_is_read_alike(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), 0..3), 1..4)) {
        let body = envelope(r#"{"ID":1,"NAME":"long enough to be looked at together"}"#, "null");
        let mut damaged: Vec<char> = body.chars().collect();
        for (place, character, kind) in edits {
            let place = place.index(damaged.len().max(1));
            match kind {
                0 => damaged.insert(place, character),
                1 if place < damaged.len() => drop(damaged.remove(place)),
                _ => damaged.truncate(place + 1),
            }
        }
        compare(&[body.clone(), damaged.into_iter().collect(), body]);
    }
}
