//! Prepared statements of this process, by their text: for small batches parsing would cost more than running them.
//! PostgreSQL itself prepares a statement anew when a table that it names changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::PgOid;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult, SpiTupleTable};

/// Statements kept. Those of a target are as many as the combinations of columns that its changes set; beyond this
/// number all are forgotten, and those in use come back.
const MAX_PLANS: usize = 500;

thread_local! {
    static PLANS: RefCell<HashMap<String, Rc<OwnedPreparedStatement>>> = RefCell::default();
}

/// Runs a statement that may write, prepared once for each text.
///
/// # Errors
/// As [`SpiClient::update`].
pub(crate) fn update<'c>(
    client: &mut SpiClient<'c>,
    sql: &str,
    args: &[DatumWithOid<'_>],
) -> SpiResult<SpiTupleTable<'c>> {
    let known = PLANS.with_borrow(|plans| plans.get(sql).cloned());
    let plan = match known {
        Some(plan) => plan,
        None => {
            let types: Vec<PgOid> = args.iter().map(|arg| PgOid::from(arg.oid())).collect();
            let plan = Rc::new(client.prepare_mut(sql, &types)?.keep());
            PLANS.with_borrow_mut(|plans| {
                if plans.len() == MAX_PLANS {
                    plans.clear();
                }
                plans.insert(sql.to_owned(), Rc::clone(&plan));
            });
            plan
        }
    };
    client.update(&*plan, None, args)
}
