//! Writes messages as NDJSON, one `{"topic", "payload" or "payload_base64", "message_id"}` per line: the form that
//! `cdc-bridge replay` reads.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::json_writer::JsonWriter;
use super::simulator::Event;

/// The path that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// An NDJSON file in the making.
pub(crate) struct RecordWriter {
    output: BufWriter<Box<dyn Write + Send>>,
    line: JsonWriter,
}

impl RecordWriter {
    /// Creates the file, or takes standard output for `-`. What was in the file is lost.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = if path == Path::new(STANDARD_OUTPUT) {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(path)?)
        };
        Ok(Self { output: BufWriter::with_capacity(BUFFER_BYTES, output), line: JsonWriter::default() })
    }

    /// Adds a message.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&mut self, event: &Event) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        line.open();
        line.text("topic", &event.topic);
        match std::str::from_utf8(&event.payload) {
            Ok(text) => line.text("payload", text),
            Err(_) => line.text("payload_base64", &base64(&event.payload)),
        }
        line.text("message_id", &event.message_id);
        line.close();
        self.output.write_all(line.as_bytes())?;
        self.output.write_all(b"\n")
    }

    /// Passes on what has been gathered.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Base64 of the standard alphabet with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= group.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::generate::table::Table;

    /// The line that is written for a message with this payload.
    fn line_of(payload: &'static [u8]) -> serde_json::Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.ndjson");
        let mut record = RecordWriter::create(&path).unwrap();
        let event = Event {
            table: Table::Orders,
            topic: "cdc/\"x\"".into(),
            payload: Bytes::from_static(payload),
            message_id: "77".into(),
        };
        record.write(&event).unwrap();
        record.flush().unwrap();
        serde_json::from_str(std::fs::read_to_string(&path).unwrap().strip_suffix('\n').unwrap()).unwrap()
    }

    #[test]
    fn a_payload_in_utf8_is_text() {
        let expected =
            serde_json::json!({"topic": "cdc/\"x\"", "payload": "{\"a\":\"ü\\n\"}\n", "message_id": "77"});
        assert_eq!(line_of("{\"a\":\"ü\\n\"}\n".as_bytes()), expected);
    }

    #[test]
    fn a_payload_that_is_not_utf8_is_base64() {
        let expected =
            serde_json::json!({"topic": "cdc/\"x\"", "payload_base64": "+/8A", "message_id": "77"});
        assert_eq!(line_of(&[0xfb, 0xff, 0]), expected);
    }

    #[test]
    fn base64_is_padded_by_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
