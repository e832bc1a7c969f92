//! The columns of a statement that writes many rows: an array parameter for each.

use cdc_core::{Cell, ChangeKind, ColumnType, Plan, RowChange, TargetColumn};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use super::arrays::{self, ArrayParameter};
use crate::plan_cache;
use crate::sql_error::spi_failed;

/// The parts of a statement that grow with its columns, kept in step.
#[derive(Default)]
pub(super) struct ColumnList {
    /// Quoted names in the target.
    pub(super) targets: Vec<String>,
    /// What is inserted: the element, cast where its array has another type.
    pub(super) expressions: Vec<String>,
    /// `$1::bigint[]` and so on.
    pub(super) parameters: Vec<String>,
    /// The names of the elements: `c1` and so on.
    pub(super) elements: Vec<String>,
    pub(super) datums: Vec<DatumWithOid<'static>>,
}

impl ColumnList {
    /// Adds the cells of the columns that `mask` names.
    pub(super) fn push_cells(&mut self, plan: &Plan, mask: &[bool], changes: &[&RowChange<'_>]) {
        for (index, column) in
            plan.columns().iter().enumerate().zip(mask).filter(|(_, set)| **set).map(|(column, _)| column)
        {
            let values = changes.iter().filter_map(|change| match &change.kind {
                ChangeKind::Upsert { cells, .. } => match &cells[index] {
                    Cell::Set(value) => Some(value),
                    Cell::Keep => None,
                },
                ChangeKind::Delete => None,
            });
            self.push_column(column, arrays::array(&column.column_type, values));
        }
    }

    /// Adds the key; returns the conditions that find the rows.
    pub(super) fn push_key(&mut self, plan: &Plan, changes: &[&RowChange<'_>]) -> Vec<String> {
        for (place, index) in plan.key().iter().enumerate() {
            let column = &plan.columns()[*index];
            let values = changes.iter().map(|change| &change.key[place]);
            self.push_column(column, arrays::array(&column.column_type, values));
        }
        self.targets
            .iter()
            .zip(&self.expressions)
            .map(|(name, value)| format!("t.{name} = {value}"))
            .collect()
    }

    fn push_column(&mut self, column: &TargetColumn, array: ArrayParameter) {
        self.push_typed(&column.name, &column.column_type, array);
    }

    /// Adds a column of this name and type.
    pub(super) fn push_typed(&mut self, name: &str, column_type: &ColumnType, array: ArrayParameter) {
        let element = format!("c{}", self.elements.len() + 1);
        let expression = arrays::element(column_type, &element);
        self.push_parts(quote_identifier(name), element, expression, array);
    }

    /// Adds a bookkeeping column; `cast` is its type, with what makes it from the array's element. Returns the expression.
    pub(super) fn push(&mut self, name: &str, cast: &str, array: ArrayParameter) -> String {
        let element = format!("c{}", self.elements.len() + 1);
        let expression = match cast.strip_prefix("timestamp") {
            Some(zone) => format!("e.{element}{zone}"),
            None => format!("e.{element}::{cast}"),
        };
        self.push_parts(name.to_owned(), element, expression.clone(), array);
        expression
    }

    /// Adds a column that has the same text in every row.
    pub(super) fn push_constant(&mut self, name: &str, text: &str) {
        let parameter = self.parameter(text);
        self.targets.push(name.to_owned());
        self.expressions.push(parameter);
    }

    /// A text as a parameter of the statement, for any place in it.
    pub(super) fn parameter(&mut self, text: &str) -> String {
        self.datums.push(text.to_owned().into());
        format!("${}", self.datums.len())
    }

    fn push_parts(&mut self, target: String, element: String, expression: String, array: ArrayParameter) {
        self.datums.push(array.datum);
        self.parameters.push(format!("${}::{}[]", self.datums.len(), array.element_type));
        self.targets.push(target);
        self.expressions.push(expression);
        self.elements.push(element);
    }
}

/// Runs a statement; returns the rows it wrote.
pub(super) fn execute(sql: &str, datums: &[DatumWithOid<'_>]) -> i64 {
    let run = Spi::connect_mut(|client| plan_cache::update(client, sql, datums).map(|rows| rows.len()));
    match run {
        Ok(rows) => rows as i64,
        Err(error) => spi_failed("cannot write to a target", &error),
    }
}
