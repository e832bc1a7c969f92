//! `cdc.enrich()`: checks what is declared, stores it, and makes the triggers that tell of changes.

use cdc_core::{DeclaredDependency, Dependency, Enrichment, Policy};
use pgrx::JsonB;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::index_check;
use crate::change_triggers::ChangeTriggers;
use crate::resolve::{Query, SearchPath, Table};
use crate::sql_error::{invalid, raise, spi_failed};

/// The triggers on tables that enriched tables read.
pub(super) const TRIGGERS: ChangeTriggers =
    ChangeTriggers { prefix: "cdc_enrich", function: "cdc.enrich_changed" };

const SAVE: &str = "
    insert into cdc.enrichments as e (name, target_schema, target_table, key, key_type, columns, query, dependencies,
                                      stamped, owner)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, (select oid from pg_catalog.pg_roles where rolname = current_user))
    on conflict (name) do update
       set target_schema = excluded.target_schema, target_table = excluded.target_table, key = excluded.key,
           key_type = excluded.key_type, columns = excluded.columns, query = excluded.query,
           dependencies = excluded.dependencies, stamped = excluded.stamped, owner = excluded.owner
    returning enrichment_id";

/// What a user declares.
pub(super) struct Declaration<'d> {
    pub(super) name: &'d str,
    pub(super) target: &'d str,
    pub(super) key: &'d str,
    pub(super) query: &'d str,
    pub(super) dependencies: JsonB,
    pub(super) path: SearchPath<'d>,
}

impl Declaration<'_> {
    /// Checks and stores it; returns its number.
    pub(super) fn configure(self, client: &mut SpiClient<'_>) -> i32 {
        if self.name.is_empty() {
            invalid("name", "", "Give it a name, to remove or replace it by.");
        }
        let target = self.path.table(client, "target", self.target);
        let query = self.path.query(client, "query", self.query, None);
        let key_type = self.check_target(&target, &query);
        let declared = DeclaredDependency::parse_list(self.dependencies.0)
            .unwrap_or_else(|error| invalid("dependencies", &error.to_string(), DEPENDENCIES_HINT));
        let (tables, dependencies): (Vec<_>, Vec<_>) = declared
            .into_iter()
            .map(|declared| resolve(client, &self.path, &target, &query, declared))
            .unzip();
        tables.iter().for_each(|table| TRIGGERS.create(client, table));
        let stamped = target.column("processed_at").is_some()
            && !query.columns.iter().any(|column| column.name == "processed_at");
        let mut enrichment = Enrichment {
            enrichment_id: 0,
            name: self.name.to_owned(),
            target: target.quoted(),
            key: self.key.to_owned(),
            key_type,
            key_collation: None,
            columns: query.columns.into_iter().map(|column| column.name).collect(),
            query: query.text,
            stamped,
            dependencies,
        };
        index_check::check(client, &enrichment);
        enrichment.enrichment_id = save(client, &target, &enrichment);
        enrichment.enrichment_id
    }

    /// The query must give the table's columns, and the key tell rows apart. Returns the type of the key.
    fn check_target(&self, target: &Table, query: &Query) -> String {
        let Some(key) = target.column(self.key) else {
            invalid("key", self.key, &format!("{} has no such column.", target.quoted()))
        };
        if !query.columns.iter().any(|column| column.name == key.name) {
            invalid("key", self.key, "The query gives no such column.");
        }
        for column in &query.columns {
            match target.column(&column.name) {
                Some(stored) if stored.type_name == column.type_name => (),
                Some(stored) => {
                    let hint = format!(
                        "It is {} in the query and {} in {}: add a cast.",
                        column.type_name,
                        stored.type_name,
                        target.quoted()
                    );
                    invalid("query", &column.name, &hint)
                }
                None => invalid("query", &column.name, &format!("{} has no such column.", target.quoted())),
            }
        }
        if target.primary_key != [key.name.as_str()] {
            let hint = format!("It must be the primary key of {}.", target.quoted());
            invalid("key", self.key, &hint);
        }
        key.type_name.clone()
    }
}

const DEPENDENCIES_HINT: &str = r#"Write e.g. [{"table": "customers", "keys": "select o.order_id from changed join orders o using (customer_id)"}]."#;

fn resolve(
    client: &mut SpiClient<'_>,
    path: &SearchPath<'_>,
    target: &Table,
    query: &Query,
    declared: DeclaredDependency,
) -> (Table, Dependency) {
    let table = path.table(client, "dependencies", &declared.table);
    let keys = path.query(client, "dependencies", &declared.keys, Some(&table));
    if keys.columns.len() != 1 {
        invalid("dependencies", &declared.keys, "A query for keys gives one column, the key.");
    }
    table.ensure_columns("dependencies", &declared.uses);
    target.ensure_columns("dependencies", declared.columns.iter().chain(&declared.reference));
    if declared.policy == Policy::Pending && !query.columns.iter().any(|column| column.name == "missing") {
        let hint = "The policy \"pending\" needs a column missing text[], of the parts that a row waits for.";
        invalid("dependencies", &declared.table, hint);
    }
    let dependency = Dependency {
        schema: table.schema.clone(),
        table: table.name.clone(),
        row_key: table.primary_key.clone(),
        keys: keys.text,
        uses: declared.uses,
        policy: declared.policy,
        part: declared.part,
        columns: declared.columns,
        reference: declared.reference,
    };
    (table, dependency)
}

fn save(client: &mut SpiClient<'_>, target: &Table, enrichment: &Enrichment) -> i32 {
    let dependencies = match serde_json::to_value(&enrichment.dependencies) {
        Ok(json) => JsonB(json),
        Err(error) => raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, error.to_string(), "Please report it."),
    };
    let args = [
        enrichment.name.as_str().into(),
        target.schema.as_str().into(),
        target.name.as_str().into(),
        enrichment.key.as_str().into(),
        enrichment.key_type.as_str().into(),
        enrichment.columns.clone().into(),
        enrichment.query.as_str().into(),
        dependencies.into(),
        enrichment.stamped.into(),
    ];
    let saved = client.update(SAVE, None, &args).and_then(|row| row.first().get_one::<i32>());
    saved.unwrap_or_else(|error| spi_failed("cannot write cdc.enrichments", &error)).unwrap_or_default()
}
