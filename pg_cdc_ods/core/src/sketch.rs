//! The columns that events of a source would need: for a table that is made from them, or columns that are added.

use crate::envelope::Event;
use crate::infer::{InferredColumn, Widening, infer_columns, widen};
use crate::row::Row;
use crate::{ColumnType, Field};

/// Columns with the types that hold what all events so far have sent.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    columns: Vec<InferredColumn>,
}

impl Sketch {
    /// Adds what one event tells of the columns that are wanted.
    pub fn add(&mut self, event: &Event<'_>, is_wanted: impl Fn(&str) -> bool) {
        for column in infer_columns(event).into_iter().filter(|column| is_wanted(&column.name)) {
            match self.columns.iter_mut().find(|known| known.name == column.name) {
                Some(known) => known.is_key |= column.is_key,
                None => self.columns.push(column),
            }
        }
        for (name, field) in event.after.iter().chain(&event.before).flat_map(Row::fields) {
            if let Some(known) = self.columns.iter_mut().find(|known| known.name == name) {
                known.column_type = widened(&known.column_type, field);
            }
        }
    }

    /// The columns, in the order in which they came first.
    pub fn columns(&self) -> &[InferredColumn] {
        &self.columns
    }
}

/// The type that holds a value besides what this type holds: text, if there is no other.
fn widened(column_type: &ColumnType, field: Field<'_>) -> ColumnType {
    if field.is_null() || field.is_unavailable() {
        return column_type.clone();
    }
    match widen(column_type, field) {
        Widening::Fits => column_type.clone(),
        Widening::Becomes(wider) => wider,
        Widening::Impossible(_) => ColumnType::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoded, decode};

    fn types(rows: &[&str]) -> Vec<(String, String)> {
        let mut sketch = Sketch::default();
        for row in rows {
            let body = format!(r#"{{"op":"c","after":{row}}}"#);
            let Decoded::Change(event) = decode("x/S/T/insert", body.as_bytes(), 1).unwrap() else {
                panic!("not a change")
            };
            sketch.add(&event, |name| name != "SKIP");
        }
        let pair = |column: &InferredColumn| (column.name.clone(), column.column_type.sql_name().to_owned());
        sketch.columns().iter().map(pair).collect()
    }

    #[test]
    fn a_column_has_the_type_that_holds_all_its_values() {
        let rows = [
            r#"{"ID":1,"AMOUNT":5,"NOTE":null,"DAY":"2026-01-01","SKIP":1}"#,
            r#"{"ID":2,"AMOUNT":5.25,"NOTE":true,"DAY":"2026-01-01T10:00:00","CODE":7}"#,
            r#"{"ID":3,"AMOUNT":null,"NOTE":false,"DAY":null,"CODE":"x"}"#,
        ];
        let expected = [
            ("ID", "bigint"),
            ("AMOUNT", "numeric"),
            ("DAY", "timestamp"),
            ("NOTE", "boolean"),
            ("CODE", "text"),
        ];
        assert_eq!(types(&rows), expected.map(|(name, sql)| (name.to_owned(), sql.to_owned())));
    }
}
