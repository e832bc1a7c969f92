//! Prepared statements of this process, by their text: for small batches parsing and planning would cost more than
//! running them.
//!
//! A statement here finds the rows that it needs by their keys, as many as the batch has. So it is planned once, for
//! index lookups, whatever the tables' statistics say: a plan made while a table was empty stays right when it has grown,
//! and one made for a large table is not bad for a small one. PostgreSQL itself plans a statement anew when a table that
//! it names changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::rc::Rc;

use pgrx::datum::{Datum, DatumWithOid};
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiError, SpiResult};

use crate::settings_scope::with_settings;
use crate::spi_rows::Rows;

/// Statements kept. Those of a target are as many as the combinations of columns that its changes set; beyond this
/// number all are forgotten, and those in use come back.
const MAX_PLANS: usize = 500;

/// Rows in transition tables up to which a statement over them is worth keeping: with more of them, planning it anew for
/// their number costs less than the wrong plan.
pub(crate) const FEW_ROWS: i64 = 100;

/// What a statement is planned with: where there is an index for the keys, it is used.
const BY_INDEX: [(&CStr, &CStr); 7] = [
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_hashjoin", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"enable_sort", c"off"),
    (c"enable_material", c"off"),
    (c"enable_memoize", c"off"),
];

thread_local! {
    /// By the table whose transition tables they read, and by text.
    static PLANS: RefCell<HashMap<pg_sys::Oid, HashMap<String, Rc<Plan>>>> = RefCell::default();
}

/// Runs a statement that may write, prepared once for each text.
///
/// # Errors
/// What SPI says of a statement that it does not take.
pub(crate) fn update<'c>(
    client: &mut SpiClient<'c>,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    update_over(client, pg_sys::InvalidOid, sql, args)
}

/// The same for a statement that reads the transition tables of a trigger on `table`: each table's have other columns.
///
/// They must be [small](FEW_ROWS): they have no index, so that the plan may compare each row with each.
///
/// # Errors
/// As [`update`].
pub(crate) fn update_over<'c>(
    _client: &mut SpiClient<'c>,
    table: pg_sys::Oid,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<Rows<'c>> {
    let known = PLANS.with_borrow(|plans| plans.get(&table)?.get(sql).cloned());
    let plan = match known {
        Some(plan) => plan,
        None => {
            let plan = Rc::new(Plan::prepare(sql, args)?);
            PLANS.with_borrow_mut(|plans| {
                let plans = plans.entry(table).or_default();
                if plans.len() == MAX_PLANS {
                    plans.clear();
                }
                plans.insert(sql.to_owned(), Rc::clone(&plan));
            });
            plan
        }
    };
    plan.execute(args)
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

    fn execute<'c>(&self, args: &[DatumWithOid<'_>]) -> SpiResult<Rows<'c>> {
        self.plan_by_index();
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
    fn plan_by_index(&self) {
        if self.is_planned() {
            return;
        }
        with_settings(&BY_INDEX, || {
            // SAFETY: a kept plan of one statement; the reference to what it was planned to is given back at once.
            unsafe {
                let cached = pg_sys::SPI_plan_get_cached_plan(self.0.as_ptr());
                if !cached.is_null() {
                    pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
                }
            }
        });
    }

    fn is_planned(&self) -> bool {
        // SAFETY: the list has the sources of a kept plan, which live as long as that; they are only read.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.0.as_ptr());
            if sources.is_null() || (*sources).length != 1 {
                return true;
            }
            let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
            let planned = (*source).gplan;
            (*source).is_valid && !planned.is_null() && (*planned).is_valid
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: a kept plan that nobody else frees.
        unsafe { pg_sys::SPI_freeplan(self.0.as_ptr()) };
    }
}
