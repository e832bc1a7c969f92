//! A random target with a child table.

use rand::{Rng, RngExt};
use tokio_postgres::Client;

/// A target, its child table and how they are fed.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    name: &'static str,
    pub(crate) has_second_key: bool,
    on_unknown: &'static str,
    on_delete: &'static str,
    on_malformed: &'static str,
}

fn pick<'t>(rng: &mut impl Rng, texts: &[&'t str]) -> &'t str {
    texts[rng.random_range(0..texts.len())]
}

impl Table {
    pub(crate) fn any(rng: &mut impl Rng, name: &'static str) -> Self {
        Self {
            name,
            has_second_key: rng.random_bool(0.3),
            on_unknown: pick(rng, &["overflow", "overflow", "overflow", "reject"]),
            on_delete: pick(rng, &["delete", "delete", "soft", "ignore"]),
            on_malformed: pick(rng, &["dlq", "skip", "fail"]),
        }
    }

    /// Another table that is fed in the same way.
    pub(crate) fn named(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    /// The source table, which events name.
    pub(crate) fn source(&self) -> String {
        self.name.to_uppercase()
    }

    pub(crate) fn topic(&self) -> String {
        format!("cdc/oracle/SALES/{}/change", self.source())
    }

    /// The columns of the key.
    fn key(&self) -> &'static str {
        if self.has_second_key { "id, code" } else { "id" }
    }

    /// What makes the tables and attaches them.
    pub(crate) fn create(&self) -> String {
        let Self { name, on_unknown, on_delete, on_malformed, .. } = self;
        let (source, key) = (self.source(), self.key());
        let code = if self.has_second_key { "code text, " } else { "" };
        format!(
            "create table {name} (id bigint, {code}amount numeric, status text, at timestamp, primary key ({key}));
             create table {name}_lines (id bigint, {code}line_no int, sku text, qty int, primary key ({key}, line_no));
             select cdc.attach('SALES.{source}', '{name}', on_unknown => '{on_unknown}', on_delete => '{on_delete}');
             select cdc.extract_xml('SALES.{source}', 'DOC', '{name}_lines', './/item',
                 '{{\"sku\": \"@sku\", \"qty\": \"@qty\"}}', '{on_malformed}')"
        )
    }

    /// Undoes [`Table::create`].
    pub(crate) fn drop(&self) -> String {
        let (name, source) = (self.name, self.source());
        format!("select cdc.detach('SALES.{source}'); drop table {name}, {name}_lines")
    }

    /// All rows of both tables as JSON, in the order of their keys.
    pub(crate) async fn content(&self, client: &Client) -> anyhow::Result<String> {
        let (name, key) = (self.name, self.key());
        let rows = format!(
            "select coalesce((select jsonb_agg(to_jsonb(t) - 'processed_at' order by {key}) from {name} t), '[]')::text
                 || E'\\n' ||
                 coalesce((select jsonb_agg(to_jsonb(l) order by {key}, line_no) from {name}_lines l), '[]')::text"
        );
        Ok(client.query_one(&rows, &[]).await?.get(0))
    }
}
