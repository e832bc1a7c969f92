//! `cdc.aggregate()`: checks what is declared, stores it, and fills the windows.

use cdc_core::Aggregate;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::deltas;
use crate::change_triggers::ChangeTriggers;
use crate::enrich::Catalog;
use crate::resolve::{Query, SearchPath, Table};
use crate::sql_error::{invalid, spi_failed};

/// The triggers on tables that are aggregated.
pub(super) const TRIGGERS: ChangeTriggers =
    ChangeTriggers { prefix: "cdc_aggregate", function: "cdc.aggregate_changed" };

const SAVE: &str = "
    insert into cdc.aggregates (name, source_schema, source_table, target_schema, target_table, contributions, groups,
                                counter, measures, window_size, watermark_delay, time_type, used_columns, owner)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
            (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (name) do update
       set source_schema = excluded.source_schema, source_table = excluded.source_table,
           target_schema = excluded.target_schema, target_table = excluded.target_table,
           contributions = excluded.contributions, groups = excluded.groups, counter = excluded.counter,
           measures = excluded.measures, window_size = excluded.window_size,
           watermark_delay = excluded.watermark_delay, time_type = excluded.time_type,
           used_columns = excluded.used_columns, owner = excluded.owner
    returning aggregate_id";

/// What a user declares.
pub(super) struct Declaration<'d> {
    pub(super) name: &'d str,
    pub(super) source: &'d str,
    pub(super) target: &'d str,
    pub(super) contributions: &'d str,
    pub(super) groups: Vec<String>,
    pub(super) counter: &'d str,
    pub(super) window_size: Interval,
    pub(super) watermark_delay: Interval,
    pub(super) path: SearchPath<'d>,
}

impl Declaration<'_> {
    /// Checks and stores it, and fills the table of windows; returns its number.
    pub(super) fn configure(self, client: &mut SpiClient<'_>) -> i32 {
        if self.name.is_empty() {
            invalid("name", "", "Give it a name, to remove or replace it by.");
        }
        let source = self.path.table(client, "source", self.source);
        let target = self.path.table(client, "target", self.target);
        let contributions = self.path.query(client, "contributions", self.contributions, Some(&source));
        let time_type = time_type(&contributions);
        let measures = self.measures(&target, &contributions);
        self.check_target(&target);
        TRIGGERS.create(client, &source);
        let id = self.save(client, &source, &target, contributions, measures, time_type);
        match Catalog::current(client).aggregates.iter().find(|found| found.aggregate.aggregate_id == id) {
            Some(found) => fill(client, &found.aggregate),
            None => invalid("name", self.name, "It was not stored."),
        }
        id
    }

    /// The columns of the contributions that are neither time nor group.
    fn measures(&self, target: &Table, contributions: &Query) -> Vec<String> {
        for group in &self.groups {
            if !contributions.columns.iter().any(|column| column.name == *group) {
                invalid("groups", group, "The query of contributions gives no such column.");
            }
        }
        let names = contributions.columns.iter().map(|column| column.name.clone());
        let measures: Vec<_> =
            names.filter(|name| name != "event_time" && !self.groups.contains(name)).collect();
        target.ensure_columns("contributions", measures.iter());
        if measures.iter().any(|name| name == self.counter) {
            invalid(
                "counter",
                self.counter,
                "It counts contributions by itself: leave it out of their query.",
            );
        }
        measures
    }

    fn check_target(&self, target: &Table) {
        target.ensure_columns("groups", &self.groups);
        let own = ["window_start", "window_end", "closed", self.counter].map(str::to_owned);
        target.ensure_columns("target", own.iter());
    }

    fn save(
        &self,
        client: &mut SpiClient<'_>,
        source: &Table,
        target: &Table,
        contributions: Query,
        measures: Vec<String>,
        time_type: String,
    ) -> i32 {
        let args = [
            self.name.into(),
            source.schema.as_str().into(),
            source.name.as_str().into(),
            target.schema.as_str().into(),
            target.name.as_str().into(),
            contributions.text.into(),
            self.groups.clone().into(),
            self.counter.into(),
            measures.into(),
            self.window_size.into(),
            self.watermark_delay.into(),
            time_type.into(),
            contributions.used_columns.into(),
        ];
        let saved = client.update(SAVE, None, &args).and_then(|row| row.first().get_one::<i32>());
        saved.unwrap_or_else(|error| spi_failed("cannot write cdc.aggregates", &error)).unwrap_or_default()
    }
}

fn time_type(contributions: &Query) -> String {
    let types = ["timestamp without time zone", "timestamp with time zone"];
    match contributions.columns.iter().find(|column| column.name == "event_time") {
        Some(column) if types.contains(&column.type_name.as_str()) => column.type_name.clone(),
        Some(column) => invalid(
            "contributions",
            &column.type_name,
            "event_time must be a timestamp, with time zone or without.",
        ),
        None => invalid("contributions", "", "Its query must give a column event_time."),
    }
}

/// Makes the windows from scratch; the lock of the triggers keeps writers of the source away until commit.
fn fill(client: &mut SpiClient<'_>, aggregate: &Aggregate) {
    deltas::run(client, &aggregate.remove_all());
    deltas::add_all(client, aggregate);
}
