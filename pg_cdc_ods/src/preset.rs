//! `cdc.install_preset()`: ready-made tables and attachments.

use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::sql_error::{raise, spi_failed};

/// The tables and attachments of the e-commerce preset; `@schema@` stands for the quoted schema.
const ECOMMERCE: &str = include_str!("../sql/preset/ecommerce.sql");

#[pg_extern]
fn install_preset(name: &str, schema: default!(&str, "'public'")) {
    if name != "ecommerce" {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("invalid value for argument \"name\": there is no preset \"{name}\""),
            "The presets are: ecommerce.",
        );
    }
    let sql = ECOMMERCE.replace("@schema@", &quote_identifier(schema));
    if let Err(error) = Spi::run(&sql) {
        spi_failed("cannot install the preset", &error);
    }
}
