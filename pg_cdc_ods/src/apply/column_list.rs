//! The columns of a statement over many rows: an array for each.

use cdc_core::{Cell, ChangeKind, ColumnType, Plan, RowChange, TargetColumn};
use pgrx::datum::{Datum, DatumWithOid};
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiClient, SpiResult, quote_identifier};

use super::arrays::{self, ArrayParameter};
use super::element_rows;
use crate::plan_cache;
use crate::spi_rows::Rows;
use crate::sql_error::spi_failed;

/// The parts of a statement that grow with its columns, kept in step.
#[derive(Default)]
pub(super) struct ColumnList {
    /// Quoted names in the target.
    pub(super) targets: Vec<String>,
    /// What is inserted: the element, cast where its array has another type.
    pub(super) expressions: Vec<String>,
    /// The names of the elements: `c1` and so on.
    elements: Vec<String>,
    /// Their types.
    types: Vec<&'static str>,
    arrays: Vec<pg_sys::Datum>,
    /// Other parameters of the statement.
    parameters: Vec<DatumWithOid<'static>>,
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
        let parameter = self.parameter(text.to_owned());
        self.targets.push(name.to_owned());
        self.expressions.push(parameter);
    }

    /// A parameter of the statement, for any place in it.
    pub(super) fn parameter(&mut self, value: impl Into<DatumWithOid<'static>>) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }

    /// Adds the places of the rows, counted from zero, as the element `place`.
    pub(super) fn push_places(&mut self, rows: usize) {
        let places = arrays::parameter_of("bigint", (0..rows as i64).map(Some));
        self.push_parts("place".to_owned(), "place".to_owned(), "e.place".to_owned(), places);
    }

    /// The rows as a statement names them in FROM: the table `e`.
    pub(super) fn rows(&self) -> String {
        // What has other types is another statement.
        let types = self.types.join(", ");
        format!("{} as e({}) /* {types} */", element_rows::NAME, self.elements.join(", "))
    }

    /// Runs a statement over the rows.
    pub(super) fn run<'c>(&self, client: &mut SpiClient<'c>, sql: &str) -> SpiResult<Rows<'c>> {
        element_rows::update(client, &self.arrays, sql, &self.parameters)
    }

    /// Runs a statement that writes; returns the rows it wrote.
    pub(super) fn execute(&self, sql: &str) -> i64 {
        written(Spi::connect_mut(|client| self.run(client, sql).map(|rows| rows.len())))
    }

    fn push_parts(&mut self, target: String, element: String, expression: String, array: ArrayParameter) {
        self.arrays.extend(array.datum.datum().map(Datum::sans_lifetime));
        self.types.push(array.element_type);
        self.targets.push(target);
        self.expressions.push(expression);
        self.elements.push(element);
    }
}

/// Runs a statement without rows; returns the rows it wrote.
pub(super) fn execute(sql: &str, args: &[DatumWithOid<'_>]) -> i64 {
    written(Spi::connect_mut(|client| plan_cache::update(client, sql, args).map(|rows| rows.len())))
}

fn written(rows: SpiResult<usize>) -> i64 {
    rows.unwrap_or_else(|error| spi_failed("cannot write to a target", &error)) as i64
}
