//! Which columns of a row image go where, found by name once for each order of columns.
//!
//! Events of one table nearly always have the same columns in the same order. So what becomes of them is remembered from
//! one row to the next, and a row costs a comparison of names and nothing else; not even that if it shares its names
//! with the row before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::row::{Field, Row};

/// Orders of columns kept in mind of one source. A source has a few: whole rows, keys, updates that leave large columns
/// out. Beyond this number all are forgotten, and those in use come back.
const LAYOUTS_MAX: usize = 16;

/// What a source column is for.
#[derive(Debug, Clone, Copy)]
struct Slot {
    index: usize,
    /// Whether the value is also kept in the overflow.
    overflows: bool,
}

/// The source columns that a plan knows, each with a slot for its value.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// By name in lower case.
    by_name: HashMap<String, Slot>,
    /// Columns that have neither a slot nor a place in the overflow, e.g. XML that is extracted elsewhere.
    dropped: Vec<String>,
    layouts: Mutex<Vec<Arc<Layout>>>,
}

/// What becomes of the columns of a row, in one order of them.
#[derive(Debug)]
struct Layout {
    names: Vec<String>,
    /// The [`ColumnNames::id`](crate::row::ColumnNames::id) under which a row had these names last.
    names_id: AtomicU64,
    /// For each slot the place in the row of the column that fills it.
    filled: Vec<Option<usize>>,
    /// The places of the columns that overflow.
    overflow: Vec<usize>,
}

/// A row image with what becomes of its columns.
pub(super) struct Image<'r, 'a> {
    row: &'r Row<'a>,
    layout: Arc<Layout>,
}

impl Slots {
    pub(super) fn new(dropped: &[String]) -> Self {
        Self { dropped: dropped.iter().map(|name| name.to_lowercase()).collect(), ..Self::default() }
    }

    /// The slot of a source column, made if there is none. `keeps_all` tells whether its reader keeps all that the column
    /// says, so that it need not overflow.
    pub(super) fn add(&mut self, name: &str, keeps_all: bool) -> usize {
        let index = self.by_name.len();
        let slot = self.by_name.entry(name.to_lowercase()).or_insert(Slot { index, overflows: true });
        slot.overflows &= !keeps_all;
        self.layouts.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        slot.index
    }

    /// Whether a source column has a slot, or is dropped on purpose.
    pub(super) fn expect(&self, name: &str) -> bool {
        let lower = lower_case(name);
        self.by_name.contains_key(lower.as_ref()) || self.drop(&lower)
    }

    fn drop(&self, lower: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped == lower)
    }

    /// Finds what becomes of the columns of a row.
    pub(super) fn image<'r, 'a>(&self, row: &'r Row<'a>) -> Image<'r, 'a> {
        let mut layouts = self.layouts();
        let names_id = row.names().id();
        let known = layouts.iter().find(|layout| layout.names_id.load(Ordering::Relaxed) == names_id);
        let layout = match known.or_else(|| layouts.iter().find(|layout| layout.is_of(row))) {
            Some(known) => {
                known.names_id.store(names_id, Ordering::Relaxed);
                Arc::clone(known)
            }
            None => {
                if layouts.len() == LAYOUTS_MAX {
                    layouts.clear();
                }
                let learned = Arc::new(self.learn(row));
                layouts.push(Arc::clone(&learned));
                learned
            }
        };
        Image { row, layout }
    }

    /// The layouts; with a panic of somebody who had them they are as good as before.
    fn layouts(&self) -> MutexGuard<'_, Vec<Arc<Layout>>> {
        self.layouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, row: &Row<'_>) -> Layout {
        let names: Vec<String> = row.columns().map(|(name, _)| name.to_owned()).collect();
        let mut layout = Layout {
            names,
            names_id: AtomicU64::new(row.names().id()),
            filled: vec![None; self.by_name.len()],
            overflow: Vec::with_capacity(row.len()),
        };
        for (place, name) in layout.names.iter().enumerate() {
            let lower = lower_case(name);
            let slot = self.by_name.get(lower.as_ref());
            if let Some(slot) = slot {
                layout.filled[slot.index] = Some(place);
            }
            if slot.is_none_or(|slot| slot.overflows) && !self.drop(&lower) {
                layout.overflow.retain(|known| layout.names[*known] != *name);
                layout.overflow.push(place);
            }
        }
        layout
    }
}

impl Layout {
    fn is_of(&self, row: &Row<'_>) -> bool {
        self.names.len() == row.len()
            && self.names.iter().zip(row.columns()).all(|(own, (name, _))| own == name)
    }
}

impl<'r, 'a> Image<'r, 'a> {
    /// The row itself.
    pub(super) fn row(&self) -> &'r Row<'a> {
        self.row
    }

    /// The value in a slot, if the row has one.
    pub(super) fn field(&self, slot: usize) -> Option<Field<'a>> {
        self.layout.filled[slot].map(|place| self.row.at(place).1)
    }

    /// The columns without a place in the target.
    pub(super) fn overflow(&self) -> impl ExactSizeIterator<Item = (&'r Cow<'a, str>, Field<'a>)> {
        self.layout.overflow.iter().map(|place| self.row.at(*place))
    }
}

/// A name in lower case.
pub(super) fn lower_case(name: &str) -> Cow<'_, str> {
    if name.chars().any(char::is_uppercase) { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(names: &[&'static str]) -> Row<'static> {
        let values = ["0", "1", "2", "3"];
        Row::new(names.iter().zip(values).map(|(name, raw)| ((*name).into(), Field::untyped(raw))).collect())
    }

    fn slots() -> Slots {
        let mut slots = Slots::new(&["Doc".into()]);
        slots.add("ID", true);
        slots.add("Status", false);
        slots
    }

    fn seen(
        slots: &Slots,
        names: &[&'static str],
    ) -> (Vec<Option<&'static str>>, Vec<(String, &'static str)>) {
        let row = row(names);
        let image = slots.image(&row);
        let filled = (0..2).map(|slot| image.field(slot).map(|field| field.raw)).collect();
        (filled, image.overflow().map(|(name, field)| (name.to_string(), field.raw)).collect())
    }

    #[test]
    fn every_order_of_columns_is_told_from_the_others() {
        let slots = slots();
        for _ in 0..2 {
            let whole = seen(&slots, &["id", "STATUS", "DOC", "Tel"]);
            let overflow = vec![("STATUS".to_owned(), "1"), ("Tel".to_owned(), "3")];
            assert_eq!(whole, (vec![Some("0"), Some("1")], overflow));
            assert_eq!(seen(&slots, &["STATUS", "id"]).0, [Some("1"), Some("0")]);
            assert_eq!(seen(&slots, &["id"]), (vec![Some("0"), None], vec![]));
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_later_one_counts() {
        let (filled, overflow) = seen(&slots(), &["TEL", "ID", "TEL", "id"]);
        assert_eq!(filled, [Some("3"), None]);
        assert_eq!(overflow, [("TEL".to_owned(), "2")]);
    }

    #[test]
    fn orders_without_end_are_forgotten_and_learned_again() {
        let slots = slots();
        let names: Vec<&'static str> = (0..3 * LAYOUTS_MAX).map(|n| &*format!("C{n}").leak()).collect();
        for name in names.iter().chain(&names) {
            assert_eq!(seen(&slots, &["ID", name]).1, [((*name).to_owned(), "1")]);
            assert!(slots.layouts().len() <= LAYOUTS_MAX);
        }
    }
}
