//! `cdc-bridge replay`: sends recorded messages straight to the inbox, for trials without a broker.
//!
//! The input has one JSON object per line: `topic` and either `payload` (a text, sent as it is, or any other JSON
//! value, sent as compact JSON text) or `payload_base64`; no payload at all is a message without a body. `headers`
//! (an object) and `message_id` are optional. Empty lines are skipped.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::config::Config;
use crate::inbox::{CopyBuffer, InboxError, InboxRow, InboxWriter, headers_text};
use crate::shutdown::Shutdown;

/// Longest line, in bytes. Real messages are at most 30 MB, in base64 40 MB.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Sends recorded messages straight to the inbox, without a broker.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// NDJSON file, `-` for standard input. A line is {"topic": TEXT, "payload": TEXT OR JSON, or "payload_base64":
    /// TEXT, optionally "headers": {...} and "message_id": TEXT}
    pub file: PathBuf,

    /// Stream that the messages are written to
    #[arg(long, value_name = "NAME", default_value = "replay")]
    pub stream: String,

    /// Report lines that cannot be read and go on, instead of ending at the first
    #[arg(long)]
    pub skip_bad_lines: bool,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Messages committed to the inbox.
    pub messages: u64,
    /// Transactions they took.
    pub batches: u64,
    /// Lines that were skipped since they could not be read.
    pub bad_lines: u64,
}

/// Why a replay ended early. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The input cannot be read.
    #[error("cannot read {}", .path.display())]
    Input {
        /// The file, `-` for standard input.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line is malformed.
    #[error("line {line}: {problem} ({committed} messages before it are in the inbox)")]
    BadLine {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
        /// Messages committed before.
        committed: u64,
    },
    /// The database refuses, or cannot be reached.
    #[error("{problem}{}", .hint.map(|hint| format!("; {hint}")).unwrap_or_default())]
    Database {
        /// What the database says.
        problem: String,
        /// What to do.
        hint: Option<&'static str>,
    },
}

impl From<InboxError> for ReplayError {
    fn from(error: InboxError) -> Self {
        Self::Database { problem: error.to_string(), hint: error.hint() }
    }
}

/// Writes the messages of `args.file` to the inbox, in batches as `run` does, until its end or until `shutdown`.
///
/// # Errors
/// [`ReplayError`]; what was committed before stays.
pub async fn replay(
    args: &ReplayArgs,
    config: &Config,
    shutdown: Shutdown,
) -> Result<ReplayCounts, ReplayError> {
    let mut lines = Lines::open(&args.file).await?;
    let writer = InboxWriter::connect(&config.postgres, &args.stream).await?;
    let limits = config.bridge.batch;
    let mut rows = CopyBuffer::new(&args.stream);
    let mut counts = ReplayCounts::default();
    while !shutdown.is_requested() {
        let Some(line) = lines.next().await? else { break };
        match line.and_then(|text| push(&mut rows, text)) {
            Ok(()) => (),
            Err(problem) if args.skip_bad_lines => {
                counts.bad_lines += 1;
                tracing::warn!(line = lines.number, problem, "line skipped");
            }
            Err(problem) => {
                write(&writer, &mut rows, &mut counts).await?;
                return Err(ReplayError::BadLine { line: lines.number, problem, committed: counts.messages });
            }
        }
        if rows.rows() >= limits.messages || rows.len() >= limits.bytes {
            write(&writer, &mut rows, &mut counts).await?;
        }
    }
    write(&writer, &mut rows, &mut counts).await?;
    Ok(counts)
}

async fn write(
    writer: &InboxWriter,
    rows: &mut CopyBuffer,
    counts: &mut ReplayCounts,
) -> Result<(), ReplayError> {
    if rows.rows() > 0 {
        let batch = rows.finish();
        writer.write(&batch).await?;
        counts.messages += batch.rows as u64;
        counts.batches += 1;
    }
    Ok(())
}

/// The lines of the input, with a limit on their length.
struct Lines {
    path: PathBuf,
    input: Box<dyn AsyncBufRead + Unpin + Send>,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines {
    async fn open(path: &Path) -> Result<Self, ReplayError> {
        let input: Box<dyn AsyncBufRead + Unpin + Send> = if path == Path::new(STANDARD_INPUT) {
            Box::new(BufReader::new(tokio::io::stdin()))
        } else {
            let file = File::open(path)
                .await
                .map_err(|source| ReplayError::Input { path: path.to_owned(), source })?;
            Box::new(BufReader::with_capacity(256 * 1024, file))
        };
        Ok(Self { path: path.to_owned(), input, buffer: Vec::new(), number: 0 })
    }

    /// The next line that is not empty, as bytes or as what is wrong with it; `None` at the end.
    async fn next(&mut self) -> Result<Option<Result<&[u8], String>>, ReplayError> {
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.input).take(MAX_LINE_BYTES);
            let read = limited
                .read_until(b'\n', &mut self.buffer)
                .await
                .map_err(|source| ReplayError::Input { path: self.path.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.buffer.last() != Some(&b'\n') && read as u64 == MAX_LINE_BYTES {
                self.skip_rest_of_line().await?;
                return Ok(Some(Err(format!("is longer than {MAX_LINE_BYTES} bytes"))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(Ok(&self.buffer)));
            }
        }
    }

    async fn skip_rest_of_line(&mut self) -> Result<(), ReplayError> {
        loop {
            let input_error = |source| ReplayError::Input { path: self.path.clone(), source };
            let available = self.input.fill_buf().await.map_err(input_error)?;
            let end = available.iter().position(|&byte| byte == b'\n');
            let consumed = end.map_or(available.len(), |end| end + 1);
            self.input.consume(consumed);
            if end.is_some() || consumed == 0 {
                return Ok(());
            }
        }
    }
}

/// A line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    payload_base64: Option<Cow<'a, str>>,
    headers: Option<Map<String, Value>>,
    message_id: Option<Cow<'a, str>>,
}

/// Adds the message of a line, or says what is wrong with it.
fn push(rows: &mut CopyBuffer, line: &[u8]) -> Result<(), String> {
    let record: Record<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let payload = match (record.payload, &record.payload_base64) {
        (Some(_), Some(_)) => return Err("has both payload and payload_base64".to_owned()),
        (Some(value), None) => Some(body(value)?),
        (None, Some(text)) => {
            Some(BASE64.decode(text.as_bytes()).map_err(|error| format!("payload_base64: {error}"))?)
        }
        (None, None) => None,
    };
    let headers = record.headers.filter(|headers| !headers.is_empty()).map(|headers| headers_text(&headers));
    rows.push(&InboxRow {
        topic: record.topic.as_bytes(),
        payload: payload.as_deref(),
        message_id: record.message_id.as_ref().map(|id| id.as_bytes()),
        redelivered: false,
        sent_at_ms: None,
        received_at: SystemTime::now(),
        headers: headers.as_deref(),
    });
    Ok(())
}

/// The bytes of a payload: a text's own, or the compact text of any other value, its numbers digit by digit.
fn body(value: &RawValue) -> Result<Vec<u8>, String> {
    let text = value.get();
    if text.starts_with('"') {
        let text: String = serde_json::from_str(text).map_err(|error| format!("payload: {error}"))?;
        return Ok(text.into_bytes());
    }
    Ok(compact(text))
}

/// JSON without the white space between its parts.
fn compact(json: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json.as_bytes() {
        if in_string || !byte.is_ascii_whitespace() {
            output.push(byte);
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => (),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str) -> String {
        push(&mut CopyBuffer::new("s"), line.as_bytes()).unwrap_err()
    }

    fn payload(json: &str) -> String {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        String::from_utf8(body(&raw).unwrap()).unwrap()
    }

    #[test]
    fn a_text_is_sent_as_it_is_and_other_values_as_compact_json() {
        assert_eq!(payload(r#""{ \"a\": 1 }""#), r#"{ "a": 1 }"#);
        assert_eq!(
            payload(r#"{ "a" : [ 1.50, 12345678901234567890123 ], "b c" : "x \" y" }"#),
            r#"{"a":[1.50,12345678901234567890123],"b c":"x \" y"}"#
        );
        assert_eq!(payload("null"), "null");
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        assert!(problem("{").contains("EOF"));
        assert!(problem(r#"{"payload": 1}"#).contains("missing field `topic`"));
        assert!(problem(r#"{"topic": "t", "body": 1}"#).contains("unknown field `body`"));
        assert!(problem(r#"{"topic": "t", "payload_base64": "?"}"#).contains("payload_base64"));
        assert!(problem(r#"{"topic": "t", "payload": 1, "payload_base64": ""}"#).contains("both"));
    }

    #[test]
    fn a_message_may_have_no_body_and_all_kinds_of_extras() {
        let mut rows = CopyBuffer::new("s");
        for line in [
            r#"{"topic": "t"}"#,
            r#"{"topic": "t\u0000", "payload_base64": "/wA=", "headers": {"a": 1}, "message_id": "m"}"#,
        ] {
            push(&mut rows, line.as_bytes()).unwrap();
        }
        assert_eq!(rows.rows(), 2);
    }

    #[tokio::test]
    async fn lines_are_numbered_with_the_empty_ones() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\n{}\n \n{}").unwrap();
        let mut lines = Lines::open(file.path()).await.unwrap();
        let mut numbers = Vec::new();
        while lines.next().await.unwrap().is_some() {
            numbers.push(lines.number);
        }
        assert_eq!(numbers, [2, 4]);
    }
}
