//! The example in `docs/xml.md` does what is said there.

#![expect(clippy::expect_used, reason = "documentation that is not as expected has to stop the test")]

use cdc_core::{XmlLimits, XmlMapping, XmlRow};
use serde_json::{Value as Json, json};

const DOCUMENTATION: &str = include_str!("../../../docs/xml.md");

/// The text between the first `start` and the next `end`.
fn between(start: &str, end: &str) -> &'static str {
    let (_, rest) = DOCUMENTATION.split_once(start).expect("the documentation has the start");
    rest.split_once(end).expect("the documentation has the end").0
}

fn mapping() -> XmlMapping {
    let columns: Json = serde_json::from_str(between("columns => '", "',\n")).expect("the columns are JSON");
    XmlMapping::from_json(&json!({
        "row_path": between("row_path => '", "'"),
        "columns": columns,
        "on_malformed": between("on_malformed => '", "'"),
        "on_missing": between("on_missing => '", "'"),
    }))
    .expect("the mapping is understood")
}

/// The line of a Markdown table.
fn line<'t>(cells: impl IntoIterator<Item = &'t str>) -> String {
    cells.into_iter().fold("|".to_owned(), |line, cell| format!("{line} {cell} |"))
}

fn line_of_row(row: &XmlRow) -> String {
    let numbers = row.parent_line_no.into_iter().chain([row.line_no]).map(|number| number.to_string());
    let values = row.values.iter().map(|value| value.clone().unwrap_or_default());
    let cells: Vec<String> = numbers.chain(values).collect();
    line(cells.iter().map(String::as_str))
}

#[test]
fn the_example_gives_the_tables_that_are_shown() {
    let mapping = mapping();
    let document = between("```xml\n", "```");
    let extraction = mapping.extract(document, &XmlLimits::default()).expect("the document is well-formed");
    for (table, rows) in mapping.tables().iter().zip(&extraction.tables) {
        let numbers: &[&str] =
            if table.parent().is_some() { &["parent_line_no", "line_no"] } else { &["line_no"] };
        let names: Vec<&str> = numbers.iter().copied().chain(table.columns()).collect();
        let rule = format!("|{}", "---|".repeat(names.len()));
        let mut shown = vec![line(names), rule];
        shown.extend(rows.iter().map(line_of_row));
        let shown = format!("\n\n{}\n\n", shown.join("\n"));
        assert!(DOCUMENTATION.contains(&shown), "expected in the documentation:{shown}");
    }
}

#[test]
fn the_limits_are_the_defaults() {
    let XmlLimits { depth, bytes, rows, text_bytes, total_text_bytes } = XmlLimits::default();
    for (setting, limit) in [
        ("depth", depth),
        ("bytes", bytes),
        ("rows", rows),
        ("text_bytes", text_bytes),
        ("total_text_bytes", total_text_bytes),
    ] {
        let shown = format!("| `pg_cdc_ods.xml_max_{setting}` | {limit} |");
        assert!(DOCUMENTATION.contains(&shown), "{shown}");
    }
}
