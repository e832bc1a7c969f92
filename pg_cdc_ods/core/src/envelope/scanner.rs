//! The JSON of usual messages, in one pass over their bytes.
//!
//! A scanner hands out names and values as pieces of the text that it reads. What it accepts is JSON exactly as
//! `serde_json` accepts it, but it does not accept all: at the first thing that is wrong or merely unusual, such as a
//! name with an escape, it is [`Unusual`] and `serde_json` reads the message from its beginning. So that alone says what
//! is an error, and how an error reads.

use std::borrow::Cow;

use crate::json;

/// Why a scanner stopped: at something that is not JSON, not expected here, or left to `serde_json`.
#[derive(Debug)]
pub(super) struct Unusual;

/// How deep a value may be nested; the schemas of messages, the deepest values that are usual, are 7 deep.
const DEPTH_MAX: usize = 16;

/// A place in a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Scanner<'a> {
    /// Begins to read a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, place: 0 }
    }

    /// Reads on to the value of the next field of an object, or of its first; `None` if it has no more. Returns all that
    /// was read, e.g. `{"ID":` or `,"NAME":`, and the name in it.
    pub(super) fn next_name(&mut self, is_first: bool) -> Result<Option<(&'a str, &'a str)>, Unusual> {
        let start = self.place;
        if is_first {
            self.require(b'{')?;
        }
        if self.skip(b'}') {
            return Ok(None);
        }
        if !is_first {
            self.require(b',')?;
        }
        let name = self.plain_string()?;
        self.require(b':')?;
        Ok(Some((self.since(start)?, name)))
    }

    /// Whether this text, which ends in a colon, is next.
    pub(super) fn is_at(&self, start_of_field: &str) -> bool {
        let start = start_of_field.as_bytes();
        // One look at the colon is enough to tell most names from each other.
        let at_colon = self.place + start.len() - 1;
        self.text.as_bytes().get(at_colon) == Some(&b':') && self.rest().starts_with(start)
    }

    /// Passes this text, if it is next.
    pub(super) fn pass(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text.as_bytes());
        self.place += if is_next { text.len() } else { 0 };
        is_next
    }

    /// Passes this text of a field with its value, if it is next.
    pub(super) fn pass_field(&mut self, field: &str) -> bool {
        let rest = self.rest().strip_prefix(field.as_bytes());
        // A number may go on.
        let is_next = rest.is_some_and(|rest| matches!(rest.first(), Some(b',' | b'}')));
        self.place += if is_next { field.len() } else { 0 };
        is_next
    }

    /// The place in the text.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// Passes `null`, if that is the next value.
    pub(super) fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.pass("null")
    }

    /// Reads a string without escapes.
    pub(super) fn plain_string(&mut self) -> Result<&'a str, Unusual> {
        self.require(b'"')?;
        let start = self.place;
        match self.string_part()? {
            b'"' => self.text.get(start..self.place - 1).ok_or(Unusual),
            _ => Err(Unusual),
        }
    }

    /// Reads a string, number or boolean as text; of `null`, and of a string that no text can hold, there is none.
    pub(super) fn scalar(&mut self) -> Result<Option<Cow<'a, str>>, Unusual> {
        match self.peek() {
            Some(b'"') => {
                let start = self.place;
                if let Ok(text) = self.plain_string() {
                    return Ok(Some(text.into()));
                }
                self.place = start;
                self.value().map(json::string)
            }
            Some(b'{' | b'[') => Err(Unusual),
            _ => self.value().map(|raw| (raw != "null").then_some(raw.into())),
        }
    }

    /// Reads a value of any kind, as it is written.
    pub(super) fn value(&mut self) -> Result<&'a str, Unusual> {
        let first = self.peek().ok_or(Unusual)?;
        let start = self.place;
        self.pass_value(first, 0)?;
        self.since(start)
    }

    /// Passes a value of any kind.
    pub(super) fn ignore(&mut self) -> Result<(), Unusual> {
        self.value().map(drop)
    }

    /// Reads the end of the text.
    pub(super) fn end(&mut self) -> Result<(), Unusual> {
        if self.peek().is_none() { Ok(()) } else { Err(Unusual) }
    }

    /// Passes a value that begins here with this byte.
    fn pass_value(&mut self, first: u8, depth: usize) -> Result<(), Unusual> {
        match first {
            b'"' => {
                self.place += 1;
                self.pass_string()
            }
            b'-' | b'0'..=b'9' => self.pass_number(),
            b'n' => self.pass_word("null"),
            b't' => self.pass_word("true"),
            b'f' => self.pass_word("false"),
            _ if depth == DEPTH_MAX => Err(Unusual),
            b'{' => self.pass_object(depth + 1),
            b'[' => self.pass_array(depth + 1),
            _ => Err(Unusual),
        }
    }

    fn pass_object(&mut self, depth: usize) -> Result<(), Unusual> {
        let mut is_first = true;
        while self.next_name(is_first)?.is_some() {
            let first = self.peek().ok_or(Unusual)?;
            self.pass_value(first, depth)?;
            is_first = false;
        }
        Ok(())
    }

    fn pass_array(&mut self, depth: usize) -> Result<(), Unusual> {
        self.require(b'[')?;
        if self.skip(b']') {
            return Ok(());
        }
        loop {
            let first = self.peek().ok_or(Unusual)?;
            self.pass_value(first, depth)?;
            if !self.skip(b',') {
                return self.require(b']');
            }
        }
    }

    fn pass_word(&mut self, word: &str) -> Result<(), Unusual> {
        if self.pass(word) { Ok(()) } else { Err(Unusual) }
    }

    fn pass_number(&mut self) -> Result<(), Unusual> {
        if self.at() == Some(b'-') {
            self.place += 1;
        }
        let starts_with_zero = self.at() == Some(b'0');
        let digits = self.pass_digits()?;
        if starts_with_zero && digits > 1 {
            return Err(Unusual);
        }
        if self.at() == Some(b'.') {
            self.place += 1;
            self.pass_digits()?;
        }
        if matches!(self.at(), Some(b'e' | b'E')) {
            self.place += 1;
            if matches!(self.at(), Some(b'-' | b'+')) {
                self.place += 1;
            }
            self.pass_digits()?;
        }
        Ok(())
    }

    /// Passes one or more digits; returns how many.
    fn pass_digits(&mut self) -> Result<usize, Unusual> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.place += digits;
        if digits > 0 { Ok(digits) } else { Err(Unusual) }
    }

    /// Passes a string behind its opening quote.
    fn pass_string(&mut self) -> Result<(), Unusual> {
        while self.string_part()? == b'\\' {
            let is_valid = match self.at().ok_or(Unusual)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => true,
                b'u' => {
                    let digits = self.rest().get(1..5).ok_or(Unusual)?;
                    self.place += digits.len();
                    digits.iter().all(u8::is_ascii_hexdigit)
                }
                _ => false,
            };
            if !is_valid {
                return Err(Unusual);
            }
            self.place += 1;
        }
        Ok(())
    }

    /// Passes the characters of a string up to and with the next quote or backslash, and returns which of the two it is.
    #[inline(always)]
    fn string_part(&mut self) -> Result<u8, Unusual> {
        self.place += json::plain_length(self.rest());
        let end = self.at().filter(|byte| *byte >= b' ').ok_or(Unusual)?;
        self.place += 1;
        Ok(end)
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.at() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.place += 1,
                next => return next,
            }
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.place += usize::from(is_next);
        is_next
    }

    fn require(&mut self, byte: u8) -> Result<(), Unusual> {
        if self.skip(byte) { Ok(()) } else { Err(Unusual) }
    }

    /// The text from a place up to here.
    pub(super) fn since(&self, start: usize) -> Result<&'a str, Unusual> {
        self.text.get(start..self.place).ok_or(Unusual)
    }

    fn at(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.place..).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
