//! A run from the command line to table and file.

use std::cell::OnceCell;
use std::io::{self, Write};

use harness::Published;

use crate::args::{Args, Extent};
use crate::corpus::Corpus;
use crate::json::Results;
use crate::machine::Machine;
use crate::measure::ALL;
use crate::report;
use crate::round;
use crate::server::Server;

/// What measures share.
pub(crate) struct Bench {
    pub(crate) extent: Extent,
    pub(crate) corpus: Corpus,
    /// What the tables of the preset must hold in the end.
    pub(crate) published: Published,
    /// Without workers.
    pub(crate) server: Server,
    server_with_workers: OnceCell<Server>,
}

impl Bench {
    fn prepare(extent: Extent, seed: u64) -> anyhow::Result<Self> {
        let corpus = Corpus::generate(extent.events, seed)?;
        let published = corpus.published()?;
        Ok(Self { extent, corpus, published, server: Server::start()?, server_with_workers: OnceCell::new() })
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
    let measures = args.measures()?;
    let bench = Bench::prepare(args.extent(), args.seed)?;
    let machine = Machine::of(&bench.server.scratch("").await?).await?;
    writeln!(io::stdout(), "{}\n{}", machine.lines(), bench.corpus.description)?;
    let rounds = round::take_all(&bench, &measures).await?;
    let results = Results::new(machine, bench.corpus.description, bench.extent, rounds);
    writeln!(io::stdout(), "\n{}", report::of(&results, &measures))?;
    results.write(&args.output)?;
    writeln!(io::stdout(), "all readings are in {}", args.output.display())?;
    Ok(())
}
