//! A run from the command line to table and file.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::PathBuf;

use harness::Published;

use crate::args::{Args, Extent};
use crate::corpus::Corpus;
use crate::json::Results;
use crate::machine::Machine;
use crate::measure::{ALL, Measure, pathway};
use crate::report;
use crate::round;
use crate::server::Server;

/// What measures share.
pub(crate) struct Bench {
    pub(crate) extent: Extent,
    pub(crate) corpus: Corpus,
    /// What the tables of the preset must hold in the end.
    pub(crate) published: Published,
    /// A Python that has Pathway.
    pub(crate) pathway_python: Option<PathBuf>,
    /// Without workers.
    pub(crate) server: Server,
    server_with_workers: OnceCell<Server>,
}

impl Bench {
    fn prepare(args: &Args) -> anyhow::Result<Self> {
        let extent = args.extent();
        let corpus = Corpus::generate(extent.events, args.seed)?;
        let published = corpus.published()?;
        let pathway_python = args.pathway_python.clone();
        let (server, server_with_workers) = (Server::start()?, OnceCell::new());
        Ok(Self { extent, corpus, published, pathway_python, server, server_with_workers })
    }

    /// Started when it is first asked for.
    pub(crate) fn server_with_workers(&self) -> anyhow::Result<&Server> {
        if let Some(server) = self.server_with_workers.get() {
            return Ok(server);
        }
        let server = Server::start_with_workers()?;
        Ok(self.server_with_workers.get_or_init(|| server))
    }

    /// Rows that the table of a source must hold in the end; the source in lower case.
    pub(crate) fn expected_rows(&self, source: &str) -> u64 {
        self.published.rows(&format!("cdc_{source}"))
    }
}

/// Measures, prints a table, and writes all readings to a file.
///
/// # Errors
/// If something cannot be measured, or an end state is wrong.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        let names: Vec<&str> = ALL.iter().map(|measure| measure.name).collect();
        return Ok(writeln!(io::stdout(), "{}", names.join("\n"))?);
    }
    let measures = without_pathway_if_missing(args, args.measures()?)?;
    let bench = Bench::prepare(args)?;
    let machine = Machine::of(&bench.server.scratch("").await?).await?;
    writeln!(io::stdout(), "{}\n{}", machine.lines(), bench.corpus.description)?;
    let rounds = round::take_all(&bench, &measures).await?;
    let results = Results::new(machine, bench.corpus.description, bench.extent, rounds);
    writeln!(io::stdout(), "\n{}", report::of(&results, &measures))?;
    results.write(&args.output)?;
    writeln!(io::stdout(), "all readings are in {}", args.output.display())?;
    Ok(())
}

fn without_pathway_if_missing(
    args: &Args,
    mut measures: Vec<&'static Measure>,
) -> anyhow::Result<Vec<&'static Measure>> {
    if args.pathway_python.is_none() && measures.iter().any(|measure| measure.is_of_pathway()) {
        writeln!(io::stdout(), "Pathway is left out; to have it measured {}", pathway::HINT)?;
        measures.retain(|measure| !measure.is_of_pathway());
    }
    Ok(measures)
}
