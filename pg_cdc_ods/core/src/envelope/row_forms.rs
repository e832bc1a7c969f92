//! Messages whose body is the row itself: flattened by `ExtractNewRecordState`, with user properties as Solace's
//! Micro-Integrations send it, or inside a CloudEvent.
//!
//! What the envelope would say stands elsewhere: in columns `__…`, in user properties, in attributes of the CloudEvent,
//! and, where nothing else says it, in the levels of the topic.

use std::sync::Arc;

use super::fields::Fields;
use super::source_fields::SourceFields;
use super::{BareRows, Control, Decoder, Message, Operation};
use crate::reject::{ErrorType, Reject};
use crate::row::{Field, Row};
use crate::schema::Schema;

/// What a body turned out to be.
pub(super) enum Form<'a> {
    /// A change.
    Change(Change<'a>),
    /// Nothing but a message that changes no row.
    Control(Control),
    /// None of the forms that are known.
    Unknown,
}

/// A change in any of the forms.
pub(super) struct Change<'a> {
    pub(super) op: Operation,
    pub(super) source: Box<SourceFields<'a>>,
    pub(super) before: Option<Row<'a>>,
    pub(super) after: Option<Row<'a>>,
    /// The schema of the row.
    pub(super) schema: Option<Arc<Schema>>,
}

impl<'a> Decoder<'a> {
    /// Reads a body that is no envelope of Debezium's own.
    pub(super) fn read_row_form(&mut self, message: &Message<'a>, text: &'a str) -> Result<Form<'a>, Reject> {
        let (fields, schema) = match self.unwrap(text) {
            Some(parts) => parts,
            None => return Ok(Form::Control(Control::Tombstone)),
        };
        if fields.get("specversion").is_some() && fields.get("data").is_some() {
            return self.read_cloud_event(message, &fields, schema);
        }
        let (source, is_marked) = properties(message);
        let schema = schema.or_else(|| {
            let text = message.headers?.get("cdc_after_schema")?.as_str()?;
            self.schemas.get(text)
        });
        self.read_row(message, fields, schema, source, is_marked)
    }

    /// A change without a body: its properties tell what was done, and the row or the key of it.
    pub(super) fn read_empty(&mut self, message: &Message<'a>) -> Result<Form<'a>, Reject> {
        let (source, _) = properties(message);
        let Some(op) = source.op.as_deref().and_then(Operation::from_word) else {
            return Ok(Form::Control(Control::Tombstone));
        };
        let schema = None;
        Ok(Form::Change(Change { op, source, before: self.before(message)?, after: None, schema }))
    }

    /// The fields of a body, those of `payload` if it is wrapped, and their schema; `None` if the payload is null.
    fn unwrap(&mut self, text: &'a str) -> Option<(Fields<'a>, Option<Arc<Schema>>)> {
        let fields: Fields<'a> = serde_json::from_str(text).unwrap_or_default();
        let is_wrapped = fields.0.iter().all(|(name, _)| matches!(name.as_ref(), "schema" | "payload"));
        match fields.get("payload").filter(|_| is_wrapped) {
            Some("null") => None,
            Some(payload) => {
                let schema = fields.get("schema").and_then(|text| self.schemas.get(text));
                Some((serde_json::from_str(payload).unwrap_or_default(), schema))
            }
            None => Some((fields, None)),
        }
    }

    fn read_cloud_event(
        &mut self,
        message: &Message<'a>,
        fields: &Fields<'a>,
        schema: Option<Arc<Schema>>,
    ) -> Result<Form<'a>, Reject> {
        let (mut source, _) = properties(message);
        fields.0.iter().for_each(|(name, raw)| source.take_attribute(name, raw));
        let data = fields.get("data").unwrap_or("null");
        let Some((data, data_schema)) = self.unwrap(data) else {
            return Ok(Form::Control(Control::Tombstone));
        };
        let outer = || Some(Arc::new(schema.as_ref()?.field("data")?.clone()));
        let schema = data_schema.or_else(outer);
        if data.get("before").is_none() && data.get("after").is_none() {
            return self.read_row(message, data, schema, source, true);
        }
        if let Some(op) = data.get("op").and_then(super::source_fields::scalar) {
            source.op = Some(op);
        }
        let Some(op) = source.op.as_deref().and_then(Operation::from_letter) else {
            let text = "the CloudEvent tells no operation: it has no attribute \"iodebeziumop\" that is one of c, u, d, r, t";
            return Err(Reject::at(ErrorType::MalformedEvent, "iodebeziumop", text));
        };
        let row_schema = schema.and_then(|schema| Schema::clone(&schema).into_row()).map(Arc::new);
        let image = |name: &str| read_image(data.get(name), &format!("data.{name}"));
        let (before, after) = (image("before")?, image("after")?);
        Ok(Form::Change(Change { op, source, before, after, schema: row_schema }.typed()))
    }

    fn read_row(
        &mut self,
        message: &Message<'a>,
        fields: Fields<'a>,
        schema: Option<Arc<Schema>>,
        mut source: Box<SourceFields<'a>>,
        mut is_marked: bool,
    ) -> Result<Form<'a>, Reject> {
        let mut columns = Vec::with_capacity(fields.0.len());
        for (name, raw) in fields.0 {
            if source.take_column(&name, raw) {
                is_marked = true;
            } else {
                columns.push((name, Field::untyped(raw)));
            }
        }
        if !is_marked && (self.settings.bare_rows == BareRows::Refuse || columns.is_empty()) {
            return Ok(Form::Unknown);
        }
        let row = Row::new(columns);
        let op = match source.op.as_deref() {
            Some(text) => Operation::from_word(text).ok_or_else(|| {
                let message = format!("unknown operation {text:?}: expected one of c, u, d, r, t");
                Reject::at(ErrorType::MalformedEvent, "__op", message)
            })?,
            None if source.deleted.as_deref() == Some("true") => Operation::Delete,
            // Without a word about it the row may be new or not: an update that inserts is right for both.
            None => Operation::from_topic(message.topic).unwrap_or(Operation::Update),
        };
        let before = self.before(message)?;
        let (before, after) = match op {
            Operation::Delete => (before.or_else(|| Some(row).filter(|row| !row.is_empty())), None),
            _ => (before, Some(row)),
        };
        Ok(Form::Change(Change { op, source, before, after, schema }.typed()))
    }

    /// The row before the change, from the user property `cdc_before`.
    fn before(&self, message: &Message<'a>) -> Result<Option<Row<'a>>, Reject> {
        let text = message.headers.and_then(|headers| headers.get("cdc_before")?.as_str());
        read_image(text.filter(|text| !text.trim().is_empty()), "cdc_before")
    }
}

impl<'a> Change<'a> {
    /// Gives the columns the types that the schema has for them.
    pub(super) fn typed(mut self) -> Self {
        if let Some(schema) = &self.schema {
            [&mut self.before, &mut self.after].into_iter().flatten().for_each(|row| row.set_types(schema));
        }
        self
    }
}

fn read_image<'a>(raw: Option<&'a str>, path: &str) -> Result<Option<Row<'a>>, Reject> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw).map_err(|error| {
        let message = format!("{path} is not an object of columns: {error}");
        Reject::at(ErrorType::MalformedEvent, path, message)
    })
}

/// What the user properties say, and whether they say that this is a change.
fn properties<'a>(message: &Message<'a>) -> (Box<SourceFields<'a>>, bool) {
    let mut source = Box::<SourceFields<'a>>::default();
    let mut is_marked = false;
    for (name, value) in message.headers.into_iter().flatten() {
        is_marked |= source.take_property(name, value);
    }
    (source, is_marked)
}
