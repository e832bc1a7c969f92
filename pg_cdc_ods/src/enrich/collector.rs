//! Which keys a batch makes dirty: kept in this backend's memory until the end of the batch.
//!
//! A change that is undone with its subtransaction leaves its keys behind. That does no harm: to make a row anew that
//! has not changed is to leave it as it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pgrx::spi::SpiClient;

use super::catalog::Catalog;
use super::keys::Keys;
use crate::settings;

thread_local! {
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

/// What is dirty of one enriched table.
#[derive(Default)]
pub(super) struct Dirty {
    /// The keys of rows that are made anew as a whole.
    pub(super) rows: Option<Keys>,
    /// By the place of a dependency, the keys of rows of which only its columns are.
    pub(super) parts: BTreeMap<usize, Option<Keys>>,
}

/// Steps of different keys from which it is time to make their rows anew, so that they do not fill the memory.
const STEPS_KEPT: usize = 10;

struct Collector {
    catalog: Rc<Catalog>,
    /// The number of keys as they came: some of them may be the same.
    keys: usize,
    /// By the number of the enriched table.
    dirty: BTreeMap<i32, Dirty>,
}

/// While this exists, changes of this session leave their keys in memory; else they go to `cdc.enrich_queue`.
///
/// It ends with its scope, also when an ERROR unwinds it: what the session does later is not lost.
pub(crate) struct Collecting {
    pub(super) catalog: Rc<Catalog>,
}

impl Collecting {
    /// Begins to collect. The caller holds the progress lock, so that nobody else makes rows anew meanwhile.
    pub(crate) fn begin(client: &mut SpiClient<'_>) -> Self {
        let catalog = Catalog::current(client);
        let collector = Collector { catalog: Rc::clone(&catalog), keys: 0, dirty: BTreeMap::new() };
        COLLECTOR.with_borrow_mut(|current| *current = Some(collector));
        Self { catalog }
    }

    /// Whether there are so many keys that they should not wait for those of further batches.
    pub(crate) fn is_full(&self) -> bool {
        COLLECTOR.with_borrow_mut(|current| current.as_mut().is_some_and(Collector::is_full))
    }

    /// What is dirty now of the first table that has anything dirty; it counts as clean from then on.
    pub(super) fn next_dirty(&self) -> Option<(i32, Dirty)> {
        COLLECTOR.with_borrow_mut(|current| {
            let collector = current.as_mut()?;
            let dirty = collector.dirty.pop_first();
            if collector.dirty.is_empty() {
                collector.keys = 0;
            }
            dirty
        })
    }
}

impl Collector {
    fn is_full(&mut self) -> bool {
        let many = STEPS_KEPT * usize::try_from(settings::ENRICH_STEP.get()).unwrap_or_default();
        // To sort them costs little, because at least half of them have come since the last time.
        if self.keys < 2 * many {
            return false;
        }
        self.dirty.values_mut().for_each(Dirty::sort);
        self.keys = self.dirty.values().map(Dirty::len).sum();
        self.keys >= many
    }
}

impl Dirty {
    /// Leaves each key once.
    fn sort(&mut self) {
        self.rows.iter_mut().chain(self.parts.values_mut().flatten()).for_each(Keys::sort);
    }

    fn len(&self) -> usize {
        self.rows.iter().chain(self.parts.values().flatten()).map(Keys::len).sum()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        COLLECTOR.with_borrow_mut(|current| *current = None);
    }
}

/// The configuration, if this session collects.
pub(crate) fn catalog() -> Option<Rc<Catalog>> {
    COLLECTOR.with_borrow(|current| current.as_ref().map(|collector| Rc::clone(&collector.catalog)))
}

/// Keeps keys in memory, of whole rows or only of the columns of a dependency; gives them back if this session does not
/// collect.
pub(super) fn collect(enrichment_id: i32, part: Option<usize>, keys: Keys) -> Result<(), Keys> {
    COLLECTOR.with_borrow_mut(|current| match current {
        Some(collector) => {
            collector.keys += keys.len();
            let dirty = collector.dirty.entry(enrichment_id).or_default();
            let known = match part {
                Some(place) => dirty.parts.entry(place).or_default(),
                None => &mut dirty.rows,
            };
            match known {
                Some(known) => known.extend(keys),
                None => *known = Some(keys),
            }
            Ok(())
        }
        None => Err(keys),
    })
}
