//! `cdc-bridge check`: tries both ends step by step and says what is wrong and what to do. It takes no message and
//! writes no row.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::config::{Config, SolaceConfig};
use crate::inbox::connect;
use crate::solace::{self, FlowOptions, FlowStart, HeldLimits, Library, Session};

/// How long a TCP connection may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// The installed version of the extension, if it is.
const EXTENSION_VERSION: &str = "select extversion from pg_extension where extname = 'pg_cdc_ods'";
/// Whether the inbox exists, and whether the role may insert into it.
const INBOX_RIGHTS: &str = "select inbox is not null, \
     coalesce(has_schema_privilege('cdc', 'usage') and has_table_privilege(inbox, 'insert'), false) \
     from to_regclass('cdc.inbox') inbox";

/// Tests the broker, the queues and the database, and says what is wrong and what to do.
///
/// Takes no message and writes no row. Ends with code 0 if all is well, else with 1.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Print one JSON document instead of lines
    #[arg(long)]
    pub json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Whether every step is ok.
    pub ok: bool,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a step went.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It works.
    Ok {
        /// What was found.
        detail: String,
    },
    /// It does not work.
    Failed {
        /// Why.
        reason: String,
        /// What to do, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'static str>,
    },
    /// It was not tried, since an earlier step failed.
    Skipped,
}

impl CheckReport {
    /// One line for each step, and what to do below those that failed.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            // Writing to a String cannot fail.
            let _ = match &step.outcome {
                Outcome::Ok { detail } => writeln!(text, "ok       {}: {detail}", step.name),
                Outcome::Skipped => writeln!(text, "skipped  {}", step.name),
                Outcome::Failed { reason, hint } => {
                    let hint = hint.map(|hint| format!("\n         -> {hint}")).unwrap_or_default();
                    writeln!(text, "failed   {}: {reason}{hint}", step.name)
                }
            };
        }
        text
    }
}

/// Tries everything that `run` needs.
pub async fn check(config: &Config) -> CheckReport {
    let mut steps = Steps::default();
    check_solace(&mut steps, config).await;
    check_postgres(&mut steps, config).await;
    let ok = steps.done.iter().all(|step| matches!(step.outcome, Outcome::Ok { .. }));
    CheckReport { ok, steps: steps.done }
}

/// Why a step failed, and what to do.
struct Failure {
    reason: String,
    hint: Option<&'static str>,
}

impl From<solace::Error> for Failure {
    fn from(error: solace::Error) -> Self {
        Self { reason: error.to_string(), hint: error.hint() }
    }
}

#[derive(Default)]
struct Steps {
    done: Vec<Step>,
}

impl Steps {
    /// Notes an outcome, whose detail is what is shown of it, and hands its value on.
    fn note<T>(&mut self, name: &str, outcome: Result<(T, String), Failure>) -> Option<T> {
        let (value, outcome) = match outcome {
            Ok((value, detail)) => (Some(value), Outcome::Ok { detail }),
            Err(Failure { reason, hint }) => (None, Outcome::Failed { reason, hint }),
        };
        self.done.push(Step { name: name.to_owned(), outcome });
        value
    }

    fn skip(&mut self, name: &str) {
        self.done.push(Step { name: name.to_owned(), outcome: Outcome::Skipped });
    }
}

async fn check_solace(steps: &mut Steps, config: &Config) {
    let solace = &config.solace;
    let library = Library::load(solace.library.as_deref());
    let library = steps.note(
        "libsolclient",
        library
            .map_err(Failure::from)
            .map(|library| (library, format!("version {}, {}", library.version(), library.path().display()))),
    );
    steps.note("broker tcp", reach_any(&solace.session.hosts).await);
    let session = match library {
        Some(library) => steps.note("broker login", log_in(library, solace).await),
        None => {
            steps.skip("broker login");
            None
        }
    };
    let queues = match config.queues() {
        Ok(queues) => queues,
        Err(error) => {
            steps.note::<()>("queues", Err(Failure { reason: error.to_string(), hint: None }));
            &[]
        }
    };
    for queue in queues {
        let name = format!("queue {queue}");
        match &session {
            Some(session) => {
                steps.note(&name, bind(session, queue).await);
            }
            None => steps.skip(&name),
        }
    }
    if let Some(session) = session {
        // Disconnecting waits for the broker.
        let _ = tokio::task::spawn_blocking(move || drop(session)).await;
    }
}

/// Opens a TCP connection to the first host that answers.
async fn reach_any(hosts: &str) -> Result<((), String), Failure> {
    let mut reasons = Vec::new();
    for host in hosts.split(',') {
        let address = host.split_once("://").map_or(host, |(_, address)| address);
        match timeout(TCP_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(((), address.to_owned())),
            Ok(Err(error)) => reasons.push(format!("{address}: {error}")),
            Err(_) => reasons.push(format!("{address}: no answer in {} s", TCP_TIMEOUT.as_secs())),
        }
    }
    let hint = "check SOLACE_HOST and SOLACE_PORT, and that the broker runs and is reachable from here";
    Err(Failure { reason: reasons.join("; "), hint: Some(hint) })
}

async fn log_in(library: Library, solace: &SolaceConfig) -> Result<(Session, String), Failure> {
    let options = solace.session.clone();
    let detail = format!("user {} in message VPN {}", options.username, options.vpn);
    let session = blocking(move || Session::connect(library, &options, |_| ())).await?;
    Ok((session, detail))
}

/// Binds a stopped flow, so that no message is taken, and unbinds it.
async fn bind(session: &Session, queue: &str) -> Result<((), String), Failure> {
    let options = FlowOptions {
        queue: queue.to_owned(),
        start: FlowStart::Stopped,
        limits: HeldLimits { messages: 0, bytes: 0 },
    };
    let session = session.clone();
    blocking(move || session.bind(&options).map(drop)).await?;
    Ok(((), "can be bound".to_owned()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, solace::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(error) => Err(Failure { reason: error.to_string(), hint: None }),
    }
}

async fn check_postgres(steps: &mut Steps, config: &Config) {
    let postgres = &config.postgres;
    let detail = format!("{} on {} as {}", postgres.database, postgres.host, postgres.user);
    let login = connect(postgres, "check")
        .await
        .map(|client| (client, detail))
        .map_err(|error| Failure { reason: error.to_string(), hint: error.hint() });
    let Some(client) = steps.note("database login", login) else {
        steps.skip("extension pg_cdc_ods");
        steps.skip("right to write to cdc.inbox");
        return;
    };
    steps.note("extension pg_cdc_ods", extension(&client).await);
    steps.note("right to write to cdc.inbox", inbox_rights(&client).await);
}

async fn extension(client: &Client) -> Result<((), String), Failure> {
    let row = client.query_opt(EXTENSION_VERSION, &[]).await.map_err(query_failed)?;
    match row {
        Some(row) => Ok(((), format!("version {}", row.try_get::<_, String>(0).map_err(query_failed)?))),
        None => Err(Failure {
            reason: "not installed in this database".to_owned(),
            hint: Some("in the database of POSTGRES_DB: create extension pg_cdc_ods"),
        }),
    }
}

async fn inbox_rights(client: &Client) -> Result<((), String), Failure> {
    let row = client.query_one(INBOX_RIGHTS, &[]).await.map_err(query_failed)?;
    let exists: bool = row.try_get(0).map_err(query_failed)?;
    let may_insert: bool = row.try_get(1).map_err(query_failed)?;
    match (exists, may_insert) {
        (true, true) => Ok(((), "may insert".to_owned())),
        (true, false) => Err(Failure {
            reason: "the role may not insert".to_owned(),
            hint: Some("as an administrator: grant cdc_writer to the role of POSTGRES_USER"),
        }),
        (false, _) => Err(Failure {
            reason: "there is no table cdc.inbox".to_owned(),
            hint: Some("in the database of POSTGRES_DB: create extension pg_cdc_ods"),
        }),
    }
}

fn query_failed(error: tokio_postgres::Error) -> Failure {
    let reason = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    Failure { reason, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_lines_with_what_to_do() {
        let mut steps = Steps::default();
        steps.note("a", Ok(((), "fine".to_owned())));
        steps.note::<()>("b", Err(Failure { reason: "broken".to_owned(), hint: Some("mend it") }));
        steps.skip("c");
        let report = CheckReport { ok: false, steps: steps.done };
        let lines = "ok       a: fine\nfailed   b: broken\n         -> mend it\nskipped  c\n";
        assert_eq!(report.to_text(), lines);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            json["steps"][1],
            serde_json::json!({"name": "b", "outcome": "failed", "reason": "broken", "hint": "mend it"})
        );
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_a_failure_with_a_hint() {
        let failure = reach_any("tcp://127.0.0.1:1").await.err().unwrap();
        assert!(failure.reason.contains("127.0.0.1:1"), "{}", failure.reason);
        assert!(failure.hint.unwrap().contains("SOLACE_PORT"));
    }
}
