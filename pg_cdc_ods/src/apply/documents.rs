//! XML documents of a round: extracts their rows, and writes them to child tables once their change is written.
//!
//! A document is a column of the plan like any other, except that it is not stored: what it says goes to child rows.
//! So a document that was not sent, or that comes late, is treated as any column is. A document that cannot be
//! extracted counts as not sent, and so a replay of its message fills it in.

use std::collections::HashMap;

use cdc_core::{
    Cell, ChangeKind, ColumnType, ErrorType, OnMalformed, Plan, Position, Reject, RowChange, Value,
    XmlErrorKind, XmlLimits, XmlRow,
};

use super::children::{self, ChildRow};
use super::dead_letters::Rejected;
use super::extractions::{ChildTable, Extraction};
use super::guard::{as_user, write_or_halve};
use super::round::RoundOutcome;
use super::target_plans::TargetPlan;
use super::targets::Target;
use crate::settings;

/// The rows of the documents of a round, by the key of the row that they stand in. For each extraction of the target,
/// what its document says; `None` if that was not sent.
#[derive(Default)]
pub(super) struct Documents {
    rows: HashMap<Vec<u8>, Vec<Option<DocumentRows>>>,
}

/// The rows of one document, for each table of its mapping.
type DocumentRows = Vec<Vec<ChildRow>>;

/// A document whose rows could not be written.
pub(super) struct Unwritten {
    /// The key of the row that it stands in, and the row's position.
    pub(super) key_bytes: Vec<u8>,
    pub(super) row: Position,
    /// The name of the document among the plan's columns.
    pub(super) document: String,
    pub(super) rejected: Rejected,
}

impl Documents {
    /// Extracts the documents of a round. Returns the changes to apply, without what could not be extracted, and as the
    /// beginning of an outcome the messages that are dead letters for it.
    pub(super) fn extract<'a>(
        target_plan: &TargetPlan,
        limits: &XmlLimits,
        round: Vec<RowChange<'a>>,
    ) -> (Self, Vec<RowChange<'a>>, RoundOutcome) {
        let (mut documents, mut outcome) = (Self::default(), RoundOutcome::default());
        let extractions = target_plan.extractions();
        let Some(plan) = target_plan.plan().ok().filter(|_| !extractions.is_empty()) else {
            return (documents, round, outcome);
        };
        let round = round
            .into_iter()
            .filter_map(|mut change| {
                let may_go_on =
                    documents.extract_change(extractions, plan, &mut change, limits, &mut outcome);
                may_go_on.then_some(change)
            })
            .collect();
        (documents, round, outcome)
    }

    /// Whether a change sends a document.
    pub(super) fn concern(&self, change: &RowChange<'_>) -> bool {
        self.rows.get(&change.key_bytes).is_some_and(|documents| documents.iter().any(Option::is_some))
    }

    /// Extracts the documents of one change; false if the change fails with one of them.
    fn extract_change(
        &mut self,
        extractions: &[Extraction],
        plan: &Plan,
        change: &mut RowChange<'_>,
        limits: &XmlLimits,
        outcome: &mut RoundOutcome,
    ) -> bool {
        let ChangeKind::Upsert { cells, .. } = &mut change.kind else { return true };
        let mut extracted = Vec::with_capacity(extractions.len());
        for (extraction, cell) in extractions.iter().zip(&mut cells[plan.documents()]) {
            let rows = match cell {
                Cell::Set(Value::Text(document)) => Some(extract(extraction, document, limits)),
                Cell::Set(_) => Some(Ok(Vec::new())),
                Cell::Keep => None,
            };
            match rows.transpose() {
                Ok(rows) => extracted.push(rows),
                Err(reject) => {
                    let source_pos = Some(change.position.as_bytes().to_vec());
                    let rejected = Rejected { message: change.message, source_pos, reject };
                    match extraction.on_malformed() {
                        OnMalformed::Dlq => outcome.without_document.push(rejected),
                        OnMalformed::Skip => outcome.skipped_document.push(change.message),
                        OnMalformed::Fail => {
                            outcome.refused.push(rejected);
                            return false;
                        }
                    }
                    *cell = Cell::Keep;
                    extracted.push(None);
                }
            }
        }
        self.rows.insert(change.key_bytes.clone(), extracted);
        true
    }

    /// Writes the child rows of changes that are written, each with the position of its row. Returns the documents whose
    /// rows the server refused.
    pub(super) fn write(
        &self,
        target: &Target,
        plan: &Plan,
        written: &[(&RowChange<'_>, Position)],
    ) -> Vec<Unwritten> {
        let mut unwritten = Vec::new();
        for (place, extraction) in target.extractions().iter().enumerate() {
            let Ok(tables) = extraction.children() else { continue };
            let sent = written.iter().filter(|(change, _)| sends(plan, change, place));
            let changes: Vec<_> = sent.map(|(change, _)| *change).collect();
            if changes.is_empty() {
                continue;
            }
            let mut refused = Vec::new();
            write_or_halve(extraction.owner, &changes, &mut refused, &|changes| {
                for (index, table) in tables.iter().enumerate() {
                    let rows = |change: &RowChange<'_>| self.rows_of(change, place, index);
                    children::replace(table, &extraction.xml_column, plan, changes, &rows);
                }
                0
            });
            for (change, reject) in refused {
                let row = written.iter().find(|(written, _)| written.key_bytes == change.key_bytes);
                unwritten.extend(row.map(|(_, row)| Unwritten {
                    key_bytes: change.key_bytes.clone(),
                    row: row.clone(),
                    document: plan.columns()[plan.documents().start + place].name.clone(),
                    rejected: Rejected {
                        message: change.message,
                        source_pos: Some(change.position.as_bytes().to_vec()),
                        reject,
                    },
                }));
            }
        }
        unwritten
    }

    /// The rows of one table of one document; none for a document that is null.
    fn rows_of(&self, change: &RowChange<'_>, extraction: usize, table: usize) -> &[ChildRow] {
        let documents = self.rows.get(&change.key_bytes);
        let tables = documents.and_then(|documents| documents[extraction].as_ref());
        tables.and_then(|tables| tables.get(table)).map_or(&[], Vec::as_slice)
    }
}

/// Tells of each document of a change how many rows it has, and in which tables; or why it has none.
pub(super) fn explain(
    target: &Target,
    plan: &Plan,
    cells: &[Cell<'_>],
    mut tell: impl FnMut(&str, Result<String, Reject>, String),
) {
    let limits = settings::xml_limits();
    for (extraction, cell) in target.extractions().iter().zip(&cells[plan.documents()]) {
        let Cell::Set(Value::Text(document)) = cell else { continue };
        let tables = extraction.children().unwrap_or_default().iter().map(|table| table.name.as_str());
        let tables = tables.collect::<Vec<_>>().join(", ");
        let rows = extract(extraction, document, &limits).map(|found| {
            let counts: Vec<_> = found.iter().map(|rows| rows.len().to_string()).collect();
            format!("{} rows", counts.join(", "))
        });
        tell(&extraction.xml_column, rows, tables);
    }
}

/// Whether a change sends a document, or that there is none.
fn sends(plan: &Plan, change: &RowChange<'_>, extraction: usize) -> bool {
    match &change.kind {
        ChangeKind::Upsert { cells, .. } => cells[plan.documents()][extraction] != Cell::Keep,
        ChangeKind::Delete => false,
    }
}

/// The rows of a document for each table, with values of the tables' types.
fn extract(extraction: &Extraction, document: &str, limits: &XmlLimits) -> Result<DocumentRows, Reject> {
    let refuse = |error_type, message: String| {
        Reject::at(error_type, format!("payload.after.{}", extraction.xml_column), message)
    };
    let children = extraction.children();
    let children =
        children.map_err(|why| refuse(ErrorType::ProcessingError, why.to_owned()).that_may_heal())?;
    let extracted = extraction.mapping().extract(document, limits);
    let tables = extracted.map_err(|error| refuse(error_type(&error.kind), error.to_string()))?.tables;
    let typed = tables.into_iter().zip(children).map(|(rows, child)| {
        rows.into_iter().map(|row| typed_row(child, row)).collect::<Result<Vec<_>, String>>()
    });
    typed.collect::<Result<_, _>>().map_err(|why| refuse(ErrorType::SchemaMismatch, why))
}

fn error_type(kind: &XmlErrorKind) -> ErrorType {
    match kind {
        XmlErrorKind::Limit(_) => ErrorType::TooLarge,
        XmlErrorKind::MissingValue { .. } | XmlErrorKind::NotDecimal { .. } => ErrorType::SchemaMismatch,
        _ => ErrorType::MalformedXml,
    }
}

fn typed_row(child: &ChildTable, row: XmlRow) -> Result<ChildRow, String> {
    let values = row.values.into_iter().zip(&child.columns).map(|(text, (name, column_type))| {
        // An attribute without a value says nothing of a number or a date.
        let text = text.filter(|text| !text.is_empty() || *column_type == ColumnType::Text);
        let read = text.map_or(Ok(Value::Null), |text| column_type.read_text(text.into()));
        read.map_err(|error| format!("column {name} of {}, line {}: {error}", child.name, row.line_no))
    });
    let values = values.collect::<Result<_, _>>()?;
    Ok(ChildRow { line_no: row.line_no, parent_line_no: row.parent_line_no, values })
}

/// Removes all child rows that have no row in the target any more.
pub(super) fn remove_all_orphans(target: &Target, plan: &Plan) {
    for extraction in target.extractions() {
        for table in extraction.children().unwrap_or_default() {
            as_user(extraction.owner, || children::remove_all_orphans(target, table, plan));
        }
    }
}

/// Removes the child rows of keys that have no row in the target any more.
pub(super) fn remove_orphans(target: &Target, plan: &Plan, deletes: &[&RowChange<'_>]) {
    for extraction in target.extractions() {
        for table in extraction.children().unwrap_or_default() {
            as_user(extraction.owner, || children::remove_orphans(target, table, plan, deletes));
        }
    }
}
