//! How events become changes of targets: what of the targets a thread may read while others are written to.

use std::collections::BTreeMap;
use std::sync::Arc;

use cdc_core::{Plan, Reject, SourceTable};

use super::extractions::Extraction;

/// How the events of one source become changes of its target.
pub(crate) struct TargetPlan {
    plan: Result<Plan, Reject>,
    extractions: Vec<Extraction>,
}

impl TargetPlan {
    /// With a reason instead of a plan, all events of the source are rejected for it.
    pub(super) fn new(plan: Result<Plan, Reject>, extractions: Vec<Extraction>) -> Self {
        Self { plan, extractions }
    }

    /// The plan, or why there is none: the table is missing, or lacks its key columns.
    pub(crate) fn plan(&self) -> Result<&Plan, Reject> {
        self.plan.as_ref().map_err(Clone::clone)
    }

    /// What is extracted from the target's XML columns.
    pub(crate) fn extractions(&self) -> &[Extraction] {
        &self.extractions
    }

    /// Whether the target and its child tables are there and can be written to.
    pub(super) fn is_complete(&self) -> bool {
        self.plan.is_ok() && self.extractions.iter().all(|extraction| extraction.children().is_ok())
    }
}

/// The plans of all targets, found by source table.
#[derive(Default)]
pub(crate) struct TargetPlans {
    all: Vec<Arc<TargetPlan>>,
    /// By table and schema of their sources. Names are few and short: to compare some is quicker than to hash one.
    by_source: BTreeMap<String, BTreeMap<String, usize>>,
}

impl TargetPlans {
    /// Adds the plan of a source; the first one has the number 0.
    pub(super) fn add(&mut self, source: &SourceTable, plan: Arc<TargetPlan>) {
        let of_table = self.by_source.entry(source.table().to_owned()).or_default();
        of_table.insert(source.schema().to_owned(), self.all.len());
        self.all.push(plan);
    }

    /// The number of the target of a source table: attached by its full name, else for any schema.
    pub(super) fn find(&self, source: &SourceTable) -> Option<usize> {
        let of_table = self.by_source.get(source.table())?;
        of_table.get(source.schema()).or_else(|| of_table.get(SourceTable::ANY_SCHEMA)).copied()
    }

    /// The plan of the target with this number.
    pub(super) fn get(&self, number: usize) -> &TargetPlan {
        &self.all[number]
    }
}
