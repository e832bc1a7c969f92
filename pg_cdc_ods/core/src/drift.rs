//! Notices when the columns of a source change: one is new, one is gone, one has values of another kind.
//!
//! Every row passes here, so the usual case, a row like the one before, costs a comparison of names and nothing else.

use std::collections::HashMap;

use crate::json;
use crate::row::Row;

/// Columns that are kept in mind of one source; what a source with more does is not noticed. PostgreSQL's own limit for
/// a table is 1,600.
const MAX_COLUMNS: usize = 2_000;

/// What a JSON value is, as far as a column of a database is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string: text, a date, a decimal in base64, …
    String,
    /// An object.
    Object,
    /// An array.
    Array,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Boolean, Self::Number, Self::String, Self::Object, Self::Array];

    /// The name that JSON has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Object => "object",
            Self::Array => "array",
        }
    }

    /// The kind of a raw value; `None` for `null` and for what was not sent.
    fn of(raw: &str) -> Option<Self> {
        Some(match raw.as_bytes().first()? {
            b't' | b'f' => Self::Boolean,
            b'"' if json::is_unavailable(raw) => return None,
            b'"' => Self::String,
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'n' => return None,
            _ => Self::Number,
        })
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    fn insert(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    /// The names of the kinds, in the order of [`Kind::ALL`].
    pub fn names(self) -> Vec<&'static str> {
        Kind::ALL.into_iter().filter(|kind| self.contains(*kind)).map(Kind::as_str).collect()
    }

    /// The set of the kinds with these names; other names are left out.
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut kinds = Self::default();
        for name in names {
            Kind::ALL.into_iter().filter(|kind| kind.as_str() == name).for_each(|kind| kinds.insert(kind));
        }
        kinds
    }
}

/// What is different from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The column was not known.
    New {
        /// The kind of its first value; `None` if that is null.
        kind: Option<Kind>,
    },
    /// A row that tells all of its columns lacks this one.
    Missing,
    /// A value is of a kind that the column did not have.
    Retyped {
        /// The kinds it had.
        from: Kinds,
        /// The kind it has now, too.
        to: Kind,
    },
}

/// A difference, and where it was seen first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDrift {
    /// The column as the event spells it.
    pub column: String,
    /// What is different.
    pub drift: Drift,
    /// The place of the message in its batch.
    pub message: usize,
}

/// Whether a row tells all columns of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All of them, as after a create and in a snapshot.
    Whole,
    /// Perhaps not all.
    Partial,
}

/// The columns of one source as they have been seen.
#[derive(Debug, Clone, Default)]
pub struct SourceColumns {
    columns: Vec<SeenColumn>,
    by_name: HashMap<String, usize>,
    /// The columns of the row before, in its order.
    last: Vec<usize>,
    /// The [`ColumnNames::id`](crate::row::ColumnNames::id) of that row, if all of its columns are known.
    last_names: Option<u64>,
    rows: u64,
    drifts: Vec<ColumnDrift>,
}

#[derive(Debug, Clone)]
struct SeenColumn {
    name: String,
    kinds: Kinds,
    /// Learned or changed since the columns were loaded.
    is_changed: bool,
    /// Whether its absence has been told already.
    is_missing: bool,
    /// The number of the last row with other columns than the one before that had it.
    last_row: u64,
}

impl SourceColumns {
    /// What is known of a source from before: its columns with the kinds that their values had.
    pub fn known(columns: impl IntoIterator<Item = (String, Kinds)>) -> Self {
        let mut known = Self::default();
        for (name, kinds) in columns {
            known.learn(name, kinds, false);
        }
        known
    }

    fn learn(&mut self, name: String, kinds: Kinds, is_changed: bool) -> usize {
        let index = self.columns.len();
        self.by_name.insert(name.clone(), index);
        self.columns.push(SeenColumn { name, kinds, is_changed, is_missing: false, last_row: 0 });
        index
    }

    /// Looks at a row. `is_expected` tells of an unknown column whether it is no surprise, because the configuration
    /// names it.
    pub fn observe(
        &mut self,
        row: &Row<'_>,
        completeness: Completeness,
        message: usize,
        is_expected: impl Fn(&str) -> bool,
    ) {
        if self.last_names == Some(row.names().id()) {
            return self.observe_like_last(row, message);
        }
        let mut matching = 0;
        for (place, (name, raw)) in row.columns().enumerate() {
            let expected = self.last.get(place).map(|index| &self.columns[*index]);
            if expected.is_none_or(|column| column.name != name) {
                break;
            }
            self.observe_value(self.last[place], raw, message);
            matching += 1;
        }
        if matching < row.len() || (matching < self.last.len() && completeness == Completeness::Whole) {
            self.observe_other_row(row, completeness, message, is_expected);
        }
        let is_last = self.last.len() == row.len();
        self.last_names = is_last.then(|| row.names().id());
    }

    /// Looks at a row with the columns of the one before.
    fn observe_like_last(&mut self, row: &Row<'_>, message: usize) {
        for (place, (_, raw)) in row.columns().enumerate() {
            self.observe_value(self.last[place], raw, message);
        }
    }

    /// Looks at a row with other columns than the one before.
    fn observe_other_row(
        &mut self,
        row: &Row<'_>,
        completeness: Completeness,
        message: usize,
        is_expected: impl Fn(&str) -> bool,
    ) {
        self.last.clear();
        self.rows += 1;
        for (name, raw) in row.columns() {
            let known = self.by_name.get(name).copied();
            if known.is_none() && self.columns.len() == MAX_COLUMNS {
                continue;
            }
            let index = known.unwrap_or_else(|| {
                if !is_expected(name) {
                    let drift = Drift::New { kind: Kind::of(raw) };
                    self.drifts.push(ColumnDrift { column: name.to_owned(), drift, message });
                }
                self.learn(name.to_owned(), Kinds::default(), true)
            });
            self.observe_value(index, raw, message);
            self.columns[index].last_row = self.rows;
            self.last.push(index);
        }
        if completeness == Completeness::Partial {
            return;
        }
        for column in &mut self.columns {
            let is_absent = column.last_row != self.rows;
            if is_absent && !column.is_missing {
                let drift = Drift::Missing;
                self.drifts.push(ColumnDrift { column: column.name.clone(), drift, message });
            }
            column.is_missing = is_absent;
        }
    }

    fn observe_value(&mut self, index: usize, raw: &str, message: usize) {
        let column = &mut self.columns[index];
        let Some(kind) = Kind::of(raw).filter(|kind| !column.kinds.contains(*kind)) else { return };
        if column.kinds != Kinds::default() {
            let drift = Drift::Retyped { from: column.kinds, to: kind };
            self.drifts.push(ColumnDrift { column: column.name.clone(), drift, message });
        }
        column.kinds.insert(kind);
        column.is_changed = true;
    }

    /// The differences seen since the last call.
    pub fn take_drifts(&mut self) -> Vec<ColumnDrift> {
        std::mem::take(&mut self.drifts)
    }

    /// The columns that were learned or changed since the last call, with the kinds of their values.
    pub fn take_changed(&mut self) -> Vec<(String, Kinds)> {
        let changed = self.columns.iter_mut().filter(|column| column.is_changed);
        changed
            .map(|column| {
                column.is_changed = false;
                (column.name.clone(), column.kinds)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoded, decode};

    /// Observes the `after` images of creates, one message each.
    fn observe(columns: &mut SourceColumns, rows: &[&str]) -> Vec<(String, Drift, usize)> {
        for (message, row) in rows.iter().enumerate() {
            let body = format!(r#"{{"op":"c","after":{row}}}"#);
            let Decoded::Change(event) = decode("x/S/T/insert", body.as_bytes(), 1).unwrap() else {
                panic!("not a change")
            };
            columns
                .observe(&event.after.unwrap(), Completeness::Whole, message, |name| name.starts_with('K'));
        }
        columns.take_drifts().into_iter().map(|seen| (seen.column, seen.drift, seen.message)).collect()
    }

    fn number() -> Kinds {
        Kinds::from_names(["number"])
    }

    #[test]
    fn rows_of_the_same_columns_and_kinds_are_no_news() {
        let mut columns = SourceColumns::default();
        let rows = [r#"{"K1":1,"K2":null}"#, r#"{"K1":2,"K2":"a"}"#, r#"{"K2":"b","K1":3}"#];
        assert_eq!(observe(&mut columns, &rows), []);
        assert_eq!(
            columns.take_changed(),
            [("K1".to_owned(), number()), ("K2".to_owned(), Kinds::from_names(["string"]))]
        );
        assert_eq!(columns.take_changed(), []);
    }

    #[test]
    fn new_missing_and_retyped_columns_are_told_once_with_their_message() {
        let mut columns = SourceColumns::known([("K1".to_owned(), number()), ("K2".to_owned(), number())]);
        let rows = [
            r#"{"K1":1,"K2":1}"#,
            r#"{"K1":"100","K2":1}"#,
            r#"{"K1":"100","X":{}}"#,
            r#"{"K1":5,"X":null}"#,
        ];
        let expected = [
            ("K1".to_owned(), Drift::Retyped { from: number(), to: Kind::String }, 1),
            ("X".to_owned(), Drift::New { kind: Some(Kind::Object) }, 2),
            ("K2".to_owned(), Drift::Missing, 2),
        ];
        assert_eq!(observe(&mut columns, &rows), expected);
    }

    #[test]
    fn a_partial_row_misses_nothing() {
        let mut columns = SourceColumns::known([("K1".to_owned(), number()), ("K2".to_owned(), number())]);
        let Decoded::Change(event) = decode("x/S/T/u", br#"{"op":"u","after":{"K1":1}}"#, 1).unwrap() else {
            panic!("not a change")
        };
        columns.observe(&event.after.unwrap(), Completeness::Partial, 0, |_| false);
        assert_eq!(columns.take_drifts(), []);
    }
}
