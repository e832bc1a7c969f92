//! Dates and times: ISO 8601 text and counts from an epoch, to and from PostgreSQL's numbers.
//!
//! PostgreSQL stores `date` as days and `timestamp` as microseconds since 2000-01-01. The calendar is the proleptic
//! Gregorian one, as PostgreSQL's. Between text and number stand nanoseconds, so that nothing is lost on the way.

mod calendar;
mod epoch;
mod format;
mod iso;

pub use calendar::PG_EPOCH_UNIX_MICROS;
pub(crate) use epoch::{
    date_from_days, date_from_epoch, timestamp_from_epoch, unit_of_time, unit_of_timestamp,
};
pub(crate) use format::{
    date_for_server, format_date, format_duration, format_time, format_timestamp, timestamp_for_server,
};
pub(crate) use iso::parse_time;
pub use iso::{parse_date, parse_timestamp};

/// What kind of moment a text is, for columns that are made from values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    Date,
    Timestamp,
    TimestampTz,
}

/// The kind of moment that a text in full ISO form is; `None` for any other text.
pub(crate) fn kind_of_text(text: &str) -> Option<TextKind> {
    let reading = iso::read(text)?;
    Some(match (reading.has_time, reading.offset_seconds) {
        (false, _) => TextKind::Date,
        (true, None) => TextKind::Timestamp,
        (true, Some(_)) => TextKind::TimestampTz,
    })
}
