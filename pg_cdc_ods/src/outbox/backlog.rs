//! How many documents wait for an endpoint, so that the outbox stays bounded.
//!
//! Counting costs a scan of what waits, and a batch of changes must not pay for that while an endpoint is dead. So this
//! process remembers the last count, adds what it has written since, and counts anew now and then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use pgrx::spi::SpiClient;

use crate::settings;
use crate::sql_error::spi_failed;

/// A count is good for so long, and longer if it took long: counting takes no more than a hundredth of the time.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// The same when it says that the outbox is full: deliveries make room that only a count sees.
const FULL_FOR: Duration = Duration::from_secs(1);
const SHARE_OF_TIME: u32 = 100;

#[derive(Debug, Clone, Copy)]
struct Count {
    waiting: i64,
    at: Instant,
    took: Duration,
}

thread_local! {
    static COUNTS: RefCell<HashMap<String, Count>> = RefCell::default();
}

/// Documents that may still go into the outbox for an endpoint; negative if there are too many.
pub(super) fn room(client: &mut SpiClient<'_>, endpoint: &str, wanted: i64) -> i64 {
    let limit = i64::from(settings::OUTBOX_LIMIT.get());
    let known = COUNTS.with_borrow(|counts| counts.get(endpoint).copied());
    let is_good = |count: &Count| {
        let good_for = if count.waiting + wanted > limit { FULL_FOR } else { GOOD_FOR };
        count.at.elapsed() < good_for.max(count.took * SHARE_OF_TIME)
    };
    let count = known.filter(is_good).unwrap_or_else(|| count(client, endpoint, limit));
    COUNTS.with_borrow_mut(|counts| counts.insert(endpoint.to_owned(), count));
    limit - count.waiting
}

/// Notes that documents were put into the outbox, or taken out of it. If the transaction is undone, the next count
/// tells.
pub(super) fn add(endpoint: &str, documents: i64) {
    COUNTS.with_borrow_mut(|counts| {
        if let Some(count) = counts.get_mut(endpoint) {
            count.waiting += documents;
        }
    });
}

fn count(client: &mut SpiClient<'_>, endpoint: &str, limit: i64) -> Count {
    let began = Instant::now();
    // More than twice the limit cannot matter.
    let sql = "select count(*) from (select from cdc.outbox where endpoint = $1 limit $2) o";
    let args = [endpoint.into(), (limit * 2).into()];
    let counted = client.update(sql, Some(1), &args).and_then(|row| row.first().get_one::<i64>());
    let waiting =
        counted.unwrap_or_else(|error| spi_failed("cannot read cdc.outbox", &error)).unwrap_or_default();
    Count { waiting, at: Instant::now(), took: began.elapsed() }
}
