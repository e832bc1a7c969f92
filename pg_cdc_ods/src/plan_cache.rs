//! Prepared statements of this process, by their text: for small batches parsing and planning would cost more than
//! running them.
//!
//! A statement here finds the rows that it needs by their keys, as many as the batch has. So it is planned once, for
//! index lookups in tables that are large, whatever their statistics say (`large_tables.rs`). PostgreSQL itself plans a
//! statement anew when a table that it names changes.
//!
//! A statement over the rows that a trigger is told of reads all of them, so it is planned for their number. It is kept
//! for each table, whose rows they are, and for numbers of that size.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::rc::Rc;

use pgrx::datum::{Datum, DatumWithOid};
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiError, SpiResult};

use crate::changed_rows::ChangedRows;
use crate::large_tables::planning_for_large_tables;
use crate::settings_scope::with_settings;
use crate::spi_rows::Rows;

/// Statements kept at least, of those used last, and at most twice as many. Those of a target are as many as the
/// combinations of columns that its changes set; each takes some tens of kilobytes.
const MANY_PLANS: usize = 1000;

/// Rows in transition tables up to which a statement may compare each of them with each.
const FEW_ROWS: i64 = 100;

/// How a statement is planned.
#[derive(Clone, Copy)]
enum Planning {
    /// As if all tables were large: where there is an index for the keys, it is used.
    Indexes,
    /// The same, but rows without an index may be joined by a hash table.
    IndexesOrHash,
    /// As PostgreSQL estimates.
    Estimates,
}

/// What keeps PostgreSQL to index lookups. And over tables that are said to be large it would compile statements, which
/// costs more than it saves.
const BY_INDEX: [(&CStr, &CStr); 8] = [
    (c"enable_hashjoin", c"off"),
    (c"jit", c"off"),
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"enable_sort", c"off"),
    (c"enable_material", c"off"),
    (c"enable_memoize", c"off"),
];

/// What allows hash tables in spite of that. If pages cost nothing, to look up a part of a table is cheaper than to read all
/// of it for a hash table, however large the part is said to be.
const OR_HASH: [(&CStr, &CStr); 3] =
    [(c"enable_hashjoin", c"on"), (c"random_page_cost", c"0"), (c"seq_page_cost", c"0")];

/// Compiling a statement costs more than it saves over the rows of a batch.
const BY_ESTIMATE: [(&CStr, &CStr); 1] = [(c"jit", c"off")];

/// What the names in a statement stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    /// Tables alone.
    Tables,
    /// `old_rows` and `new_rows` are rows of this table, and so many: the power of ten.
    ChangedRows { relation: pg_sys::Oid, magnitude: u32 },
    /// The same, and other tables are looked up by index, which [`FEW_ROWS`] need no hash table for.
    FewChangedRows { relation: pg_sys::Oid },
    /// The same of more rows.
    ManyChangedRows { relation: pg_sys::Oid, magnitude: u32 },
}

type PlansByText = HashMap<Scope, HashMap<String, Rc<Plan>>>;

/// The statements in two generations: those used since the last change of generations, and those before.
#[derive(Default)]
struct Generations {
    young: PlansByText,
    young_count: usize,
    old: PlansByText,
}

thread_local! {
    static PLANS: RefCell<Generations> = RefCell::default();
}

fn kept(scope: Scope, sql: &str) -> Option<Rc<Plan>> {
    PLANS.with_borrow_mut(|plans| {
        if let Some(plan) = plans.young.get(&scope).and_then(|plans| plans.get(sql)) {
            return Some(Rc::clone(plan));
        }
        let (sql, plan) = plans.old.get_mut(&scope)?.remove_entry(sql)?;
        plans.put(scope, sql, &plan);
        Some(plan)
    })
}

fn keep(scope: Scope, sql: &str, plan: &Rc<Plan>) {
    PLANS.with_borrow_mut(|plans| plans.put(scope, sql.to_owned(), plan));
}

impl Generations {
    fn put(&mut self, scope: Scope, sql: String, plan: &Rc<Plan>) {
        if self.young_count >= MANY_PLANS {
            self.old = std::mem::take(&mut self.young);
            self.young_count = 0;
        }
        self.young.entry(scope).or_default().insert(sql, Rc::clone(plan));
        self.young_count += 1;
    }
}

/// Runs a statement that may write, prepared once for each text.
///
/// # Errors
/// What SPI says of a statement that it does not take.
pub(crate) fn update<'c>(
    _client: &mut SpiClient<'c>,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    run(Scope::Tables, Planning::Indexes, sql, args)
}

/// The same for a statement that looks up by index what changed rows of a table name.
///
/// They have no index themselves. Few of them may be compared each with each, of more a hash table is made.
///
/// # Errors
/// As [`update`].
pub(crate) fn look_up_changed<'c>(
    _client: &mut SpiClient<'c>,
    rows: &ChangedRows<'_>,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    let relation = rows.relation;
    match rows.old_len() + rows.new_len() {
        ..=FEW_ROWS => run(Scope::FewChangedRows { relation }, Planning::Indexes, sql, args),
        count => {
            let scope = Scope::ManyChangedRows { relation, magnitude: count.ilog10() };
            run(scope, Planning::IndexesOrHash, sql, args)
        }
    }
}

fn run<'c>(scope: Scope, planning: Planning, sql: &str, args: &[DatumWithOid<'_>]) -> SpiResult<Rows<'c>> {
    let plan = match kept(scope, sql) {
        Some(plan) => plan,
        None => {
            let plan = Rc::new(Plan::prepare(sql, args)?);
            keep(scope, sql, &plan);
            plan
        }
    };
    plan.execute(args, planning)
}

/// Runs a statement over changed rows that have their names, and that may write to the table `written`. It is prepared
/// once, unless it reads other tables: one that is small today may be large tomorrow.
///
/// # Errors
/// What SPI says of a statement that it does not take.
pub(crate) fn update_over<'c>(
    _client: &mut SpiClient<'c>,
    rows: &ChangedRows<'_>,
    written: Option<pg_sys::Oid>,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    let relation = rows.relation;
    let scope = Scope::ChangedRows { relation, magnitude: rows.len().max(1).ilog10() };
    let plan = match kept(scope, sql) {
        Some(plan) => plan,
        None => {
            let plan = Rc::new(Plan::prepare(sql, args)?);
            if plan.tables().iter().all(|table| *table == relation || Some(*table) == written) {
                keep(scope, sql, &plan);
            }
            plan
        }
    };
    plan.execute(args, Planning::Estimates)
}

/// A prepared statement that outlives the SPI connection that it was made in.
struct Plan(NonNull<pg_sys::_SPI_plan>);

impl Plan {
    fn prepare(sql: &str, args: &[DatumWithOid<'_>]) -> SpiResult<Self> {
        let sql = CString::new(sql).map_err(|_| SpiError::SpiError(pgrx::spi::SpiErrorCodes::Argument))?;
        let mut types: Vec<_> = args.iter().map(DatumWithOid::oid).collect();
        // SAFETY: called inside an SPI connection (callers hold its client); text and types outlive the call.
        let plan = unsafe {
            let options = pg_sys::CURSOR_OPT_GENERIC_PLAN.cast_signed();
            pg_sys::SPI_prepare_cursor(sql.as_ptr(), types.len() as i32, types.as_mut_ptr(), options)
        };
        let Some(plan) = NonNull::new(plan) else {
            // SAFETY: reads a global of the backend, set by the call above.
            Spi::check_status(unsafe { pg_sys::SPI_result })?;
            return Err(SpiError::SpiError(pgrx::spi::SpiErrorCodes::Argument));
        };
        // SAFETY: a plan just made, not yet kept.
        unsafe { pg_sys::SPI_keepplan(plan.as_ptr()) };
        Ok(Self(plan))
    }

    fn execute<'c>(&self, args: &[DatumWithOid<'_>], planning: Planning) -> SpiResult<Rows<'c>> {
        self.plan(planning);
        let mut values = Vec::with_capacity(args.len());
        let mut nulls = Vec::with_capacity(args.len());
        for arg in args {
            let datum = arg.datum();
            nulls.push(if datum.is_some() { b' ' } else { b'n' } as std::ffi::c_char);
            values.push(datum.map_or(pg_sys::Datum::from(0), Datum::sans_lifetime));
        }
        // SAFETY: called inside an SPI connection; a value and a null flag for each parameter that was prepared.
        let status = unsafe {
            pg_sys::SPI_tuptable = std::ptr::null_mut();
            pg_sys::SPI_execute_plan(self.0.as_ptr(), values.as_mut_ptr(), nulls.as_ptr(), false, 0)
        };
        Rows::of_last_statement(status)
    }

    /// Has the statement planned, if it is not. Only planning has the settings: a trigger that the statement fires is
    /// planned as in any session.
    fn plan(&self, planning: Planning) {
        if self.is_planned() {
            return;
        }
        // SAFETY: a kept plan of one statement; the reference to what it was planned to is given back at once.
        let plan = || unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.0.as_ptr());
            if !cached.is_null() {
                pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            }
        };
        match planning {
            Planning::Indexes => with_settings(&BY_INDEX, || planning_for_large_tables(plan)),
            Planning::IndexesOrHash => {
                with_settings(&BY_INDEX, || with_settings(&OR_HASH, || planning_for_large_tables(plan)));
            }
            Planning::Estimates => with_settings(&BY_ESTIMATE, plan),
        }
    }

    fn is_planned(&self) -> bool {
        let Some(source) = self.source() else { return true };
        // SAFETY: what it was planned to lives as long as its source, or is replaced there; it is only read.
        unsafe { source.is_valid && !source.gplan.is_null() && (*source.gplan).is_valid }
    }

    /// The tables that the statement names, views among them.
    fn tables(&self) -> Vec<pg_sys::Oid> {
        let Some(source) = self.source() else { return Vec::new() };
        // SAFETY: the list has oids, and lives as long as the source.
        unsafe {
            let length = if source.relationOids.is_null() { 0 } else { (*source.relationOids).length };
            (0..length)
                .map(|place| (*(*source.relationOids).elements.add(place as usize)).oid_value)
                .collect()
        }
    }

    /// The statement as it was parsed; `None` unless it is one.
    fn source(&self) -> Option<&pg_sys::CachedPlanSource> {
        // SAFETY: the list has the sources of a kept plan, which live as long as that.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.0.as_ptr());
            if sources.is_null() || (*sources).length != 1 {
                return None;
            }
            Some(&*(*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>())
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: a kept plan that nobody else frees.
        unsafe { pg_sys::SPI_freeplan(self.0.as_ptr()) };
    }
}
