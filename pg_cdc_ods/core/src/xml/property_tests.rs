//! What holds for every document: no panic, no partial rows, and what was written is what is extracted.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Columns of every kind, nested rows included.
fn mapping() -> XmlMapping {
    let columns = json!({
        "sku": "@sku",
        "name": "name/text()",
        "order_id": "../@id",
        "tags": {"row_path": "tags/tag", "columns": {"tag": "text()"}},
    });
    XmlMapping::from_json(&json!({"row_path": ".//item", "columns": columns})).unwrap()
}

/// Small limits, so that documents exceed them.
fn narrow() -> XmlLimits {
    XmlLimits { depth: 4, bytes: 500, rows: 3, text_bytes: 20, total_text_bytes: 50 }
}

/// One item of an order.
#[derive(Debug, Clone)]
struct Item {
    sku: Option<String>,
    name: Option<String>,
    tags: Vec<String>,
}

/// How a character that may stand as it is, is written.
#[derive(Debug, Clone, Copy)]
enum Writing {
    Plain,
    Numbered,
    CData,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", "[ \t\r\n<>&'\"\\]a-c]{0,12}"]
}

fn item() -> impl Strategy<Value = Item> {
    let option = || proptest::option::of(text());
    (option(), option(), proptest::collection::vec(text(), 0..4)).prop_map(|(sku, name, tags)| Item {
        sku,
        name,
        tags,
    })
}

fn writing() -> impl Strategy<Value = Writing> {
    prop_oneof![Just(Writing::Plain), Just(Writing::Numbered), Just(Writing::CData)]
}

/// Writes text so that it is read back as it is, in an attribute and, unless it is a CDATA section, in an element.
fn push_escaped(document: &mut String, text: &str, writing: Writing) {
    if matches!(writing, Writing::CData) && !text.contains("]]>") && !text.contains('\r') {
        let _ = write!(document, "<![CDATA[{text}]]>");
        return;
    }
    for character in text.chars() {
        match character {
            '<' => document.push_str("&lt;"),
            '&' => document.push_str("&amp;"),
            '>' => document.push_str("&gt;"),
            '"' => document.push_str("&quot;"),
            '\'' => document.push_str("&apos;"),
            '\t' | '\r' | '\n' => {
                let _ = write!(document, "&#{};", u32::from(character));
            }
            other if matches!(writing, Writing::Numbered) => {
                let _ = write!(document, "&#x{:X};", u32::from(other));
            }
            other => document.push(other),
        }
    }
}

fn written(items: &[Item], writing: Writing) -> String {
    let in_attribute = if matches!(writing, Writing::CData) { Writing::Plain } else { writing };
    let mut document = String::from("<?xml version='1.0'?>\n<order id='42'><!-- items -->\n");
    for item in items {
        document.push_str("  <item");
        if let Some(sku) = &item.sku {
            document.push_str(" sku=\"");
            push_escaped(&mut document, sku, in_attribute);
            document.push('"');
        }
        document.push_str(">\n    <tags>");
        for tag in &item.tags {
            document.push_str("<tag>\n");
            push_escaped(&mut document, tag, writing);
            document.push_str("</tag>");
        }
        document.push_str("</tags>");
        if let Some(name) = &item.name {
            document.push_str("<name>");
            push_escaped(&mut document, name, writing);
            document.push_str("</name >");
        }
        document.push_str("</item>\n");
    }
    document.push_str("</order>\n");
    document
}

/// A text as it comes out of an element: without white space at its ends, NULL if nothing is left.
fn of_element(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn expected(items: &[Item]) -> Vec<Vec<XmlRow>> {
    let (mut rows, mut tags) = (Vec::new(), Vec::new());
    for (item, line_no) in items.iter().zip(1..) {
        let name = item.name.as_deref().and_then(of_element);
        let values = vec![name, Some("42".to_owned()), item.sku.clone()];
        rows.push(XmlRow { line_no, parent_line_no: None, values });
        for tag in &item.tags {
            let tag_line_no = u32::try_from(tags.len() + 1).unwrap();
            let values = vec![of_element(tag)];
            tags.push(XmlRow { line_no: tag_line_no, parent_line_no: Some(line_no), values });
        }
    }
    vec![rows, tags]
}

/// Pieces that documents are made of, so that random sequences of them get far.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "<?xml version='1.0' encoding='",
        "utf-16",
        "latin1",
        "'?>",
        "<!DOCTYPE ",
        "[<!ENTITY a '",
        "]>",
        "<order>",
        "</order>",
        "<item",
        " sku='",
        "'",
        "\"",
        ">",
        "/>",
        "</item>",
        "<tags>",
        "<tag>",
        "</tag>",
        "</tags>",
        "<name>",
        "</name>",
        "&lt;",
        "&#",
        "&",
        ";",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?",
        "?>",
        "é",
        "\u{feff}",
        "\0",
        " ",
        "x",
    ]);
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_document_that_is_cut_off_anywhere_gives_an_error_and_no_rows() {
    let item =
        |name: &str| Item { sku: Some("é&".into()), name: Some(name.into()), tags: vec!["東京".into()] };
    for writing in [Writing::Plain, Writing::Numbered, Writing::CData] {
        let document = written(&[item("a"), item("ł")], writing);
        let whole = document.trim_end();
        assert!(mapping().extract(whole, &XmlLimits::default()).is_ok());
        for end in 1..whole.len() {
            let cut = &whole.as_bytes()[..end];
            let error = mapping().extract_bytes(cut, &XmlLimits::default()).unwrap_err();
            assert!(error.offset <= end, "{error}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_extracted(items in proptest::collection::vec(item(), 0..6), writing in writing()) {
        let document = written(&items, writing);
        let extraction = mapping().extract(&document, &XmlLimits::default());
        prop_assert_eq!(extraction.map(|extraction| extraction.tables), Ok(expected(&items)), "{}", document);
    }

    #[test]
    fn text_and_bytes_give_the_same(document in pieces()) {
        // A text is UTF-8 whatever it declares; bytes are what they declare.
        let document = document.replace("encoding", "").replace('\0', "");
        let limits = XmlLimits::default();
        prop_assert_eq!(mapping().extract_bytes(document.as_bytes(), &limits), mapping().extract(&document, &limits));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = mapping().extract_bytes(&bytes, &narrow());
    }

    #[test]
    fn no_pieces_of_documents_panic(document in pieces()) {
        let _ = mapping().extract(&document, &narrow());
        let _ = mapping().extract_bytes(document.as_bytes(), &XmlLimits::default());
    }

    #[test]
    fn no_damaged_document_panics(
        items in proptest::collection::vec(item(), 1..4),
        writing in writing(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = written(&items, writing).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = mapping().extract_bytes(&bytes, &XmlLimits::default());
    }

    #[test]
    fn no_text_in_a_mapping_panics(path in "[./@a*:()é\\[ -]{0,10}|\\PC{0,10}") {
        let columns = json!({"a": path, "b": {"row_path": path, "columns": {"c": "@c"}}});
        let _ = XmlMapping::from_json(&json!({"row_path": path, "columns": {"a": "@a"}}));
        let _ = XmlMapping::from_json(&json!({"row_path": ".//a", "columns": columns}));
    }
}
