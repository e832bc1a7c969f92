//! Writes a round of row changes to its target: a few statements for all rows, never one for each.
//!
//! Every statement is guarded by the source position: a change that is not newer than its row is left out. When
//! the server refuses a row, the round is halved until the row stands alone, and only that row is refused.

use std::collections::{BTreeMap, HashMap};

use cdc_core::{Cell, ChangeKind, ErrorType, PG_EPOCH_UNIX_MICROS, Plan, Reject, RowChange, TargetColumn};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_identifier};

use super::arrays::{self, ArrayParameter};
use super::targets::Target;
use crate::sql_error::spi_failed;
use crate::subtransaction::{self, Failure};

/// What a round did.
#[derive(Default)]
pub(super) struct RoundOutcome<'c, 'a> {
    pub(super) upserted: i64,
    pub(super) deleted: i64,
    /// Changes that the server refused, with the reason.
    pub(super) refused: Vec<(&'c RowChange<'a>, Reject)>,
}

/// Applies the changes of one round, each key at most once among them.
pub(super) fn apply_round<'c, 'a>(
    client: &mut SpiClient<'_>,
    target: &Target,
    round: &'c [RowChange<'a>],
) -> RoundOutcome<'c, 'a> {
    let mut outcome = RoundOutcome::default();
    let Ok(plan) = target.plan() else { return outcome };
    let (deletes, upserts): (Vec<_>, Vec<_>) =
        round.iter().partition(|change| change.kind == ChangeKind::Delete);
    if !deletes.is_empty() {
        outcome.deleted =
            write_or_halve(target, &deletes, &mut outcome.refused, &|changes| delete(target, plan, changes));
        remember_deletes(client, target, &deletes);
    }
    let live = without_tombstones(client, target, upserts);
    // Rows that leave different columns as they are need different statements.
    let mut by_mask: BTreeMap<Vec<bool>, Vec<&RowChange<'_>>> = BTreeMap::new();
    for change in live {
        by_mask.entry(set_mask(change)).or_default().push(change);
    }
    for (mask, changes) in by_mask {
        outcome.upserted += write_or_halve(target, &changes, &mut outcome.refused, &|changes| {
            upsert(target, plan, &mask, changes)
        });
    }
    outcome
}

fn set_mask(change: &RowChange<'_>) -> Vec<bool> {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => cells.iter().map(|cell| *cell != Cell::Keep).collect(),
        ChangeKind::Delete => Vec::new(),
    }
}

/// Runs a statement over changes; where it fails by the fault of a row, finds the row by halving.
fn write_or_halve<'c, 'a>(
    target: &Target,
    changes: &[&'c RowChange<'a>],
    refused: &mut Vec<(&'c RowChange<'a>, Reject)>,
    write: &dyn Fn(&[&RowChange<'_>]) -> i64,
) -> i64 {
    let attempt = std::panic::AssertUnwindSafe(|| as_owner(target, || write(changes)));
    let failure = match subtransaction::run(move || { attempt }()) {
        Ok(written) => return written,
        Err(failure) => failure,
    };
    let Some(reject) = row_fault(&failure) else {
        // The server's fault, not a row's: the whole batch is undone and tried again later.
        raise_again(&failure)
    };
    if let [change] = changes {
        refused.push((change, reject));
        return 0;
    }
    let (left, right) = changes.split_at(changes.len() / 2);
    write_or_halve(target, left, refused, write) + write_or_halve(target, right, refused, write)
}

/// Why a failure is a row's own, judged by its SQLSTATE; `None` if waiting or repair can heal it.
fn row_fault(failure: &Failure) -> Option<Reject> {
    let state = sqlstate(failure.code);
    let error_type = match &state[..2] {
        "22" => ErrorType::SchemaMismatch,
        "23" => ErrorType::ConstraintViolation,
        "0A" | "21" | "42" | "44" | "54" | "P0" => ErrorType::ProcessingError,
        _ => return None,
    };
    let detail = failure.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    Some(Reject::whole(error_type, format!("{}{detail} [SQLSTATE {state}]", failure.message)))
}

/// The five characters of a SQLSTATE from PostgreSQL's packed number: six bits for each.
fn sqlstate(code: PgSqlErrorCode) -> String {
    let packed = code as i32;
    (0..5).map(|place| char::from(b'0' + ((packed >> (6 * place)) & 0x3f) as u8)).collect()
}

fn raise_again(failure: &Failure) -> ! {
    let mut report =
        pg_sys::panic::ErrorReport::new(failure.code, failure.message.clone(), pgrx::function_name!());
    if let Some(detail) = &failure.detail {
        report = report.set_detail(detail.clone());
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Runs `work` with the rights of the target's owner, and only those.
fn as_owner<R>(target: &Target, work: impl FnOnce() -> R) -> R {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and sets the backend's current user as SECURITY DEFINER functions do. If `work` raises an
    // ERROR the subtransaction around it restores both.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let local = context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        pg_sys::SetUserIdAndSecContext(target.owner, local);
    }
    let result = work();
    // SAFETY: gives back what was saved above.
    unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    result
}

fn upsert(target: &Target, plan: &Plan, mask: &[bool], changes: &[&RowChange<'_>]) -> i64 {
    let mut list = ColumnList::default();
    for (index, column) in plan.columns().iter().enumerate().filter(|(index, _)| mask[*index]) {
        let values = changes.iter().filter_map(|change| match &change.kind {
            ChangeKind::Upsert { cells, .. } => match &cells[index] {
                Cell::Set(value) => Some(value),
                Cell::Keep => None,
            },
            ChangeKind::Delete => None,
        });
        list.push_column(column, arrays::array(&column.column_type, values));
    }
    let partial = mask.contains(&false);
    push_bookkeeping(&mut list, changes, partial);
    let key: Vec<String> =
        plan.key().iter().map(|index| quote_identifier(&plan.columns()[*index].name)).collect();
    let assignments: Vec<String> = list
        .targets
        .iter()
        .filter(|name| !key.contains(name))
        .map(|name| match name.as_str() {
            "extra_fields" if partial => {
                "extra_fields = coalesce(t.extra_fields, '{}') || coalesce(excluded.extra_fields, '{}')"
                    .to_owned()
            }
            name => format!("{name} = excluded.{name}"),
        })
        .collect();
    let sql = format!(
        "insert into {} as t ({}, processed_at) select {}, clock_timestamp() from unnest({}) as e({}) \
         on conflict ({}) do update set {}, processed_at = excluded.processed_at \
         where t.source_pos is null or excluded.source_pos > t.source_pos",
        target.name,
        list.targets.join(", "),
        list.expressions.join(", "),
        list.parameters.join(", "),
        list.elements.join(", "),
        key.join(", "),
        assignments.join(", "),
    );
    execute(&sql, &list.datums)
}

fn push_bookkeeping(list: &mut ColumnList, changes: &[&RowChange<'_>], partial: bool) {
    let extra = changes.iter().map(|change| match &change.kind {
        ChangeKind::Upsert { overflow, .. } if !(partial && overflow.is_empty()) => Some(object(overflow)),
        _ => None,
    });
    list.push("extra_fields", "jsonb", arrays::parameter("text", extra.collect()));
    let ops = changes.iter().map(|change| Some(change.op.as_str()));
    list.push("source_op", "text", arrays::parameter("text", ops.collect()));
    let times = changes.iter().map(|change| change.source_ts.map(|micros| micros - PG_EPOCH_UNIX_MICROS));
    list.push("source_ts", "timestamp at time zone 'UTC'", arrays::timestamps(times.collect()));
    list.push("source_pos", "bytea", positions(changes));
}

fn positions(changes: &[&RowChange<'_>]) -> ArrayParameter {
    let positions = changes.iter().map(|change| Some(change.position.as_bytes().to_vec()));
    arrays::parameter("bytea", positions.collect())
}

/// The overflow columns as one JSON object; the values are the raw JSON of the event.
fn object(overflow: &[(String, &str)]) -> String {
    let mut json = String::from("{");
    for (index, (name, raw)) in overflow.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&serde_json::Value::from(name.as_str()).to_string());
        json.push(':');
        json.push_str(raw);
    }
    json.push('}');
    json
}

fn delete(target: &Target, plan: &Plan, changes: &[&RowChange<'_>]) -> i64 {
    let mut list = ColumnList::default();
    for (place, index) in plan.key().iter().enumerate() {
        let column = &plan.columns()[*index];
        let values = changes.iter().map(|change| &change.key[place]);
        list.push_column(column, arrays::array(&column.column_type, values));
    }
    let matches: Vec<String> = list
        .targets
        .iter()
        .zip(&list.expressions)
        .map(|(name, value)| format!("t.{name} = {value}"))
        .collect();
    list.push("source_pos", "bytea", positions(changes));
    let sql = format!(
        "delete from {} as t using unnest({}) as e({}) where {} and (t.source_pos is null or t.source_pos < {})",
        target.name,
        list.parameters.join(", "),
        list.elements.join(", "),
        matches.join(" and "),
        list.expressions[list.expressions.len() - 1],
    );
    execute(&sql, &list.datums)
}

/// The parts of a statement that grow with its columns, kept in step.
#[derive(Default)]
struct ColumnList {
    /// Quoted names in the target.
    targets: Vec<String>,
    /// What is inserted: the element, cast where its array has another type.
    expressions: Vec<String>,
    /// `$1::bigint[]` and so on.
    parameters: Vec<String>,
    /// The names of the elements: `c1` and so on.
    elements: Vec<String>,
    datums: Vec<DatumWithOid<'static>>,
}

impl ColumnList {
    fn push_column(&mut self, column: &TargetColumn, array: ArrayParameter) {
        let element = format!("c{}", self.elements.len() + 1);
        let expression = arrays::element(&column.column_type, &element);
        self.push_parts(quote_identifier(&column.name), element, expression, array);
    }

    /// Adds a bookkeeping column; `cast` is its type, with what makes it from the array's element.
    fn push(&mut self, name: &str, cast: &str, array: ArrayParameter) {
        let element = format!("c{}", self.elements.len() + 1);
        let expression = match cast.strip_prefix("timestamp") {
            Some(zone) => format!("e.{element}{zone}"),
            None => format!("e.{element}::{cast}"),
        };
        self.push_parts(name.to_owned(), element, expression, array);
    }

    fn push_parts(&mut self, target: String, element: String, expression: String, array: ArrayParameter) {
        self.datums.push(array.datum);
        self.parameters.push(format!("${}::{}[]", self.datums.len(), array.element_type));
        self.targets.push(target);
        self.expressions.push(expression);
        self.elements.push(element);
    }
}

fn execute(sql: &str, datums: &[DatumWithOid<'_>]) -> i64 {
    let run = Spi::connect_mut(|client| client.update(sql, None, datums).map(|rows| rows.len()));
    match run {
        Ok(rows) => rows as i64,
        Err(error) => spi_failed("cannot write to a target", &error),
    }
}

const REMEMBER_DELETES: &str = "
    insert into cdc.tombstones as t (attachment_id, key, source_pos)
    select $1, e.key, e.source_pos from unnest($2::bytea[], $3::bytea[]) as e(key, source_pos)
    on conflict (attachment_id, key) do update
       set source_pos = excluded.source_pos, deleted_at = excluded.deleted_at
     where excluded.source_pos > t.source_pos";

fn remember_deletes(client: &mut SpiClient<'_>, target: &Target, deletes: &[&RowChange<'_>]) {
    let args = [target.attachment_id.into(), keys(deletes).datum, positions(deletes).datum];
    if let Err(error) = client.update(REMEMBER_DELETES, None, &args) {
        spi_failed("cannot write cdc.tombstones", &error);
    }
}

fn keys(changes: &[&RowChange<'_>]) -> ArrayParameter {
    arrays::parameter("bytea", changes.iter().map(|change| Some(change.key_bytes.clone())).collect())
}

const FIND_TOMBSTONES: &str = "
    select t.key, t.source_pos from unnest($2::bytea[]) as e(key)
      join cdc.tombstones t on t.attachment_id = $1 and t.key = e.key";

/// Leaves out changes that are older than the delete of their key.
fn without_tombstones<'c, 'a>(
    client: &mut SpiClient<'_>,
    target: &Target,
    changes: Vec<&'c RowChange<'a>>,
) -> Vec<&'c RowChange<'a>> {
    if changes.is_empty() {
        return changes;
    }
    let args = [target.attachment_id.into(), keys(&changes).datum];
    let find = client.update(FIND_TOMBSTONES, None, &args).and_then(|rows| {
        let mut found: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for row in rows {
            found.insert(row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default());
        }
        Ok(found)
    });
    let tombstones = find.unwrap_or_else(|error| spi_failed("cannot read cdc.tombstones", &error));
    let is_live = |change: &&RowChange<'_>| {
        let deleted = tombstones.get(&change.key_bytes);
        deleted.is_none_or(|position| change.position.as_bytes() > position.as_slice())
    };
    changes.into_iter().filter(is_live).collect()
}
