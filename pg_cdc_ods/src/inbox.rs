//! The inbox: messages in by `cdc.ingest`, out in batches.
//!
//! What has been applied is told by transactions, not by numbers: `seq` does not follow commit order. A *tick* is a
//! snapshot; its messages are those of transactions visible in it and not in the snapshot of the tick before. They
//! are read in order of transaction and `seq`, which within a stream (one writer at a time) is the order they were
//! written in, whatever other writers do.

use pgrx::JsonB;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::inbox_partitions;
use crate::messages::{MESSAGE_COLUMNS, Messages};
use crate::plan_cache;
use crate::settings::BATCH_BYTES_KB;
use crate::spi_rows::Row;
use crate::sql_error::{self, spi_failed};

/// A batch of messages.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) messages: Messages,
    /// Whether it has as many messages as it may.
    pub(crate) is_full: bool,
    /// Whether more may be waiting behind it.
    pub(crate) more: bool,
}

#[pg_extern]
fn ingest(topic: &str, payload: &str, headers: default!(Option<JsonB>, "null")) -> i64 {
    // Not by RETURNING: a writer may insert into the inbox and not read it.
    let seq = Spi::get_one::<i64>("select nextval('cdc.inbox_seq')");
    let seq =
        seq.unwrap_or_else(|error| spi_failed("cannot draw from cdc.inbox_seq", &error)).unwrap_or_default();
    let sql = "insert into cdc.inbox (seq, topic, payload, headers) values ($1, $2, $3, $4)";
    let args = [seq.into(), topic.into(), payload.as_bytes().into(), headers.into()];
    if let Err(error) = Spi::run_with_args(sql, &args) {
        spi_failed("cannot insert into cdc.inbox", &error);
    }
    seq
}

/// Takes the lock that makes this session the only one that applies, until the end of its transaction.
///
/// Returns false when applying is paused.
pub(crate) fn lock_progress(client: &mut SpiClient<'_>) -> bool {
    let row = plan_cache::update(client, "select not paused from cdc.inbox_progress for update", &[]);
    let running = row.and_then(|row| row.one::<bool>());
    match running {
        Ok(Some(running)) => running,
        Ok(None) => sql_error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cdc.inbox_progress has no row",
            "Drop the extension and create it again; the ODS tables stay.",
        ),
        Err(error) => spi_failed("cannot lock cdc.inbox_progress", &error),
    }
}

/// Whether anything waits; takes no lock.
pub(crate) fn has_unapplied() -> bool {
    Spi::get_one::<bool>("select exists (select from cdc.inbox_unapplied)")
        .unwrap_or_else(|error| spi_failed("cannot read cdc.inbox_unapplied", &error))
        .unwrap_or(false)
}

const HAS_WORK: &str = "
    select exists (select from cdc.inbox_progress where tick is not null)
        or exists (select from cdc.inbox_unapplied)";

/// Whether a batch has something to do: messages wait, or a tick whose messages are all applied is still open.
pub(crate) fn has_work(client: &mut SpiClient<'_>) -> bool {
    plan_cache::update(client, HAS_WORK, &[])
        .and_then(|row| row.one::<bool>())
        .unwrap_or_else(|error| spi_failed("cannot read cdc.inbox_progress", &error))
        .unwrap_or(false)
}

/// Begins a tick if none is open: everything that transactions ended by now have written.
///
/// This transaction itself counts as not ended: it may yet write more. Its messages of up to now are read apart.
const BEGIN_TICK: &str = "
    update cdc.inbox_progress p
       set tick = s.tick, cursor_xact = '0', cursor_seq = 0
      from (select format('%s:%s:%s',
                          least(pg_snapshot_xmin(now_seen), own),
                          pg_snapshot_xmax(now_seen),
                          (select string_agg(xip::text, ',' order by xip)
                             from (select pg_snapshot_xip(now_seen) as xip
                                   union select own where own < pg_snapshot_xmax(now_seen)) running)
                   )::pg_snapshot as tick
              from (select pg_current_snapshot() as now_seen, pg_current_xact_id() as own) current_xact) s
     where p.tick is null";

const READ_TICK: &str = "
    select i.xact_id, i.seq, i.stream, i.topic, i.payload, i.headers, i.received_at, i.sent_at,
           i.message_id
      from cdc.inbox_progress p
     cross join lateral (
        select w.* from cdc.inbox w
         where (w.xact_id, w.seq) > (p.cursor_xact, p.cursor_seq)
           and w.xact_id >= pg_snapshot_xmax(p.done)
           and w.xact_id < pg_snapshot_xmax(p.tick)
           and pg_visible_in_snapshot(w.xact_id, p.tick)
           and (p.own_xact is null or w.xact_id <> p.own_xact or w.seq > p.own_seq)
         order by w.xact_id, w.seq
         limit $1) i";

/// The same for transactions that had not ended when the tick before began: few, and older than the others.
const READ_TICK_LATE: &str = "
    select i.xact_id, i.seq, i.stream, i.topic, i.payload, i.headers, i.received_at, i.sent_at,
           i.message_id
      from cdc.inbox_progress p
     cross join lateral (
        select w.* from cdc.inbox w
         where w.xact_id = any (array(select pg_snapshot_xip(p.done)))
           and (w.xact_id, w.seq) > (p.cursor_xact, p.cursor_seq)
           and pg_visible_in_snapshot(w.xact_id, p.tick)
           and (p.own_xact is null or w.xact_id <> p.own_xact or w.seq > p.own_seq)
         order by w.xact_id, w.seq
         limit $1) i";

const READ_OWN: &str = "
    select w.xact_id, w.seq, w.stream, w.topic, w.payload, w.headers, w.received_at, w.sent_at,
           w.message_id
      from cdc.inbox w, cdc.inbox_progress p
     where w.xact_id = pg_current_xact_id()
       and (p.own_xact is distinct from w.xact_id or w.seq > p.own_seq)
     order by w.seq
     limit $1";

const MOVE_CURSOR: &str =
    "update cdc.inbox_progress set cursor_xact = $1::text::xid8, cursor_seq = $2 where tick is not null";
const MOVE_OWN: &str = "update cdc.inbox_progress set own_xact = $1::text::xid8, own_seq = $2";
const END_TICK: &str = "
    update cdc.inbox_progress
       set done = tick, tick = null, cursor_xact = null, cursor_seq = null,
           own_xact = case when pg_visible_in_snapshot(own_xact, tick) then null else own_xact end,
           own_seq = case when pg_visible_in_snapshot(own_xact, tick) then null else own_seq end
     where tick is not null";

/// Reads the next messages and moves the progress past them, in the current transaction.
///
/// The caller holds the lock of [`lock_progress`].
pub(crate) fn next_batch(client: &mut SpiClient<'_>, limit: i64) -> Batch {
    let is_new = run(client, BEGIN_TICK, &[]) > 0;
    let mut read = Read::default();
    for sql in [READ_TICK_LATE, READ_TICK] {
        read.more(client, sql, limit);
    }
    if read.is_full {
        read.move_past(client, MOVE_CURSOR);
        return Batch { messages: read.messages, is_full: true, more: true };
    }
    // All of the tick has been read, and its effects commit together with this.
    run(client, END_TICK, &[]);
    let of_tick = read.messages.len();
    read.more(client, READ_OWN, limit);
    if read.messages.len() > of_tick {
        read.move_past(client, MOVE_OWN);
    }
    if read.messages.is_empty() && !is_new {
        // A full batch before this one had left nothing of its tick. What has come since is in the next.
        return next_batch(client, limit);
    }
    Batch { is_full: read.is_full, more: !read.messages.is_empty(), messages: read.messages }
}

/// The messages of a batch while it is read.
#[derive(Default)]
struct Read {
    messages: Messages,
    is_full: bool,
    /// The transaction and the `seq` of the last message.
    last: (i64, i64),
}

impl Read {
    /// Adds the messages of a query, up to the size of a batch.
    ///
    /// What is left out is read by the next batch: only reading a payload brings it into memory.
    fn more(&mut self, client: &mut SpiClient<'_>, sql: &str, limit: i64) {
        let batch_bytes = usize::try_from(BATCH_BYTES_KB.get()).unwrap_or_default() * 1024;
        let left = limit - self.messages.len() as i64;
        if left > 0 {
            let rows = plan_cache::update(client, sql, &[left.into()])
                .unwrap_or_else(|error| spi_failed("cannot read cdc.inbox", &error));
            self.messages.reserve(rows.len(), rows.bytes().min(batch_bytes));
            for values in rows.iter().map(Row::values::<MESSAGE_COLUMNS>) {
                self.messages.push(&values);
                self.last = (values.word(1).unwrap_or_default(), values.word(2).unwrap_or_default());
                if self.messages.payload_bytes() >= batch_bytes {
                    break;
                }
            }
        }
        if !self.messages.is_empty() {
            inbox_partitions::note_applied();
        }
        self.is_full = self.messages.len() as i64 >= limit || self.messages.payload_bytes() >= batch_bytes;
    }

    /// Moves the progress past the last message.
    fn move_past(&self, client: &mut SpiClient<'_>, sql: &str) {
        let (transaction, seq) = self.last;
        if !self.messages.is_empty() {
            run(client, sql, &[transaction.cast_unsigned().to_string().into(), seq.into()]);
        }
    }
}

/// Runs a statement; returns the rows written.
pub(crate) fn run(client: &mut SpiClient<'_>, sql: &str, args: &[DatumWithOid<'_>]) -> usize {
    let written = plan_cache::update(client, sql, args).map(|rows| rows.len());
    written.unwrap_or_else(|error| spi_failed("cannot update cdc.inbox_progress", &error))
}

/// The time of day.
pub(crate) fn now() -> TimestampWithTimeZone {
    pgrx::datum::datetime_support::now()
}
