//! The rows that a statement has changed, as its trigger gets them: PostgreSQL's transition tables.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use cdc_core::RowEvent;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use pgrx::trigger_support::PgTriggerOperation;

use crate::changed_columns::Pairs;
use crate::named_rows::{self, Columns};

/// What a statement has done to a table.
pub(crate) enum Change<'t> {
    /// It has changed rows.
    Rows(ChangedRows<'t>),
    /// It has emptied the table.
    Truncate,
}

/// The rows before and after a change. Statements see them as `old_rows` and `new_rows`.
#[derive(Clone, Copy)]
pub(crate) struct ChangedRows<'t> {
    pub(crate) relation: pg_sys::Oid,
    pub(crate) event: RowEvent,
    pub(super) columns: pg_sys::TupleDesc,
    pub(super) old: Option<Store>,
    pub(super) new: Option<Store>,
    trigger: PhantomData<&'t ()>,
}

/// A transition table.
#[derive(Clone, Copy)]
pub(super) struct Store(pub(super) NonNull<pg_sys::Tuplestorestate>);

/// Tells `work` what a statement has done, if it did anything: it is told even if it did not, and an INSERT with ON
/// CONFLICT as an UPDATE, too.
pub(crate) fn tell<'t>(
    trigger: &'t PgTrigger<'_>,
    work: impl FnOnce(&mut SpiClient<'_>, pg_sys::Oid, Change<'t>),
) {
    let Ok(relation) = trigger.relid() else { return };
    let change = match row_event(trigger) {
        Some(event) => Change::Rows(ChangedRows::of(trigger, relation, event)),
        None => Change::Truncate,
    };
    if !matches!(&change, Change::Rows(rows) if rows.len() == 0) {
        Spi::connect_mut(|client| work(client, relation, change));
    }
}

/// What happened to the rows; `None` for TRUNCATE.
fn row_event(trigger: &PgTrigger<'_>) -> Option<RowEvent> {
    match trigger.op() {
        Ok(PgTriggerOperation::Insert) => Some(RowEvent::Insert),
        Ok(PgTriggerOperation::Update) => Some(RowEvent::Update),
        Ok(PgTriggerOperation::Delete) => Some(RowEvent::Delete),
        Ok(PgTriggerOperation::Truncate) | Err(_) => None,
    }
}

impl<'t> ChangedRows<'t> {
    fn of(trigger: &'t PgTrigger<'_>, relation: pg_sys::Oid, event: RowEvent) -> Self {
        let data = trigger.trigger_data();
        let store = |rows| NonNull::new(rows).map(Store);
        // SAFETY: the table of the trigger is open as long as its function runs.
        let columns = unsafe { (*data.tg_relation).rd_att };
        let (old, new) = (store(data.tg_oldtable), store(data.tg_newtable));
        Self { relation, event, columns, old, new, trigger: PhantomData }
    }

    /// The number of rows: those before and those after it count as one where both are known.
    pub(crate) fn len(&self) -> i64 {
        self.old_len().max(self.new_len())
    }

    /// The number of rows before the change.
    pub(crate) fn old_len(&self) -> i64 {
        self.old.map_or(0, Store::len)
    }

    /// The number of rows after the change.
    pub(crate) fn new_len(&self) -> i64 {
        self.new.map_or(0, Store::len)
    }

    /// The numbers of columns by their names; `None` if there is no such column.
    pub(crate) fn numbers(&self, names: &[String]) -> Option<Vec<i16>> {
        // SAFETY: the description of the table's columns, which is open while its trigger runs.
        let attributes = unsafe { (*self.columns).attrs.as_slice((*self.columns).natts as usize) };
        let number = |name: &String| {
            let named = |attribute: &&pg_sys::FormData_pg_attribute| {
                !attribute.attisdropped && attribute.name() == name.as_str()
            };
            attributes.iter().find(named).map(|attribute| attribute.attnum)
        };
        names.iter().map(number).collect()
    }

    /// Whether one of these columns, by their numbers, differs in a row. True if that cannot be told.
    pub(crate) fn differ_in(&self, columns: &[i16]) -> bool {
        Pairs::of(self, columns).is_none_or(|mut pairs| pairs.is_any_different())
    }

    /// Does `work` with the rows in which one of these columns, by their numbers, has changed; with all if that cannot be
    /// told, or holds for most.
    pub(crate) fn with_different<R>(
        &self,
        columns: Option<&[i16]>,
        work: impl FnOnce(ChangedRows<'_>) -> R,
    ) -> R {
        match columns.and_then(|columns| Pairs::of(self, columns)).and_then(Pairs::into_different) {
            Some((old, new)) => work(ChangedRows { old: Some(old.store()), new: Some(new.store()), ..*self }),
            None => work(*self),
        }
    }

    /// Does `work` with the rows under their names.
    pub(crate) fn with_names<R>(&self, work: impl FnOnce() -> R) -> R {
        self.with_name(c"old_rows", self.old, || self.with_name(c"new_rows", self.new, work))
    }

    fn with_name<R>(&self, name: &'static CStr, rows: Option<Store>, work: impl FnOnce() -> R) -> R {
        match rows {
            Some(rows) => {
                let columns = Columns::Of(self.relation);
                named_rows::with_name(name, rows.0, columns, rows.len() as f64, work)
            }
            None => work(),
        }
    }
}

impl Store {
    fn len(self) -> i64 {
        // SAFETY: it lives as long as the rows of which it is a part.
        unsafe { pg_sys::tuplestore_tuple_count(self.0.as_ptr()) }
    }
}
