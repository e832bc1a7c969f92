//! The bytes of the COPY format, and that every row can be encoded.

use std::time::Duration;

use serde_json::json;

use super::*;

const PLAIN: InboxRow<'static> = InboxRow {
    topic: b"t/1",
    payload: Some(b"{}"),
    message_id: None,
    redelivered: false,
    sent_at_ms: None,
    received_at: UNIX_EPOCH,
    headers: None,
};

/// A batch taken apart: for each row its fields, `None` for null.
fn decode(batch: &CopyBatch) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rest = batch.data.strip_prefix(HEADER).unwrap();
    let mut take = |len: usize| {
        let (taken, after) = rest.split_at(len);
        rest = after;
        taken.to_vec()
    };
    let mut rows = Vec::new();
    loop {
        let fields = i16::from_be_bytes(take(2).try_into().unwrap());
        if fields == TRAILER {
            assert!(rest.is_empty());
            assert_eq!(rows.len(), batch.rows);
            return rows;
        }
        let row = (0..fields).map(|_| {
            let len = i32::from_be_bytes(take(4).try_into().unwrap());
            (len != NULL).then(|| take(len as usize))
        });
        rows.push(row.collect());
    }
}

fn encode(row: InboxRow<'_>) -> Vec<Option<Vec<u8>>> {
    let mut buffer = CopyBuffer::new("bridge/queue");
    buffer.push(&row);
    decode(&buffer.finish()).remove(0)
}

#[test]
fn a_row_has_its_columns_in_order() {
    let fields = encode(InboxRow {
        message_id: Some(b"m1"),
        redelivered: true,
        sent_at_ms: Some(946_684_800_001),
        received_at: UNIX_EPOCH + Duration::from_micros(946_684_800_000_002),
        headers: Some("{\"a\":1}"),
        ..PLAIN
    });
    let expected: [&[u8]; 8] = [
        b"bridge/queue",
        b"t/1",
        b"{}",
        b"m1",
        &[1],
        &1000i64.to_be_bytes(),
        &2i64.to_be_bytes(),
        b"\x01{\"a\":1}",
    ];
    assert_eq!(fields, expected.map(|field| Some(field.to_vec())));
    assert_eq!(COLUMNS.split(", ").count(), fields.len());
}

#[test]
fn what_a_message_lacks_is_null_and_an_empty_body_is_not() {
    let fields = encode(InboxRow { payload: None, ..PLAIN });
    assert_eq!([&fields[2], &fields[3], &fields[5], &fields[7]], [&None; 4]);
    assert_eq!(encode(InboxRow { payload: Some(b""), ..PLAIN })[2], Some(vec![]));
}

#[test]
fn texts_that_postgres_refuses_are_mended_and_payloads_are_not() {
    let fields =
        encode(InboxRow { topic: b"a\xff/\0", payload: Some(b"\xff\0"), message_id: Some(b"\0"), ..PLAIN });
    assert_eq!(fields[1].as_deref(), Some("a\u{fffd}/\u{fffd}".as_bytes()));
    assert_eq!(fields[2].as_deref(), Some(&b"\xff\0"[..]));
    assert_eq!(fields[3].as_deref(), Some("\u{fffd}".as_bytes()));
}

#[test]
fn times_that_postgres_cannot_say_are_null() {
    let sent_at = |ms| encode(InboxRow { sent_at_ms: Some(ms), ..PLAIN })[5].clone();
    let first = (FIRST_TIMESTAMP_MICROS + POSTGRES_EPOCH_MICROS) / 1000;
    for ms in [i64::MIN, first - 1, i64::MAX / 1000 + 1, i64::MAX] {
        assert_eq!(sent_at(ms), None, "{ms}");
    }
    assert_eq!(sent_at(first), Some(FIRST_TIMESTAMP_MICROS.to_be_bytes().to_vec()));
    assert!(sent_at(-1).is_some() && sent_at(i64::MAX / 1000).is_some());
}

#[test]
fn a_finished_buffer_starts_anew_in_the_same_memory() {
    let mut buffer = CopyBuffer::new("s");
    for topic in [&b"first"[..], b"second"] {
        buffer.push(&InboxRow { topic, ..PLAIN });
        assert_eq!(buffer.rows(), 1);
        assert_eq!(decode(&buffer.finish())[0][1].as_deref(), Some(topic));
        assert_eq!((buffer.rows(), buffer.len()), (0, 0));
    }
}

#[test]
fn nul_in_headers_is_replaced_wherever_it_stands() {
    let headers = json!({"a\u{0}": ["\u{0}", {"b": "\u{0}c"}], "n": 18446744073709551615u64, "s": "\\u0000"});
    let text = headers_text(headers.as_object().unwrap());
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        read,
        json!({"a\u{fffd}": ["\u{fffd}", {"b": "\u{fffd}c"}], "n": 18446744073709551615u64, "s": "\\u0000"})
    );
}
