//! Warns of lookups by key that have to read whole tables.

use std::collections::BTreeSet;

use cdc_core::{Enrichment, KeyForm, UnindexedScan, quote_name, unindexed_scans};
use pgrx::Json;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::settings_scope::with_settings;
use crate::sql_error::spi_failed;

/// On an empty table reading all of it is cheapest: what remains with these off has no index to use.
const ONLY_INDEXES: [(&std::ffi::CStr, &std::ffi::CStr); 3] =
    [(c"enable_seqscan", c"off"), (c"enable_hashjoin", c"off"), (c"enable_mergejoin", c"off")];

/// Has the statements of an enriched table planned, and warns of every index that they lack.
pub(super) fn check(client: &mut SpiClient<'_>, enrichment: &Enrichment) {
    let no_keys = Vec::<Option<String>>::from([None]);
    let mut plans = vec![explain(client, &enrichment.refresh(KeyForm::Text), &[no_keys.into()])];
    for dependency in &enrichment.dependencies {
        let no_key = || None::<String>.into();
        let args = [pgrx::JsonB(serde_json::json!([])).into(), no_key(), no_key(), 1_i64.into()];
        plans.push(explain(client, &enrichment.next_keys(dependency), &args));
    }
    let hints: BTreeSet<String> =
        plans.iter().flat_map(unindexed_scans).map(|scan| hint(client, &scan)).collect();
    for hint in hints {
        warning!("enriched table {}: {hint}", enrichment.name);
    }
}

fn explain(
    client: &mut SpiClient<'_>,
    statement: &str,
    args: &[pgrx::datum::DatumWithOid<'_>],
) -> serde_json::Value {
    let sql = format!("explain (format json, verbose, costs off) {statement}");
    let plan = with_settings(&ONLY_INDEXES, || client.update(&sql, Some(1), args)?.first().get_one::<Json>());
    let plan = plan.unwrap_or_else(|error| spi_failed("cannot plan the query of an enriched table", &error));
    plan.map_or(serde_json::Value::Null, |json| json.0)
}

const COLUMNS: &str = "
    select array_agg(a.attname::text order by a.attnum) from pg_catalog.pg_attribute a
     where a.attrelid = to_regclass(format('%I.%I', $1, $2)) and a.attnum > 0 and not a.attisdropped";

fn hint(client: &mut SpiClient<'_>, scan: &UnindexedScan) -> String {
    let table = format!("{}.{}", quote_name(&scan.schema), quote_name(&scan.table));
    let args = [scan.schema.as_str().into(), scan.table.as_str().into()];
    let columns = client.update(COLUMNS, Some(1), &args).and_then(|row| row.first().get_one::<Vec<String>>());
    let columns =
        columns.unwrap_or_else(|error| spi_failed("cannot read the catalog", &error)).unwrap_or_default();
    match scan.column(&columns) {
        Some(column) => format!(
            "no index serves its lookups in {table}, which will be slow once that is large; \
             run: create index on {table} ({});",
            quote_name(column)
        ),
        None => format!(
            "its lookups read all of {table}, which will be slow once that is large; index what it compares"
        ),
    }
}
