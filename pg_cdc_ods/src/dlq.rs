//! `cdc.dlq_replay()` and the automatic retries: dead letters go through the apply path once more.
//!
//! A replay is an ordinary batch with the letters as its messages, so the source position guards it as it guards any
//! message that comes late: an older state never overwrites a newer one. Dead deliveries to endpoints go back into the
//! outbox.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::apply::{Rejected, apply_again, lock_progress_or_raise, parameter, printable};
use crate::inbox;
use crate::messages::Messages;
use crate::plan_cache;
use crate::spi_rows::{Row, Rows};
use crate::sql_error::spi_failed;
use crate::{outbox, settings};

/// What became of dead letters that were tried again.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Replay {
    /// Letters tried.
    pub(crate) replayed: i64,
    /// Letters applied now, outdated by what came later, or put into the outbox again.
    pub(crate) resolved: i64,
}

#[pg_extern(name = "dlq_replay")]
fn dlq_replay_ids(
    ids: Vec<i64>,
) -> TableIterator<'static, (name!(replayed, i64), name!(resolved, i64), name!(failed, i64))> {
    let replay = Spi::connect_mut(|client| {
        lock_progress_or_raise(client);
        let batches = ids.chunks(usize::try_from(settings::BATCH_SIZE.get()).unwrap_or(usize::MAX));
        batches.fold(Replay::default(), |total, ids| {
            pgrx::check_for_interrupts!();
            let done = replay(client, ids);
            Replay { replayed: total.replayed + done.replayed, resolved: total.resolved + done.resolved }
        })
    });
    TableIterator::once((replay.replayed, replay.resolved, replay.replayed - replay.resolved))
}

const DUE: &str = "
    select coalesce(array_agg(id order by id), '{}')
      from (select id from cdc.dlq where status = 'retrying' and retry_at <= clock_timestamp()
             order by retry_at limit $1) due";

/// Tries the letters again whose time has come, at most a batch of them; none while applying is paused.
pub(crate) fn retry_due() -> Replay {
    let due = Spi::get_one_with_args::<Vec<i64>>(DUE, &[i64::from(settings::BATCH_SIZE.get()).into()]);
    let due = due.unwrap_or_else(|error| spi_failed("cannot read cdc.dlq", &error)).unwrap_or_default();
    if due.is_empty() {
        return Replay::default();
    }
    Spi::connect_mut(
        |client| {
            if inbox::lock_progress(client) { replay(client, &due) } else { Replay::default() }
        },
    )
}

/// Tries letters again. The caller holds the progress lock.
fn replay(client: &mut SpiClient<'_>, ids: &[i64]) -> Replay {
    let (deliveries, requeued) = outbox::requeue(client, ids);
    let letters = read(client, ids);
    let (ids, messages) = messages(&letters);
    if messages.is_empty() {
        return Replay { replayed: deliveries, resolved: requeued };
    }
    let rejected = apply_again(client, &messages);
    let mut resolved = ids.clone();
    rejected.iter().rev().for_each(|rejected| {
        resolved.remove(rejected.message);
    });
    settle(client, &resolved);
    record_failures(client, &ids, &rejected);
    Replay { replayed: deliveries + ids.len() as i64, resolved: requeued + resolved.len() as i64 }
}

/// The columns of a message after the id, as [`Messages::push`] takes them.
const READ: &str = "
    select id, seq, stream, original_topic, payload, headers, first_failure_at, null::timestamptz, message_id
      from cdc.dlq where id = any ($1) and status <> 'resolved' and delivery is null order by id for update";

fn read<'c>(client: &mut SpiClient<'c>, ids: &[i64]) -> Rows<'c> {
    plan_cache::update(client, READ, &[ids.to_vec().into()])
        .unwrap_or_else(|error| spi_failed("cannot read cdc.dlq", &error))
}

/// The letters as the messages they were, with their ids.
fn messages(letters: &Rows<'_>) -> (Vec<i64>, Messages) {
    let mut messages = Messages::default();
    let id = |row: Row<'_>| {
        let values = row.values();
        messages.push(&values);
        values.word(1).unwrap_or_default()
    };
    (letters.iter().map(id).collect(), messages)
}

const SETTLE: &str = "
    update cdc.dlq
       set status = 'resolved', retry_at = null, settled_at = clock_timestamp(), retry_count = retry_count + 1
     where id = any ($1)";

fn settle(client: &mut SpiClient<'_>, ids: &[i64]) {
    if let Err(error) = client.update(SETTLE, None, &[ids.to_vec().into()]) {
        spi_failed("cannot write cdc.dlq", &error);
    }
}

const RECORD_FAILURES: &str = "
    update cdc.dlq d
       set retry_count = d.retry_count + 1, last_failure_at = clock_timestamp(),
           error_type = e.error_type, error_message = e.error_message, error_detail = nullif(e.error_detail, ''),
           source_pos = coalesce(e.source_pos, d.source_pos), settled_at = null,
           status = case when e.may_heal and d.retry_count + 1 < $7 then 'retrying' else 'pending' end,
           retry_at = case when e.may_heal and d.retry_count + 1 < $7
                           then clock_timestamp() + $8 * 2 ^ (d.retry_count + 1) * interval '1 second' end
      from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::boolean[])
           as e(id, error_type, error_message, error_detail, source_pos, may_heal)
     where d.id = e.id";

fn record_failures(client: &mut SpiClient<'_>, ids: &[i64], rejected: &[Rejected]) {
    let texts = |read: &dyn Fn(&Rejected) -> String| {
        parameter("text", rejected.iter().map(|rejected| Some(read(rejected))).collect()).datum
    };
    let args = [
        parameter("bigint", rejected.iter().map(|rejected| Some(ids[rejected.message])).collect()).datum,
        texts(&|rejected| rejected.reject.error_type.as_str().to_owned()),
        texts(&|rejected| printable(&rejected.reject.message)),
        texts(&|rejected| printable(&rejected.reject.path)),
        parameter("bytea", rejected.iter().map(|rejected| rejected.source_pos.clone()).collect()).datum,
        parameter("boolean", rejected.iter().map(|rejected| Some(rejected.reject.may_heal)).collect()).datum,
        settings::DLQ_MAX_ATTEMPTS.get().into(),
        settings::DLQ_RETRY_DELAY_S.get().into(),
    ];
    if let Err(error) = client.update(RECORD_FAILURES, None, &args) {
        spi_failed("cannot write cdc.dlq", &error);
    }
}
