//! Writes JSON straight into a buffer that is used again for each event.

use super::money::Money;
use super::unix_micros::UnixMicros;

/// A JSON text in the making.
///
/// Commas come by themselves; that objects are closed and keys unique is the caller's part.
#[derive(Debug, Default)]
pub(crate) struct JsonWriter {
    bytes: Vec<u8>,
}

impl JsonWriter {
    /// Empties the text and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What has been written.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Opens an object.
    pub(crate) fn open(&mut self) {
        self.bytes.push(b'{');
    }

    /// Closes the object that was opened last.
    pub(crate) fn close(&mut self) {
        self.bytes.push(b'}');
    }

    /// Begins a member; its value must come next.
    pub(crate) fn key(&mut self, name: &str) {
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
        self.text_value(name);
        self.bytes.push(b':');
    }

    /// A member with a whole number.
    pub(crate) fn integer(&mut self, name: &str, number: i64) {
        self.key(name);
        self.integer_value(number);
    }

    /// A member with an amount: a number with exactly two decimals.
    pub(crate) fn money(&mut self, name: &str, amount: Money) {
        self.key(name);
        self.integer_value(amount.whole());
        let cents = amount.cents_part();
        self.bytes.extend_from_slice(&[b'.', b'0' + cents / 10, b'0' + cents % 10]);
    }

    /// A member with a text, escaped as needed.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.key(name);
        self.text_value(text);
    }

    /// A member with a text made of pieces.
    pub(crate) fn text_of(&mut self, name: &str, pieces: &[Piece<'_>]) {
        self.key(name);
        self.bytes.push(b'"');
        for piece in pieces {
            match *piece {
                Piece::Text(text) => self.escaped(text),
                Piece::Number(number) => self.integer_value(number),
            }
        }
        self.bytes.push(b'"');
    }

    /// A member with a time as text.
    pub(crate) fn timestamp(&mut self, name: &str, time: UnixMicros) {
        self.key(name);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(&time.iso_local());
        self.bytes.push(b'"');
    }

    /// A member with `null`.
    pub(crate) fn null(&mut self, name: &str) {
        self.key(name);
        self.bytes.extend_from_slice(b"null");
    }

    fn integer_value(&mut self, number: i64) {
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn text_value(&mut self, text: &str) {
        self.bytes.push(b'"');
        self.escaped(text);
        self.bytes.push(b'"');
    }

    /// Copies the stretches that need no escape as a whole.
    fn escaped(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.bytes.extend_from_slice(&bytes[copied..at]);
            copied = at + 1;
            match byte {
                b'\n' => self.bytes.extend_from_slice(b"\\n"),
                b'"' | b'\\' => self.bytes.extend_from_slice(&[b'\\', byte]),
                _ => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.bytes.extend_from_slice(b"\\u00");
                    self.bytes.push(HEX[usize::from(byte >> 4)]);
                    self.bytes.push(HEX[usize::from(byte & 15)]);
                }
            }
        }
        self.bytes.extend_from_slice(&bytes[copied..]);
    }
}

/// A part of a text value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Text, escaped as needed.
    Text(&'a str),
    /// A whole number.
    Number(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut JsonWriter)) -> String {
        let mut json = JsonWriter::default();
        json.open();
        fill(&mut json);
        json.close();
        String::from_utf8(json.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn members_are_parted_by_commas() {
        let text = written(|json| {
            json.integer("A", -12);
            json.null("B");
            json.key("C");
            json.open();
            json.close();
            json.text("D", "x");
        });
        assert_eq!(text, r#"{"A":-12,"B":null,"C":{},"D":"x"}"#);
    }

    #[test]
    fn amounts_have_two_decimals() {
        let text = written(|json| {
            json.money("A", Money::from_cents(5));
            json.money("B", Money::from_cents(123_450));
        });
        assert_eq!(text, r#"{"A":0.05,"B":1234.50}"#);
    }

    #[test]
    fn the_ends_of_the_integer_range_are_written_whole() {
        let text = written(|json| {
            json.integer("A", i64::MIN);
            json.integer("B", i64::MAX);
        });
        assert_eq!(text, r#"{"A":-9223372036854775808,"B":9223372036854775807}"#);
    }

    #[test]
    fn texts_come_back_as_they_were() {
        let original = "27\" <b>\\ ü \n\t\u{1} end";
        let text = written(|json| json.text("A", original));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["A"], original);
    }

    #[test]
    fn pieces_make_one_text() {
        let text = written(|json| json.text_of("A", &[Piece::Text("n\""), Piece::Number(7)]));
        assert_eq!(text, r#"{"A":"n\"7"}"#);
    }
}
