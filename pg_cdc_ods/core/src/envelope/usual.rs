//! Reads usual messages with a [`Scanner`]: Debezium's envelopes of tables whose messages come in great numbers.
//!
//! Messages of one kind have the same fields in the same order. So names are expected where the message before had them,
//! which costs a comparison and no search for their end; and rows with the same columns share their names.

use std::borrow::Cow;
use std::rc::Rc;

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
    names: Rc<ColumnNames<'a>>,
    starts: Rc<[&'a str]>,
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
        let mut place = 0;
        while let Some(name) = order(self.known).next_name(place, &mut self.scanner)? {
            take(name, self)?;
            place += 1;
        }
        Ok(())
    }

    /// Reads the columns of a row that has some.
    fn columns(&mut self) -> Result<Row<'a>, Unusual> {
        let first = self.scanner.first_name()?;
        let known =
            self.known.rows.find(|row| row.names.as_slice().first().is_some_and(|name| name == first));
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
        let is_it = |known: &KnownRow<'a>| known.names.as_slice() == names;
        let make = || KnownRow { names: Rc::new(ColumnNames::new(names.clone())), starts: starts.into() };
        let known = self.known.rows.find_or_add(is_it, make);
        Ok(Row::of(Rc::clone(&known.names), fields))
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
                    None => reader.ignore()?,
                }
                Ok(())
            },
        )?;
        Ok(Some(source))
    }

    fn envelope(&mut self) -> Result<Option<Envelope<'a>>, Unusual> {
        if self.scanner.null() {
            return Ok(None);
        }
        let mut envelope = Envelope::default();
        self.object(|known| &mut known.envelope, |name, reader| envelope.take_field(name, reader))?;
        Ok(Some(envelope))
    }

    fn ignore(&mut self) -> Result<(), Unusual> {
        self.scanner.ignore()
    }
}

/// The fields of an object in the order in which they came last: the text up to the value of each, and its name.
#[derive(Debug, Default)]
struct FieldOrder<'a>(Vec<(&'a str, &'a str)>);

impl<'a> FieldOrder<'a> {
    /// The longest order that is remembered: longer than any envelope or `source` block.
    const LEN_MAX: usize = 64;

    /// Reads the name of the field at this place, if the object goes on so far.
    fn next_name(&mut self, place: usize, scanner: &mut Scanner<'a>) -> Result<Option<&'a str>, Unusual> {
        if let Some((_, name)) = self.0.get(place).filter(|(start, _)| scanner.pass(start)) {
            return Ok(Some(name));
        }
        let Some((start, name)) = scanner.next_name(place == 0)? else { return Ok(None) };
        self.0.truncate(place);
        if place == self.0.len() && place < Self::LEN_MAX {
            self.0.push((start, name));
        }
        Ok(Some(name))
    }
}
