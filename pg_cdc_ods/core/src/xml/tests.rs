//! Documents as they come, and what is extracted from them.

use serde_json::{Value as Json, json};

use super::*;

const ORDER: &str = r#"<shipping_info>
  <items>
    <item product_id="7" quantity="2" unit_price="19.99"/>
    <item product_id="8" quantity="1" unit_price="5.00"/>
    <item product_id="9" quantity="10" unit_price="0.50"/>
  </items>
  <shipping><method>EXPRESS</method></shipping>
</shipping_info>"#;

fn items(columns: Json) -> XmlMapping {
    mapping(".//item", columns)
}

fn mapping(row_path: &str, columns: Json) -> XmlMapping {
    XmlMapping::from_json(&json!({"row_path": row_path, "columns": columns})).unwrap()
}

fn extract(mapping: &XmlMapping, document: &str) -> Result<XmlExtraction, XmlError> {
    mapping.extract(document, &XmlLimits::default())
}

/// The values of one table, NULL as `-`.
fn values(extraction: &XmlExtraction, table: usize) -> Vec<Vec<&str>> {
    extraction.tables[table].iter().map(shown_values).collect()
}

fn shown_values(row: &XmlRow) -> Vec<&str> {
    row.values.iter().map(|value| value.as_deref().unwrap_or("-")).collect()
}

fn one_table(mapping: &XmlMapping, document: &str) -> Vec<Vec<String>> {
    let extraction = extract(mapping, document).unwrap();
    values(&extraction, 0).into_iter().map(|row| row.into_iter().map(str::to_owned).collect()).collect()
}

fn error(mapping: &XmlMapping, document: &str) -> XmlError {
    extract(mapping, document).unwrap_err()
}

#[test]
fn x1_simple_document_gives_three_rows() {
    let columns = json!({
        "product_id": "@product_id", "quantity": "@quantity", "unit_price": "@unit_price",
        "subtotal": {"path": "@subtotal", "default": {"multiply": ["quantity", "unit_price"]}},
        "extracted_from": {"default": "SHIPPING_INFO"},
    });
    for row_path in [".//item", "items/item", "/shipping_info/items/item"] {
        let mapping = mapping(row_path, columns.clone());
        let names: Vec<_> = mapping.tables()[0].columns().collect();
        assert_eq!(names, ["extracted_from", "product_id", "quantity", "subtotal", "unit_price"]);
        let extraction = extract(&mapping, ORDER).unwrap();
        let expected = [
            ["SHIPPING_INFO", "7", "2", "39.98", "19.99"],
            ["SHIPPING_INFO", "8", "1", "5.00", "5.00"],
            ["SHIPPING_INFO", "9", "10", "5.00", "0.50"],
        ];
        assert_eq!(values(&extraction, 0), expected, "{row_path}");
        let line_nos: Vec<_> = extraction.tables[0].iter().map(|row| row.line_no).collect();
        assert_eq!(line_nos, [1, 2, 3]);
    }
}

#[test]
fn x2_empty_documents_have_no_rows() {
    let mapping = items(json!({"product_id": "@product_id"}));
    for document in [
        "",
        " \r\n\t",
        "\u{feff}",
        "<order/>",
        "<order><items></items></order>",
        "<?xml version='1.0'?>\n<order/>\n",
    ] {
        assert_eq!(extract(&mapping, document).unwrap().tables, [vec![]], "{document:?}");
    }
}

#[test]
fn x3_malformed_documents_are_refused_with_the_place() {
    let mapping = items(json!({"product_id": "@product_id"}));
    for (document, line, offset, path, hint) in [
        ("<order>\n<item>\n</order>", 3, 15, "/order/item", "</order> where </item> is expected"),
        ("<order><item product_id='1'/>", 1, 29, "/order", "ends before </order>"),
        ("<order>\n<item product_id=1/></order>", 2, 25, "/order/item", "not in quotes"),
        ("<order><item a='1' a='2'/></order>", 1, 8, "/order/item", "attribute a stands twice"),
        ("<order/><order/>", 1, 8, "", "<order> stands after the end"),
        ("</order>", 1, 0, "", "</order> closes nothing"),
        ("plain text", 1, 0, "", "text outside"),
        ("<a/>text", 1, 4, "", "text outside"),
        ("<a/>&#65;", 1, 4, "", "text outside"),
        ("<a/><![CDATA[x]]>", 1, 4, "", "text outside"),
        ("<!-- only -->", 1, 13, "", "no element"),
        ("<a>\n]]></a>", 2, 4, "/a", "]]&gt;"),
        ("<a><1/></a>", 1, 4, "/a", "\"1\" is no name"),
        ("<a></a><?xml version='1.0'?>", 1, 7, "", "XML declaration"),
        ("<a>\u{1}</a>", 1, 3, "", "control character 0x01"),
        ("<a>Tom & Jerry</a>", 1, 7, "/a", "not well-formed"),
        ("<a><!-- a -- b --></a>", 1, 10, "/a", "not well-formed"),
        ("<a", 1, 0, "", "not well-formed"),
    ] {
        let error = error(&mapping, document);
        assert!(matches!(error.kind, XmlErrorKind::Malformed(_)), "{error:?}");
        assert!(error.to_string().contains(hint), "{document:?}: {error}");
        assert_eq!(
            (error.line, error.offset, error.path.as_str()),
            (line, offset, path),
            "{document:?}: {error}"
        );
    }
}

#[test]
fn x3_an_error_reads_as_a_sentence() {
    let error = error(&items(json!({"a": "@a"})), "<order>\n<item a='1'>\n</order>");
    let expected = "the document is not well-formed XML: </order> where </item> is expected \
                    (line 3, byte 21, in /order/item)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn x4_missing_attribute_is_null_or_the_default_or_an_error() {
    let document = "<order>\n<item product_id='7'/>\n<item quantity='2'/></order>";
    let with = |column: Json| items(json!({"product_id": "@product_id", "quantity": column}));
    let null = with(json!("@quantity"));
    assert_eq!(one_table(&null, document), [["7", "-"], ["-", "2"]]);
    let default = with(json!({"path": "@quantity", "default": "1"}));
    assert_eq!(one_table(&default, document), [["7", "1"], ["-", "2"]]);
    let fail = with(json!({"path": "@quantity", "on_missing": "fail"}));
    let error = error(&fail, document);
    assert_eq!(error.kind, XmlErrorKind::MissingValue { line_no: 1, column: "quantity".into() });
    assert_eq!(error.line, 2);
}

#[test]
fn x4_an_empty_text_is_missing_and_an_empty_attribute_is_not() {
    let mapping = items(json!({"a": "@a", "b": "b/text()", "c": "c"}));
    let document =
        "<o><item a=''><b/><c> \n </c></item><item><b></b><b>second</b><c>x</c><c>y</c></item></o>";
    assert_eq!(one_table(&mapping, document), [["", "-", "-"], ["-", "second", "x"]]);
}

#[test]
fn x5_nested_rows_know_the_row_they_are_in() {
    let mapping = items(json!({
        "sku": "@sku",
        "tags": {"row_path": "tags/tag", "columns": {"tag": "text()", "sku": "../../@sku", "order_id": "../../../@id"}},
    }));
    let document = "<order id='1'>
        <item sku='A'><tags><tag>red</tag><tag>new</tag></tags></item>
        <item sku='B'/>
        <item sku='C'><tags><tag>old</tag></tags><tag>not here</tag></item>
    </order>";
    let extraction = extract(&mapping, document).unwrap();
    assert_eq!(values(&extraction, 0), [["A"], ["B"], ["C"]]);
    assert_eq!(values(&extraction, 1), [["1", "A", "red"], ["1", "A", "new"], ["1", "C", "old"]]);
    let lines: Vec<_> = extraction.tables[1].iter().map(|row| (row.parent_line_no, row.line_no)).collect();
    assert_eq!(lines, [(Some(1), 1), (Some(1), 2), (Some(3), 3)]);
}

#[test]
fn x5_rows_of_one_table_may_stand_in_each_other() {
    let mapping = mapping(
        ".//part",
        json!({
            "id": "@id",
            "note": "note",
            "notes": {"row_path": ".//note", "columns": {"note": "text()"}},
        }),
    );
    let document = "<bike><part id='1'><note>a</note><part id='2'><note>b</note></part><x><note>c</note></x></part></bike>";
    let extraction = extract(&mapping, document).unwrap();
    assert_eq!(values(&extraction, 0), [["1", "a"], ["2", "b"]]);
    let notes: Vec<_> = extraction.tables[1].iter().map(|row| row.parent_line_no).collect();
    assert_eq!(
        (values(&extraction, 1), notes),
        (vec![vec!["a"], vec!["b"], vec!["c"]], vec![Some(1), Some(2), Some(1)])
    );
}

#[test]
fn x6_more_than_a_hundred_items_keep_their_order() {
    let mut document = String::from("<order>");
    for number in 1..=150 {
        document.push_str(&format!("<item product_id='{number}'/>"));
    }
    document.push_str("</order>");
    let extraction = extract(&items(json!({"product_id": "@product_id"})), &document).unwrap();
    assert_eq!(extraction.tables[0].len(), 150);
    for row in &extraction.tables[0] {
        assert_eq!(row.values, [Some(row.line_no.to_string())]);
    }
}

#[test]
fn x7_a_column_without_its_element_is_null() {
    let mapping =
        mapping("address", json!({"address_type": "@type", "street": "street/text()", "zip": "zip/text()"}));
    let document =
        "<addresses><address type='billing'><street>Main St</street></address><address/></addresses>";
    assert_eq!(one_table(&mapping, document), [["billing", "Main St", "-"], ["-", "-", "-"]]);
}

#[test]
fn x8_non_ascii_survives_in_names_attributes_and_texts() {
    let mapping = items(json!({"name": "@名前", "street": "straße/text()"}));
    let document = "<δ><item 名前='Crème brûlée 🍮'><straße>Łódź, Київ, 東京</straße></item></δ>";
    assert_eq!(one_table(&mapping, document), [["Crème brûlée 🍮", "Łódź, Київ, 東京"]]);
}

#[test]
fn x8_bytes_are_read_in_the_encoding_that_they_say() {
    let mapping = items(json!({"a": "@a"}));
    let with =
        |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><o><item a='é€'/></o>");
    let utf16: Vec<u8> = with("UTF-16").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let windows: Vec<u8> = with("windows-1252")
        .chars()
        .map(|character| match character {
            'é' => 0xe9,
            '€' => 0x80,
            ascii => u8::try_from(ascii).unwrap(),
        })
        .collect();
    for bytes in [with("UTF-8").into_bytes(), utf16, windows] {
        let extraction = mapping.extract_bytes(&bytes, &XmlLimits::default()).unwrap();
        assert_eq!(values(&extraction, 0), [["é€"]]);
    }
    assert_eq!(
        one_table(&mapping, &with("ISO-8859-1")),
        [["é€"]],
        "in a text the declaration no longer counts"
    );
    let wrong = mapping.extract_bytes(b"<o>\n\xff</o>", &XmlLimits::default()).unwrap_err();
    assert!(
        matches!(wrong.kind, XmlErrorKind::Encoding(_)) && (wrong.line, wrong.offset) == (2, 4),
        "{wrong}"
    );
}

#[test]
fn text_is_put_together_from_its_pieces() {
    let mapping = items(json!({"text": "text()", "b": "b/text()"}));
    let document = "<o><item> 1 &lt; 2 <![CDATA[<&]]>&#x20;<!-- no --><?no pi?>a<b>x<i>no</i>y</b>&amp;\r\nb </item></o>";
    assert_eq!(one_table(&mapping, document), [["xy", "1 < 2 <& a&\nb"]]);
}

#[test]
fn local_names_match_any_prefix_and_prefixed_names_only_theirs() {
    let document = "<o:o xmlns:o='urn:o' xmlns:id='urn:x'>
        <o:item o:id='1' xmlns:id='no'/><item o:id='2' id='3' p:id='4'/></o:o>";
    let columns = json!({"any": "@id", "own": "@o:id", "p": "@p:id"});
    assert_eq!(one_table(&items(columns.clone()), document), [["1", "1", "-"], ["3", "2", "4"]]);
    assert_eq!(one_table(&mapping(".//o:item", columns), document), [["1", "1", "-"]]);
}

#[test]
fn document_types_are_refused_before_they_do_anything() {
    let laughs =
        "<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;&lol;&lol;&lol;'>]><o>&lol2;</o>";
    let external = "<!DOCTYPE o [<!ENTITY xxe SYSTEM 'file:///etc/passwd'>]><o><item a='&xxe;'/></o>";
    for document in
        [laughs, external, "<!DOCTYPE o><o/>", "<!DOCTYPE o SYSTEM 'http://example.com/o.dtd'><o/>"]
    {
        assert_eq!(error(&items(json!({"a": "@a"})), document).kind, XmlErrorKind::DtdRefused);
    }
    for document in ["<o><item a='&xxe;'/></o>", "<o>&xxe;</o>"] {
        let kind = error(&items(json!({"a": "@a"})), document).kind;
        assert_eq!(kind, XmlErrorKind::UnknownEntity("xxe".into()));
    }
}

#[test]
fn columns_above_a_row_are_those_of_the_elements_around_it() {
    let mapping = items(json!({"id": "@id", "parent": "../@id", "above": "../../../@id"}));
    let document = "<o id='1'><item id='2'/><b id='3'><item id='4'><item id='5'/></item></b>
        <b id='6'><item id='7'/></b><item id='8'/><b><item id='9'/></b></o>";
    let expected = [
        ["-", "2", "1"],
        ["-", "4", "3"],
        ["1", "5", "4"],
        ["-", "7", "6"],
        ["-", "8", "1"],
        ["-", "9", "-"],
    ];
    assert_eq!(one_table(&mapping, document), expected);
}

#[test]
fn a_long_start_tag_is_not_searched_for_each_row_in_it() {
    let attributes: String = (0..20_000).map(|number| format!(" a{number}=''")).collect();
    let rows = "<item><item/></item>".repeat(10_000);
    let document = format!("<o{attributes} id='1'>{rows}</o>");
    let mapping = items(json!({"parent": "../@id"}));
    // Searching 20,000 attributes for each of 10,000 rows would take minutes.
    let extraction = extract(&mapping, &document).unwrap();
    let filled = extraction.tables[0].iter().filter(|row| row.values[0].as_deref() == Some("1")).count();
    assert_eq!((filled, extraction.tables[0].len()), (10_000, 20_000));
}

/// What is wrong with `document` under limits one of which is small.
fn exceeded(limits: XmlLimits, document: &str) -> Option<XmlLimit> {
    let mapping = items(json!({"a": "@a", "order": "../@order", "text": "text()"}));
    match mapping.extract(document, &limits).err()?.kind {
        XmlErrorKind::Limit(limit) => Some(limit),
        other => panic!("{other}"),
    }
}

#[test]
fn each_limit_holds_at_its_value_and_not_above() {
    let defaults = XmlLimits::default();
    let document = "<o order='12345'><item a='12345'>6789<![CDATA[0]]></item><item/></o>";
    let depth = |depth| exceeded(XmlLimits { depth, ..defaults }, document);
    assert_eq!((depth(2), depth(1)), (None, Some(XmlLimit::Depth(1))));
    let bytes = |bytes| exceeded(XmlLimits { bytes, ..defaults }, document);
    let length = document.len();
    assert_eq!((bytes(length), bytes(length - 1)), (None, Some(XmlLimit::Bytes(length - 1))));
    let rows = |rows| exceeded(XmlLimits { rows, ..defaults }, document);
    assert_eq!((rows(2), rows(1)), (None, Some(XmlLimit::Rows(1))));
    let text_bytes = |text_bytes| exceeded(XmlLimits { text_bytes, ..defaults }, document);
    assert_eq!((text_bytes(5), text_bytes(4)), (None, Some(XmlLimit::TextBytes(4))));
    let total = |total_text_bytes| exceeded(XmlLimits { total_text_bytes, ..defaults }, document);
    assert_eq!((total(20), total(19)), (None, Some(XmlLimit::TotalTextBytes(19))));
}

#[test]
fn deep_nesting_ends_at_the_limit_and_not_the_stack() {
    let document = "<a>".repeat(1_000_000);
    let mapping = items(json!({"a": "@a"}));
    assert_eq!(error(&mapping, &document).kind, XmlErrorKind::Limit(XmlLimit::Depth(64)));
    let limits = XmlLimits { depth: usize::MAX, ..XmlLimits::default() };
    let error = mapping.extract(&document, &limits).unwrap_err();
    assert!(error.path.len() < 100 && error.to_string().contains("ends before </a>"), "{error}");
}

#[test]
fn a_product_needs_numbers_and_is_null_without_a_factor() {
    let mapping = items(json!({
        "quantity": {"path": "@quantity", "default": 1},
        "price": "@price",
        "subtotal": {"default": {"multiply": ["quantity", "price"]}},
    }));
    let document = "<o><item price='2.50'/><item quantity='3'/><item quantity='' price='1'/></o>";
    assert_eq!(one_table(&mapping, document), [["2.50", "1", "2.50"], ["-", "3", "-"], ["1", "", "-"]]);
    let error = error(&mapping, "<o><item quantity='many' price='1'/></o>");
    let expected = XmlErrorKind::NotDecimal { line_no: 1, column: "quantity".into(), text: "many".into() };
    assert_eq!(error.kind, expected);
}
