//! `cdc.promote_column()`: a field of `extra_fields` becomes a column of its own.
//!
//! The steps are SQL, in `sql/promote.sql`; what is here is the conversion of values by the same rules as in events.

use cdc_core::ColumnType;
use pgrx::JsonB;
use pgrx::prelude::*;

use crate::inbox;
use crate::sql_error::raise;

#[pg_extern]
fn coerce(value: JsonB, type_name: &str) -> Option<String> {
    let raw = value.0.to_string();
    match ColumnType::from_sql_name(type_name).convert(raw.as_str()) {
        Ok(value) => value.text().map(std::borrow::Cow::into_owned),
        Err(error) => raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("a value does not fit the column: {error}"),
            "Choose a type that holds all values, such as text; the fields that are there show in extra_fields.",
        ),
    }
}

#[pg_extern]
fn lock_apply() {
    Spi::connect_mut(inbox::lock_progress);
}
