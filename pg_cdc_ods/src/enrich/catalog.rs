//! What is configured, as the trigger functions and the refresh need it.

use std::cell::RefCell;
use std::rc::Rc;

use cdc_core::{Aggregate, Enrichment};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use pgrx::{JsonB, pg_sys};
use serde::Deserialize;

use crate::configuration_watch::Kept;
use crate::plan_cache;
use crate::sql_error::{raise, spi_failed};

thread_local! {
    static CATALOG: RefCell<Kept<Catalog>> = RefCell::default();
}

/// All enriched tables and window aggregates.
#[derive(Debug, Deserialize)]
pub(crate) struct Catalog {
    /// In the order they were made in: one that reads another's table comes after it.
    pub(crate) enrichments: Vec<ConfiguredEnrichment>,
    pub(crate) aggregates: Vec<ConfiguredAggregate>,
}

/// An enriched table, and what only this server knows of it.
#[derive(Debug, Deserialize)]
pub(crate) struct ConfiguredEnrichment {
    #[serde(flatten)]
    pub(crate) enrichment: Enrichment,
    owner: u32,
    /// The oids of the tables of its dependencies, in their order; 0 for one that does not exist.
    relations: Vec<u32>,
}

/// A window aggregate, and what only this server knows of it.
#[derive(Debug, Deserialize)]
pub(crate) struct ConfiguredAggregate {
    #[serde(flatten)]
    pub(crate) aggregate: Aggregate,
    owner: u32,
    source_relation: u32,
    target_relation: u32,
    /// The numbers of the source's columns that the contributions are made of; `None` if that is not known.
    used_columns: Option<Vec<i16>>,
}

const LOAD: &str = "
    select jsonb_build_object(
        'enrichments', coalesce((
            select jsonb_agg(to_jsonb(e) || jsonb_build_object(
                       'target', format('%I.%I', e.target_schema, e.target_table),
                       'owner', e.owner::oid::bigint,
                       'key_collation', (
                           select format('%I.%I', n.nspname, c.collname)
                             from pg_catalog.pg_attribute a
                             join pg_catalog.pg_collation c on c.oid = a.attcollation
                             join pg_catalog.pg_namespace n on n.oid = c.collnamespace
                            where a.attrelid = to_regclass(format('%I.%I', e.target_schema, e.target_table))
                              and a.attname = e.key),
                       'relations', (
                           select jsonb_agg(coalesce(to_regclass(format('%I.%I', d.dependency->>'schema',
                                                                        d.dependency->>'table'))::oid::bigint, 0)
                                            order by d.place)
                             from jsonb_array_elements(e.dependencies) with ordinality as d(dependency, place)))
                   order by e.enrichment_id)
              from cdc.enrichments e), '[]'),
        'aggregates', coalesce((
            select jsonb_agg(to_jsonb(a) || jsonb_build_object(
                       'source', format('%I.%I', a.source_schema, a.source_table),
                       'target', format('%I.%I', a.target_schema, a.target_table),
                       'owner', a.owner::oid::bigint,
                       'source_relation', coalesce(to_regclass(format('%I.%I', a.source_schema,
                                                                      a.source_table))::oid::bigint, 0),
                       'target_relation', coalesce(to_regclass(format('%I.%I', a.target_schema,
                                                                      a.target_table))::oid::bigint, 0),
                       'used_columns', (
                           select jsonb_agg(coalesce(c.attnum, 0))
                             from unnest(a.used_columns) as u(name)
                             left join pg_catalog.pg_attribute c
                               on c.attname = u.name and not c.attisdropped
                              and c.attrelid = to_regclass(format('%I.%I', a.source_schema, a.source_table))))
                   order by a.aggregate_id)
              from cdc.aggregates a), '[]'))";

/// The time of the newest event: what closes windows.
pub(crate) fn newest_event(client: &mut SpiClient<'_>) -> Option<TimestampWithTimeZone> {
    plan_cache::update(client, "select newest from cdc.event_clock", &[])
        .and_then(|rows| rows.one())
        .unwrap_or_else(|error| spi_failed("cannot read cdc.event_clock", &error))
}

impl Catalog {
    /// The configuration as it is now, read only if it has changed.
    pub(crate) fn current(client: &mut SpiClient<'_>) -> Rc<Self> {
        Kept::get(&CATALOG, || {
            let catalog = Self::load(client);
            let watched = catalog.watched_relations();
            (catalog, watched)
        })
    }

    /// The tables whose changes may change this; `None` if one is missing: it would tell nobody when it comes.
    fn watched_relations(&self) -> Option<Vec<pg_sys::Oid>> {
        let enriched = self.enrichments.iter().flat_map(|configured| configured.relations.iter().copied());
        let aggregated = self
            .aggregates
            .iter()
            .flat_map(|configured| [configured.source_relation, configured.target_relation]);
        enriched.chain(aggregated).map(|oid| (oid != 0).then(|| pg_sys::Oid::from(oid))).collect()
    }

    fn load(client: &mut SpiClient<'_>) -> Self {
        let json = client.update(LOAD, Some(1), &[]).and_then(|row| row.first().get_one::<JsonB>());
        let json = json.unwrap_or_else(|error| spi_failed("cannot read cdc.enrichments", &error));
        let json = json.map_or(serde_json::Value::Null, |json| json.0);
        serde_json::from_value(json).unwrap_or_else(|error| {
            raise(
                pgrx::PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
                format!("cannot read cdc.enrichments and cdc.aggregates: {error}"),
                "Configure with cdc.enrich() and cdc.aggregate() only.",
            )
        })
    }

    /// An enriched table by its number.
    pub(crate) fn enrichment(&self, id: i32) -> Option<&ConfiguredEnrichment> {
        self.enrichments.iter().find(|configured| configured.enrichment.enrichment_id == id)
    }
}

impl ConfiguredEnrichment {
    /// The role that the query runs as.
    pub(crate) fn owner(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.owner)
    }

    /// The place of a table among the dependencies.
    pub(crate) fn dependency_on(&self, relation: pg_sys::Oid) -> Option<usize> {
        self.relations.iter().position(|oid| *oid == relation.to_u32())
    }
}

impl ConfiguredAggregate {
    /// The role that the contributions' query runs as.
    pub(crate) fn owner(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.owner)
    }

    /// The table of windows.
    pub(crate) fn target(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.target_relation)
    }

    /// The numbers of the source's columns that the contributions are made of; `None` if they may be made of all.
    pub(crate) fn used_columns(&self) -> Option<&[i16]> {
        self.used_columns.as_deref().filter(|columns| columns.iter().all(|column| *column > 0))
    }

    /// Whether a table is the one that is aggregated.
    pub(crate) fn reads(&self, relation: pg_sys::Oid) -> bool {
        self.source_relation == relation.to_u32()
    }
}
