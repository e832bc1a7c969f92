//! Builds rows while the elements of a document open and close.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::attribute::{Attribute, Attributes};
use super::decimal;
use super::error::{Fault, shortened};
use super::limits::{XmlLimit, XmlLimits};
use super::mapping::{Missing, XmlTable};
use super::path::{ColumnPath, Name};
use super::rows::{XmlExtraction, XmlRow};
use super::text::{attribute_value, trimmed};
use super::{XmlErrorKind, XmlMapping};

/// An open element, as it stands in the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'d> {
    /// The name with its prefix.
    pub(super) name: &'d str,
    /// What stands between the angle brackets of the start tag: the name and the attributes.
    pub(super) tag: &'d str,
    /// Where `tag` starts in the document.
    pub(super) tag_offset: usize,
}

/// A place in the target: table, row, column.
#[derive(Debug, Clone, Copy)]
struct Cell {
    table: usize,
    row: usize,
    column: usize,
}

/// A row whose element is still open.
#[derive(Debug)]
struct OpenRow {
    table: usize,
    row: usize,
    /// How many elements were open with its own.
    depth: usize,
    offset: usize,
}

/// The text of an open element, on its way into a cell.
#[derive(Debug)]
struct Capture {
    cell: Cell,
    /// How many elements were open with its own.
    depth: usize,
    text: String,
}

/// The rows of one document. What it keeps beside them is bounded by the depth of the document.
#[derive(Debug)]
pub(super) struct Collector<'m> {
    tables: &'m [XmlTable],
    limits: &'m XmlLimits,
    rows: Vec<Vec<XmlRow>>,
    row_count: usize,
    total_text_bytes: usize,
    /// The innermost last.
    open_rows: Vec<OpenRow>,
    /// Those of the innermost element last.
    captures: Vec<Capture>,
    /// Attributes of open elements that rows inside of them have wanted, by depth, table and column: a start tag is
    /// searched once, however many rows look up to it.
    above: BTreeMap<(usize, usize, usize), Option<(String, usize)>>,
    /// How far below its row the value of a column can be, at the most.
    levels_down: usize,
}

impl<'m> Collector<'m> {
    pub(super) fn new(mapping: &'m XmlMapping, limits: &'m XmlLimits) -> Self {
        let levels_down = mapping
            .tables
            .iter()
            .flat_map(paths)
            .map(|(_, path)| path.elements.len())
            .max()
            .unwrap_or_default();
        Self {
            tables: &mapping.tables,
            limits,
            rows: vec![Vec::new(); mapping.tables.len()],
            row_count: 0,
            total_text_bytes: 0,
            open_rows: Vec::new(),
            captures: Vec::new(),
            above: BTreeMap::new(),
            levels_down,
        }
    }

    pub(super) fn finish(self) -> XmlExtraction {
        XmlExtraction { tables: self.rows }
    }

    /// The last of `open` has opened, with these attributes: it may hold values of rows, and be a row itself.
    pub(super) fn element_opened(
        &mut self,
        open: &[Element<'_>],
        attributes: &[Attribute<'_>],
    ) -> Result<(), Fault> {
        let is_near = |row: &OpenRow| row.depth + self.levels_down >= open.len();
        for at in self.open_rows.partition_point(|row| !is_near(row))..self.open_rows.len() {
            self.find_columns(at, open, attributes)?;
        }
        for table in 0..self.tables.len() {
            if let Some(parent) = self.parent_of_row(table, open) {
                self.open_row(table, parent, open, attributes)?;
            }
        }
        Ok(())
    }

    /// Character data has come in the innermost element, `depth` of which are open.
    pub(super) fn text(&mut self, depth: usize, text: &str, offset: usize) -> Result<(), Fault> {
        for capture in self.captures.iter_mut().rev().take_while(|capture| capture.depth == depth) {
            let length = capture.text.len() + text.len();
            admit(self.limits, &mut self.total_text_bytes, length, text.len(), offset)?;
            capture.text.push_str(text);
        }
        Ok(())
    }

    /// The innermost of `depth` open elements closes.
    pub(super) fn element_closes(&mut self, depth: usize) -> Result<(), Fault> {
        while let Some(capture) = self.captures.pop_if(|capture| capture.depth == depth) {
            let text = trimmed(Cow::Owned(capture.text)).into_owned();
            let value = self.value_mut(capture.cell);
            if value.is_none() && !text.is_empty() {
                *value = Some(text);
            }
        }
        while let Some(row) = self.open_rows.pop_if(|row| row.depth == depth) {
            self.complete(&row)?;
        }
        while let Some(entry) = self.above.last_entry().filter(|entry| entry.key().0 >= depth) {
            entry.remove();
        }
        Ok(())
    }

    /// Whether the last of `open` is a row of `table`, and if so, the line number of the row it is nested in.
    fn parent_of_row(&self, table: usize, open: &[Element<'_>]) -> Option<Option<u32>> {
        let XmlTable { parent, row_path, .. } = &self.tables[table];
        let Some(parent) = *parent else {
            return row_path.matches(names(open)).then_some(None);
        };
        let row = self.open_rows.iter().rfind(|row| row.table == parent)?;
        let is_row = row_path.matches(names(&open[row.depth..]));
        is_row.then(|| Some(self.rows[parent][row.row].line_no))
    }

    fn open_row(
        &mut self,
        table: usize,
        parent_line_no: Option<u32>,
        open: &[Element<'_>],
        attributes: &[Attribute<'_>],
    ) -> Result<(), Fault> {
        let offset = open.last().map_or(0, |element| element.tag_offset);
        let rows = &mut self.rows[table];
        let line_no = match u32::try_from(rows.len() + 1) {
            Ok(line_no) if self.row_count < self.limits.rows => line_no,
            _ => return Err(Fault::new(XmlErrorKind::Limit(XmlLimit::Rows(self.limits.rows)), offset)),
        };
        self.row_count += 1;
        let row = rows.len();
        rows.push(XmlRow { line_no, parent_line_no, values: vec![None; self.tables[table].columns.len()] });
        self.open_rows.push(OpenRow { table, row, depth: open.len(), offset });
        self.find_columns(self.open_rows.len() - 1, open, attributes)?;
        self.find_columns_above(table, row, open)
    }

    /// Looks in the last of `open`, which has these attributes, for values of an open row.
    fn find_columns(
        &mut self,
        open_row: usize,
        open: &[Element<'_>],
        attributes: &[Attribute<'_>],
    ) -> Result<(), Fault> {
        let OpenRow { table, row, depth: row_depth, .. } = self.open_rows[open_row];
        let Some((element, below)) = open.last().zip(open.get(row_depth..)) else {
            return Ok(());
        };
        for (column, path) in paths(&self.tables[table]) {
            let cell = Cell { table, row, column };
            if !path.leads_to(names(below)) || self.value_mut(cell).is_some() {
                continue;
            }
            match &path.attribute {
                Some(name) => {
                    let found = wanted(attributes.iter().copied().map(Ok), name)?;
                    if let Some((value, offset)) = decoded(found, element)? {
                        self.store(cell, value, offset)?;
                    }
                }
                None => self.captures.push(Capture { cell, depth: open.len(), text: String::new() }),
            }
        }
        Ok(())
    }

    /// Looks in the elements around a new row for the columns whose paths lead upwards.
    fn find_columns_above(&mut self, table: usize, row: usize, open: &[Element<'_>]) -> Result<(), Fault> {
        for (column, path) in paths(&self.tables[table]).filter(|(_, path)| path.levels_up > 0) {
            let depth = open.len().saturating_sub(path.levels_up);
            let element = depth.checked_sub(1).and_then(|at| open.get(at));
            let Some((element, name)) = element.zip(path.attribute.as_ref()) else {
                continue;
            };
            let found = match self.above.entry((depth, table, column)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let found = attribute(element, name)?;
                    entry.insert(found.map(|(value, offset)| (value.into_owned(), offset)))
                }
            };
            if let Some((value, offset)) = found.clone() {
                self.store(Cell { table, row, column }, Cow::Owned(value), offset)?;
            }
        }
        Ok(())
    }

    fn store(&mut self, cell: Cell, value: Cow<'_, str>, offset: usize) -> Result<(), Fault> {
        admit(self.limits, &mut self.total_text_bytes, value.len(), value.len(), offset)?;
        *self.value_mut(cell) = Some(value.into_owned());
        Ok(())
    }

    fn value_mut(&mut self, cell: Cell) -> &mut Option<String> {
        &mut self.rows[cell.table][cell.row].values[cell.column]
    }

    /// Gives a row that has ended what it lacks, products last: they need the defaults of their factors.
    fn complete(&mut self, row: &OpenRow) -> Result<(), Fault> {
        let columns = &self.tables[row.table].columns;
        for wants_product in [false, true] {
            for (at, column) in columns.iter().enumerate() {
                let cell = Cell { table: row.table, row: row.row, column: at };
                let is_product = matches!(column.missing, Missing::Product(_));
                if is_product != wants_product || self.value_mut(cell).is_some() {
                    continue;
                }
                match &column.missing {
                    Missing::Null => {}
                    Missing::Text(text) => self.store(cell, Cow::Borrowed(text), row.offset)?,
                    Missing::Product(factors) => {
                        if let Some(product) = self.product(row, factors)? {
                            self.store(cell, Cow::Owned(product), row.offset)?;
                        }
                    }
                    Missing::Fail => {
                        let line_no = self.rows[row.table][row.row].line_no;
                        let kind = XmlErrorKind::MissingValue { line_no, column: column.name.clone() };
                        return Err(Fault::new(kind, row.offset));
                    }
                }
            }
        }
        Ok(())
    }

    /// The product of columns of a row; none if one of them is NULL or blank.
    fn product(&self, row: &OpenRow, factors: &[usize]) -> Result<Option<String>, Fault> {
        let XmlRow { line_no, values, .. } = &self.rows[row.table][row.row];
        let texts =
            factors.iter().map(|at| values[*at].as_deref().filter(|text| !text.trim_ascii().is_empty()));
        let Some(texts) = texts.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        decimal::product(texts.iter().copied()).map(Some).map_err(|wrong| {
            let column = self.tables[row.table].columns[factors[wrong]].name.clone();
            let kind = XmlErrorKind::NotDecimal { line_no: *line_no, column, text: shortened(texts[wrong]) };
            Fault::new(kind, row.offset)
        })
    }
}

/// Counts `added` bytes of a value that has `length` now.
fn admit(
    limits: &XmlLimits,
    total: &mut usize,
    length: usize,
    added: usize,
    offset: usize,
) -> Result<(), Fault> {
    *total += added;
    let limit = if length > limits.text_bytes {
        XmlLimit::TextBytes(limits.text_bytes)
    } else if *total > limits.total_text_bytes {
        XmlLimit::TotalTextBytes(limits.total_text_bytes)
    } else {
        return Ok(());
    };
    Err(Fault::new(XmlErrorKind::Limit(limit), offset))
}

fn names<'d>(elements: &[Element<'d>]) -> impl DoubleEndedIterator<Item = &'d str> + ExactSizeIterator {
    elements.iter().map(|element| element.name)
}

/// The columns of a table that have a path, with their places.
fn paths(table: &XmlTable) -> impl Iterator<Item = (usize, &ColumnPath)> {
    table.columns.iter().enumerate().filter_map(|(at, column)| Some((at, column.path.as_ref()?)))
}

/// An attribute of an element: its decoded value and offset.
fn attribute<'d>(element: &Element<'d>, name: &Name) -> Result<Option<(Cow<'d, str>, usize)>, Fault> {
    let found = wanted(Attributes::new(element.tag, element.name.len()), name);
    let in_document = |fault: Fault| Fault { offset: fault.offset + element.tag_offset, ..fault };
    decoded(found.map_err(in_document)?, element)
}

/// The attribute that a path names. One that is written just as in the path goes before one that has only its local name.
fn wanted<'d>(
    attributes: impl Iterator<Item = Result<Attribute<'d>, Fault>>,
    name: &Name,
) -> Result<Option<Attribute<'d>>, Fault> {
    let mut found = None;
    for attribute in attributes {
        let attribute = attribute?;
        if name.is(attribute.name) {
            return Ok(Some(attribute));
        }
        let is_declaration = attribute.name.starts_with("xmlns:");
        if found.is_none() && name.matches(attribute.name) && !is_declaration {
            found = Some(attribute);
        }
    }
    Ok(found)
}

/// The decoded value of an attribute of an element, and its offset in the document.
fn decoded<'d>(
    attribute: Option<Attribute<'d>>,
    element: &Element<'_>,
) -> Result<Option<(Cow<'d, str>, usize)>, Fault> {
    let Some(attribute) = attribute else { return Ok(None) };
    let offset = element.tag_offset + attribute.value_offset;
    let value =
        attribute_value(attribute.value).map_err(|fault| Fault { offset: fault.offset + offset, ..fault })?;
    Ok(Some((value, offset)))
}
