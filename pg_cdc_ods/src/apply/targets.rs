//! The attachments as the apply path needs them: targets with their columns, types and plans.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use cdc_core::{
    ColumnRule, ColumnType, Completeness, ErrorType, Event, Kinds, OnDelete, OnUnknown, Operation, Plan,
    Position, Reject, SourceColumns, SourceTable, TargetColumn,
};
use pgrx::spi::{SpiClient, quote_qualified_identifier};
use pgrx::{JsonB, pg_sys};

use super::extractions::{self, Extraction};
use super::target_plans::{TargetPlan, TargetPlans};
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// The columns that every ODS table carries beside those of its source.
pub(crate) const BOOKKEEPING: [(&str, &str); 5] = [
    ("extra_fields", "jsonb"),
    ("source_op", "text"),
    ("source_ts", "timestamptz"),
    ("source_pos", "bytea"),
    ("processed_at", "timestamptz"),
];

/// A column that a table may have beside those: the earliest `source_ts` of all events of its key, also of those that
/// came too late to change the row, or before the key was deleted and came again.
pub(super) const FIRST_SOURCE_TS: &str = "first_source_ts";

/// A target table and what is needed to write to it.
pub(crate) struct Target {
    /// The number of its attachment.
    pub(crate) attachment_id: i32,
    /// The role whose rights rows are written with.
    pub(crate) owner: pg_sys::Oid,
    /// The quoted name.
    pub(crate) name: String,
    /// The source, as it was attached.
    pub(crate) source: SourceTable,
    /// The columns that the source's events have had.
    pub(crate) source_columns: SourceColumns,
    /// Whether the table has the column [`FIRST_SOURCE_TS`].
    pub(super) keeps_first_ts: bool,
    /// The position of the newest truncate.
    pub(crate) truncated_at: Option<Position>,
    /// The key of a target that is yet to be created; empty if it comes from the first events.
    to_create: Option<Vec<String>>,
    target_plan: Arc<TargetPlan>,
}

impl Target {
    /// The key of a target that is to be created from its first events, as far as it is known; `None` for one that
    /// exists, or that somebody else has to create.
    pub(crate) fn to_create(&self) -> Option<&[String]> {
        self.to_create.as_deref()
    }

    /// The plan, or why there is none: the table is missing, or lacks its key columns.
    pub(crate) fn plan(&self) -> Result<&Plan, Reject> {
        self.target_plan.plan()
    }

    /// What is extracted from its XML columns.
    pub(crate) fn extractions(&self) -> &[Extraction] {
        self.target_plan.extractions()
    }

    /// How events become changes of it.
    pub(super) fn target_plan(&self) -> &TargetPlan {
        &self.target_plan
    }

    /// The position of the newest truncate, where truncates remove rows: what is older is gone.
    pub(super) fn gone_before(&self) -> Option<&Position> {
        let removes = self.plan().is_ok_and(|plan| plan.on_delete() == OnDelete::Delete);
        self.truncated_at.as_ref().filter(|_| removes)
    }

    /// Looks at the columns of an event, which came in the message at this place of the batch.
    pub(crate) fn observe(&mut self, event: &Event<'_>, message: usize) {
        let Some(row) = &event.after else { return };
        let completeness = match event.op {
            Operation::Create | Operation::Read => Completeness::Whole,
            _ => Completeness::Partial,
        };
        let target_plan = &self.target_plan;
        let is_expected = |name: &str| target_plan.plan().is_ok_and(|plan| plan.expects(name));
        self.source_columns.observe(row, completeness, message, is_expected);
    }
}

/// All targets, found by source table.
pub(crate) struct Targets {
    all: Vec<Target>,
    plans: Arc<TargetPlans>,
}

impl IndexMut<usize> for Targets {
    fn index_mut(&mut self, index: usize) -> &mut Target {
        &mut self.all[index]
    }
}

impl Index<usize> for Targets {
    type Output = Target;

    fn index(&self, index: usize) -> &Target {
        &self.all[index]
    }
}

const ATTACHMENTS: &str = "
    select a.attachment_id, a.source_schema, a.source_table, a.target_schema, a.target_table, a.key, a.on_unknown,
           a.on_delete, a.columns, a.dropped, a.owner::oid, t.names, t.types, s.columns,
           a.creates_target, a.truncated_at
      from cdc.attachments a
      left join lateral (
        select array_agg(c.attname::text order by c.attnum) as names,
               array_agg(format_type(c.atttypid, null) order by c.attnum) as types
          from pg_catalog.pg_attribute c
         where c.attrelid = to_regclass(format('%I.%I', a.target_schema, a.target_table))
           and c.attnum > 0 and not c.attisdropped and c.attgenerated = ''
      ) t on true
      left join lateral (
        select jsonb_object_agg(c.column_name, c.kinds) as columns
          from cdc.source_columns c where c.attachment_id = a.attachment_id
      ) s on true
     order by a.attachment_id";

impl Targets {
    /// Reads the attachments and the columns of their tables as they are now.
    pub(crate) fn load(client: &mut SpiClient<'_>) -> Self {
        let mut extractions = extractions::load(client);
        let rows = plan_cache::update(client, ATTACHMENTS, &[]);
        let load = rows.and_then(|rows| {
            let (mut all, mut plans) = (Vec::new(), TargetPlans::default());
            for row in rows.iter() {
                let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
                let list = |ordinal| row.get::<Vec<String>>(ordinal).map(Option::unwrap_or_default);
                let columns = row.get::<JsonB>(9)?.map_or(serde_json::Value::Null, |json| json.0);
                let settings = Settings {
                    name: quote_qualified_identifier(text(4)?, text(5)?),
                    key: list(6)?,
                    on_unknown: match text(7)?.as_str() {
                        "reject" => OnUnknown::Reject,
                        "alter" => OnUnknown::Alter,
                        _ => OnUnknown::Overflow,
                    },
                    on_delete: match text(8)?.as_str() {
                        "soft" => OnDelete::Soft,
                        "ignore" => OnDelete::Ignore,
                        _ => OnDelete::Delete,
                    },
                    columns,
                    dropped: list(10)?,
                    creates_target: row.get(15)?.unwrap_or_default(),
                };
                let table_columns: Vec<_> = list(12)?.into_iter().zip(list(13)?).collect();
                let source = SourceTable::new(text(2)?, text(3)?);
                let attachment_id = row.get(1)?.unwrap_or_default();
                let extractions = extractions.remove(&attachment_id).unwrap_or_default();
                let is_missing = table_columns.is_empty();
                let to_create = (is_missing && settings.creates_target).then(|| settings.key.clone());
                let keeps_first_ts = table_columns.iter().any(|(name, _)| name == FIRST_SOURCE_TS);
                let plan = make_plan(&settings, table_columns, &extractions);
                let target_plan = Arc::new(TargetPlan::new(plan, extractions));
                plans.add(&source, Arc::clone(&target_plan));
                all.push(Target {
                    attachment_id,
                    owner: row.get(11)?.unwrap_or(pg_sys::InvalidOid),
                    keeps_first_ts,
                    target_plan,
                    name: settings.name,
                    truncated_at: row.get::<Vec<u8>>(16)?.map(|bytes| Position::from_bytes(&bytes)),
                    to_create,
                    source,
                    source_columns: known_columns(row.get::<JsonB>(14)?),
                });
            }
            Ok(Self { all, plans: Arc::new(plans) })
        });
        load.unwrap_or_else(|error| spi_failed("cannot read cdc.attachments", &error))
    }

    /// Whether every target is there and can be written to.
    pub(crate) fn are_complete(&self) -> bool {
        self.all.iter().all(|target| target.target_plan.is_complete())
    }

    /// All of them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        self.all.iter_mut()
    }

    /// The target of a source table: attached by its full name, else for any schema.
    pub(crate) fn find(&self, source: &SourceTable) -> Option<usize> {
        self.plans.find(source)
    }

    /// How events become changes of them.
    pub(super) fn plans(&self) -> &Arc<TargetPlans> {
        &self.plans
    }
}

/// The columns of a source from their JSON form: an object of names and lists of kinds.
fn known_columns(json: Option<JsonB>) -> SourceColumns {
    let columns = json.and_then(|json| serde_json::from_value::<HashMap<String, Vec<String>>>(json.0).ok());
    let columns = columns.unwrap_or_default().into_iter();
    SourceColumns::known(
        columns.map(|(name, kinds)| (name, Kinds::from_names(kinds.iter().map(String::as_str)))),
    )
}

struct Settings {
    name: String,
    key: Vec<String>,
    on_unknown: OnUnknown,
    on_delete: OnDelete,
    columns: serde_json::Value,
    dropped: Vec<String>,
    creates_target: bool,
}

fn make_plan(
    settings: &Settings,
    table_columns: Vec<(String, String)>,
    extractions: &[Extraction],
) -> Result<Plan, Reject> {
    let refuse = |message: String| Reject::whole(ErrorType::ProcessingError, message);
    if table_columns.is_empty() && settings.creates_target {
        let text = "cannot be created yet: the events' messages have no key, or no value in a key column";
        return Err(refuse(format!("the target table {} {text}", settings.name)).that_may_heal());
    }
    if table_columns.is_empty() {
        let reject = refuse(format!("the target table {} does not exist", settings.name));
        return Err(reject.that_may_heal());
    }
    let columns = table_columns
        .into_iter()
        .filter(|(name, _)| name != FIRST_SOURCE_TS && BOOKKEEPING.iter().all(|(own, _)| own != name))
        .map(|(name, type_name)| {
            let rule = match settings.columns.get(&name) {
                Some(json) => ColumnRule::from_json(json).map_err(|error| refuse(error.to_string()))?,
                None => ColumnRule::Column(name.clone()),
            };
            Ok(TargetColumn { name, column_type: ColumnType::from_sql_name(&type_name), rule })
        })
        .collect::<Result<Vec<_>, Reject>>()?;
    Plan::new(columns, &settings.key, settings.on_unknown, settings.on_delete, &settings.dropped)
        .map(|plan| plan.with_documents(extractions.iter().map(|extraction| extraction.xml_column.as_str())))
        .map_err(|error| refuse(format!("target {}: {error}", settings.name)))
}
