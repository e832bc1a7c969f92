//! Which keys a batch makes dirty: kept in this backend's memory until the end of the batch.
//!
//! A change that is undone with its subtransaction leaves its keys behind. That does no harm: to make a row anew that
//! has not changed is to leave it as it is.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use pgrx::spi::SpiClient;

use super::catalog::Catalog;

thread_local! {
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

/// Keys by the number of their enriched table.
type DirtyKeys = BTreeMap<i32, HashSet<String>>;

struct Collector {
    catalog: Rc<Catalog>,
    dirty: DirtyKeys,
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
        let catalog = Rc::new(Catalog::load(client));
        let collector = Collector { catalog: Rc::clone(&catalog), dirty: BTreeMap::new() };
        COLLECTOR.with_borrow_mut(|current| *current = Some(collector));
        Self { catalog }
    }

    /// The keys that are dirty now of the first table that has any; they count as clean from then on.
    pub(super) fn next_dirty(&self) -> Option<(i32, Vec<String>)> {
        COLLECTOR.with_borrow_mut(|current| {
            let (id, keys) = current.as_mut()?.dirty.pop_first()?;
            Some((id, keys.into_iter().collect()))
        })
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

/// Keeps keys in memory; gives them back if this session does not collect.
pub(super) fn collect(enrichment_id: i32, keys: Vec<String>) -> Result<(), Vec<String>> {
    COLLECTOR.with_borrow_mut(|current| match current {
        Some(collector) => {
            collector.dirty.entry(enrichment_id).or_default().extend(keys);
            Ok(())
        }
        None => Err(keys),
    })
}
