//! The partitions of the inbox: which one takes messages, how they are emptied, and how large they may grow.
//!
//! One of three takes messages. When it is large enough and another one is empty, that takes its place; once all of its
//! messages are applied it is truncated.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::inbox::run;
use crate::plan_cache;
use crate::settings::{INBOX_LIMIT_KB, ROTATION_SIZE_KB};
use crate::sql_error::{self, spi_failed};

extension_sql_file!(
    "../sql/inbox_limit.sql",
    name = "inbox_limit",
    requires = ["bootstrap", hold_back_messages]
);

/// How often partitions are looked at while messages keep coming.
const ROTATION_INTERVAL: Duration = Duration::from_secs(1);

thread_local! {
    /// The slot that this transaction writes to: (local transaction id, slot).
    static SLOT: Cell<Option<(u32, i16)>> = const { Cell::new(None) };
    /// Whether messages have been read since the last rotation, and when that was.
    static HAS_APPLIED: Cell<bool> = const { Cell::new(false) };
    static ROTATED: Cell<Option<Instant>> = const { Cell::new(None) };
}

#[pg_extern(stable, parallel_unsafe, sql = false)]
fn inbox_slot() -> i16 {
    // SAFETY: MyProc is this backend's own entry, set before any function can be called.
    let transaction = unsafe { (*pg_sys::MyProc).lxid };
    if let Some((_, slot)) = SLOT.get().filter(|(cached, _)| *cached == transaction) {
        return slot;
    }
    let slot = Spi::get_one::<i16>("select current_slot from cdc.inbox_rotation")
        .unwrap_or_else(|error| spi_failed("cannot read cdc.inbox_rotation", &error))
        .unwrap_or(0);
    SLOT.set(Some((transaction, slot)));
    slot
}

/// Statement-level trigger of `cdc.inbox`: refuses messages while the partition that takes them is at its limit, before
/// anything of them is written.
#[pg_trigger]
fn hold_back_messages<'a>(
    _trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Infallible> {
    // One that is smaller than what a partition is left at would never be left.
    let limit = i64::from(INBOX_LIMIT_KB.get().max(ROTATION_SIZE_KB.get())) * 1024;
    let slot = inbox_slot();
    if INBOX_LIMIT_KB.get() > 0 && total_bytes(slot) >= limit {
        sql_error::raise(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            format!("the inbox is full: cdc.inbox_{slot} has reached {} MB", limit >> 20),
            "It takes messages again when those that wait are applied: see cdc.stat_streams and cdc.stat_workers. \
             The limit is pg_cdc_ods.inbox_limit.",
        );
    }
    Ok(None::<PgHeapTuple<'a, AllocatedByRust>>)
}

/// Remembers that messages were read, whose partitions may be emptied in time.
pub(crate) fn note_applied() {
    HAS_APPLIED.set(true);
}

/// Whether this process, which goes on applying, has applied something and not rotated for a while.
pub(crate) fn rotation_is_due() -> bool {
    let (applied, rotated) = (HAS_APPLIED.get(), ROTATED.get());
    applied && rotated.is_none_or(|rotated| rotated.elapsed() >= ROTATION_INTERVAL)
}

/// Empties partitions whose messages are all applied, and lets the next one take over from a full one.
///
/// A partition that somebody writes to or reads is left for the next time; nobody waits for this.
pub(crate) fn rotate(client: &mut SpiClient<'_>) {
    HAS_APPLIED.set(false);
    ROTATED.set(Some(Instant::now()));
    let limit = i64::from(ROTATION_SIZE_KB.get()) * 1024;
    let current =
        Spi::get_one::<i16>("select current_slot from cdc.inbox_rotation").ok().flatten().unwrap_or(0);
    for slot in (0..3).filter(|slot| *slot != current) {
        truncate_if_applied(client, slot);
    }
    let next = (current + 1) % 3;
    if total_bytes(current) >= limit && is_empty(next) {
        run(client, "update cdc.inbox_rotation set current_slot = $1", &[next.into()]);
    }
}

fn is_empty(slot: i16) -> bool {
    bytes("pg_relation_size", slot) == 0
}

/// With what is stored apart, such as long payloads, and its index.
fn total_bytes(slot: i16) -> i64 {
    bytes("pg_total_relation_size", slot)
}

fn bytes(function: &str, slot: i16) -> i64 {
    let sql = format!("select pg_catalog.{function}('cdc.inbox_{slot}'::pg_catalog.regclass)");
    Spi::connect_mut(|client| plan_cache::update(client, &sql, &[])?.one()).ok().flatten().unwrap_or(0)
}

fn truncate_if_applied(client: &mut SpiClient<'_>, slot: i16) {
    if is_empty(slot) {
        return;
    }
    let name = format!("cdc.inbox_{slot}");
    let Ok(Some(relation)) =
        Spi::get_one_with_args::<pg_sys::Oid>("select $1::regclass::oid", &[name.as_str().into()])
    else {
        return;
    };
    // SAFETY: takes a lock that the transaction's end releases; does not wait.
    let locked = unsafe { pg_sys::ConditionalLockRelationOid(relation, pg_sys::AccessExclusiveLock as i32) };
    if !locked {
        return;
    }
    // With the lock held nobody can have written what this transaction does not see.
    let sql = "select exists (select from cdc.inbox_unapplied where slot = $1)";
    let unapplied = Spi::get_one_with_args::<bool>(sql, &[slot.into()]).ok().flatten().unwrap_or(true);
    if !unapplied {
        run(client, &format!("truncate {name}"), &[]);
    }
}
