//! Reads recorded messages: NDJSON as the generator writes it.

use std::io::{self, BufRead};

use serde::Deserialize;

/// Why a record could not be read.
#[derive(Debug)]
pub enum RecordError {
    /// The reader failed.
    Io(io::Error),
    /// A line is not a record.
    Line {
        /// Number of the line, from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the records could not be read"),
            Self::Line { number, problem } => write!(f, "line {number} is not a record: {problem}"),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Line { .. } => None,
        }
    }
}

/// One line. The table is named in the payload, so that the topic is not needed.
#[derive(Deserialize)]
struct Record {
    payload: Option<String>,
    payload_base64: Option<String>,
}

/// The payloads of all records, in order.
pub(super) fn payloads(reader: impl BufRead) -> impl Iterator<Item = Result<Vec<u8>, RecordError>> {
    reader.lines().enumerate().map(|(index, line)| {
        let line = line.map_err(RecordError::Io)?;
        payload(&line).map_err(|problem| RecordError::Line { number: index + 1, problem })
    })
}

fn payload(line: &str) -> Result<Vec<u8>, String> {
    let record: Record = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match (record.payload, record.payload_base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(encoded)) => {
            decode_base64(&encoded).ok_or_else(|| "payload_base64 is not base64 with padding".to_owned())
        }
        _ => Err("expected either payload or payload_base64".to_owned()),
    }
}

/// Decodes base64 of the standard alphabet with padding (RFC 4648, section 4); `None` if it is none.
fn decode_base64(encoded: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = encoded.trim_end_matches('=');
    let padding = encoded.len() - digits.len();
    if !encoded.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut decoded = Vec::with_capacity(encoded.len() / 4 * 3);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            bits = bits << 6 | ALPHABET.iter().position(|known| known == digit)? as u32;
        }
        // A group of n digits holds n - 1 bytes; they are moved to the top of the word.
        let bytes = (bits << (32 - 6 * group.len())).to_be_bytes();
        decoded.extend_from_slice(&bytes[..group.len() - 1]);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Vec<Vec<u8>>, RecordError> {
        payloads(lines.as_bytes()).collect()
    }

    #[test]
    fn payloads_are_text_or_base64() {
        let lines =
            "{\"topic\":\"t\",\"payload\":\"{}\\n\"}\n{\"topic\":\"t\",\"payload_base64\":\"/wA=\"}\n";
        assert_eq!(read(lines).unwrap(), [b"{}\n".to_vec(), vec![0xff, 0]]);
    }

    #[test]
    fn base64_is_decoded_by_rfc_4648() {
        let cases: [(&str, &[u8]); 5] =
            [("", b""), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/8A", &[0xfb, 0xff, 0])];
        for (encoded, decoded) in cases {
            assert_eq!(decode_base64(encoded).as_deref(), Some(decoded), "{encoded}");
        }
        for broken in ["Zg", "Zg=", "Z===", "Zm9*", "Zm=v"] {
            assert_eq!(decode_base64(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let error = read("{\"payload\":\"\"}\n{\"topic\":\"t\"}\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not a record: expected either payload or payload_base64");
    }
}
