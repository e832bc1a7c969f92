//! All that a run found, for other programs.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::args::Extent;
use crate::corpus::Description;
use crate::machine::Machine;
use crate::round::Round;
use crate::target::{self, Verdict};

/// The results of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    corpus: Description,
    extent: Extent,
    /// Every reading, by the name of its measure.
    pub(crate) rounds: Vec<Round>,
    /// The targets that could be judged.
    pub(crate) targets: Vec<Verdict>,
}

impl Results {
    pub(crate) fn new(machine: Machine, corpus: Description, extent: Extent, rounds: Vec<Round>) -> Self {
        let targets = target::ALL.iter().filter_map(|target| target.verdict(&rounds)).collect();
        Self { machine, corpus, extent, rounds, targets }
    }

    /// Writes them to a file, whose folder is made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let written = || {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(file, serde_json::to_string_pretty(self)? + "\n")
        };
        written().with_context(|| format!("cannot write {}", file.display()))
    }
}
