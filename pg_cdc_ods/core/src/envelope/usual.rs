//! Reads usual messages with a [`Scanner`]: Debezium's envelopes of tables whose messages come in great numbers.
//!
//! Messages of one kind have the same fields in the same order. So names are expected where the message before had them,
//! and fields that do not matter with the value that they had: that costs a comparison, and no search for their end.
//! Text that is the same as a piece that has been read is as valid as that. Rows with the same columns share their names.

use std::borrow::Cow;
use std::sync::Arc;

use super::debezium::{Envelope, Values};
use super::scanner::{Scanner, Unusual};
use super::source_fields::SourceFields;
use crate::recent::Recent;
use crate::row::{ColumnNames, Field, Row};

/// What the messages of a batch have in common.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    body: FieldOrder<'a>,
    envelope: FieldOrder<'a>,
    source: FieldOrder<'a>,
    rows: Recent<KnownRow<'a>>,
}

/// The columns of rows, and the text up to the value of each: `{"ID":`, `,"NAME":`.
#[derive(Debug, Clone)]
struct KnownRow<'a> {
    names: Arc<ColumnNames<'a>>,
    starts: Arc<[&'a str]>,
}

/// A reader of one message.
pub(super) struct UsualReader<'k, 'a> {
    scanner: Scanner<'a>,
    known: &'k mut Known<'a>,
}

impl<'k, 'a> UsualReader<'k, 'a> {
    pub(super) fn new(text: &'a str, known: &'k mut Known<'a>) -> Self {
        Self { scanner: Scanner::new(text), known }
    }

    /// Reads the whole text, an object; `take` takes each of its fields.
    pub(super) fn read(
        mut self,
        take: impl FnMut(&str, &mut Self) -> Result<(), Unusual>,
    ) -> Result<(), Unusual> {
        self.object(|known| &mut known.body, take)?;
        self.scanner.end()
    }

    fn object(
        &mut self,
        order: impl for<'o> Fn(&'o mut Known<'a>) -> &'o mut FieldOrder<'a>,
        mut take: impl FnMut(&str, &mut Self) -> Result<(), Unusual>,
    ) -> Result<(), Unusual> {
        order(self.known).begin();
        while let Some(name) = order(self.known).next_name(&mut self.scanner)? {
            take(name, self)?;
        }
        Ok(())
    }

    /// Reads the columns of a row: as those of a row before that began with the same one, as far as they are.
    fn columns(&mut self) -> Result<Row<'a>, Unusual> {
        let is_at = |row: &KnownRow<'a>| row.starts.first().is_some_and(|start| self.scanner.is_at(start));
        let known = self.known.rows.find(is_at);
        let Some(known) = known.cloned() else { return self.other_columns(&[], &[], Vec::new()) };
        let mut fields = Vec::with_capacity(known.starts.len());
        while known.starts.get(fields.len()).is_some_and(|start| self.scanner.pass(start)) {
            fields.push(Field::untyped(self.scanner.value()?));
        }
        if fields.len() == known.starts.len() && self.scanner.pass("}") {
            return Ok(Row::of(known.names, fields));
        }
        self.other_columns(&known.names.as_slice()[..fields.len()], &known.starts[..fields.len()], fields)
    }

    /// Reads the rest of the columns of a row, and finds out whether there was one with the same.
    fn other_columns(
        &mut self,
        names: &[Cow<'a, str>],
        starts: &[&'a str],
        mut fields: Vec<Field<'a>>,
    ) -> Result<Row<'a>, Unusual> {
        let (mut names, mut starts) = (names.to_vec(), starts.to_vec());
        while let Some((start, name)) = self.scanner.next_name(fields.is_empty())? {
            starts.push(start);
            names.push(name.into());
            fields.push(Field::untyped(self.scanner.value()?));
        }
        if let Some(known) = self.known.rows.find(|known| known.names.as_slice() == names) {
            return Ok(Row::of(Arc::clone(&known.names), fields));
        }
        let names = Arc::new(ColumnNames::new(names));
        self.known.rows.add(KnownRow { names: Arc::clone(&names), starts: starts.into() });
        Ok(Row::of(names, fields))
    }
}

impl<'a> Values<'a> for UsualReader<'_, 'a> {
    type Error = Unusual;

    fn raw(&mut self) -> Result<&'a str, Unusual> {
        self.scanner.value()
    }

    fn text(&mut self) -> Result<Option<Cow<'a, str>>, Unusual> {
        if self.scanner.null() { Ok(None) } else { self.scanner.plain_string().map(|text| Some(text.into())) }
    }

    fn scalar(&mut self) -> Result<Option<Cow<'a, str>>, Unusual> {
        self.scanner.scalar()
    }

    fn row(&mut self) -> Result<Option<Row<'a>>, Unusual> {
        if self.scanner.null() {
            return Ok(None);
        }
        self.columns().map(Some)
    }

    fn source(&mut self) -> Result<Option<Box<SourceFields<'a>>>, Unusual> {
        if self.scanner.null() {
            return Ok(None);
        }
        let mut source = Box::<SourceFields<'a>>::default();
        self.object(
            |known| &mut known.source,
            |name, reader| {
                match source.slot(name) {
                    Some(slot) => *slot = reader.scanner.scalar()?,
                    None => reader.known.source.ignore(&mut reader.scanner)?,
                }
                Ok(())
            },
        )?;
        Ok(Some(source))
    }

    fn envelope(&mut self, place: &mut Option<Envelope<'a>>) -> Result<(), Unusual> {
        if self.scanner.null() {
            *place = None;
            return Ok(());
        }
        let envelope = place.insert(Envelope::default());
        self.object(|known| &mut known.envelope, |name, reader| envelope.take_field(name, reader))
    }

    fn ignore(&mut self) -> Result<(), Unusual> {
        self.scanner.ignore()
    }
}

/// The fields of an object in the order in which they came last.
#[derive(Debug, Default)]
struct FieldOrder<'a> {
    fields: Vec<KnownField<'a>>,
    /// The place of the next field in the object that is being read.
    next: usize,
    /// Where the text of the field before begins.
    start: usize,
}

#[derive(Debug)]
struct KnownField<'a> {
    name: &'a str,
    /// The text up to its value: `{"op":`, `,"table":`.
    start: &'a str,
    /// The text with its value, if that is ignored; else empty.
    ignored: &'a str,
}

impl<'a> FieldOrder<'a> {
    /// The longest order that is remembered: longer than any envelope or `source` block.
    const LEN_MAX: usize = 64;

    /// Begins to read an object.
    fn begin(&mut self) {
        self.next = 0;
    }

    /// Reads the name of the next field, if there is one; passes those that are ignored and the same as last.
    #[inline(always)]
    fn next_name(&mut self, scanner: &mut Scanner<'a>) -> Result<Option<&'a str>, Unusual> {
        while let Some(known) = self.fields.get(self.next) {
            if known.ignored.is_empty() || !scanner.pass_field(known.ignored) {
                break;
            }
            self.next += 1;
        }
        let place = self.next;
        self.start = scanner.place();
        self.next += 1;
        if let Some(known) = self.fields.get(place).filter(|known| scanner.pass(known.start)) {
            return Ok(Some(known.name));
        }
        let Some((start, name)) = scanner.next_name(place == 0)? else { return Ok(None) };
        self.fields.truncate(place);
        if place == self.fields.len() && place < Self::LEN_MAX {
            self.fields.push(KnownField { name, start, ignored: "" });
        }
        Ok(Some(name))
    }

    /// Passes the value of the field whose name was read last.
    fn ignore(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Unusual> {
        scanner.ignore()?;
        if let Some(known) = self.fields.get_mut(self.next - 1) {
            known.ignored = scanner.since(self.start)?;
        }
        Ok(())
    }
}
