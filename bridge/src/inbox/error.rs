//! What can go wrong on the way into PostgreSQL, and what to do about it.

use tokio_postgres::error::SqlState;

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    /// Trusted authorities could not be read.
    #[error("cannot read trusted certificates: {0}")]
    Certificates(String),
    /// The TLS settings are contradictory.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The database cannot be reached, refuses the login, or fails at a statement.
    #[error("{doing} failed: {}", chain(.source))]
    Postgres {
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// Another session writes to the stream.
    #[error("stream {stream:?} has another writer; is a second bridge of this name running?")]
    StreamTaken {
        /// The stream.
        stream: String,
    },
    /// PostgreSQL counts other rows than were sent.
    #[error("the inbox took {taken} of {sent} rows; does it have a trigger or rule?")]
    RowsMissing {
        /// Rows that were sent.
        sent: usize,
        /// Rows that the server counted.
        taken: u64,
    },
}

impl InboxError {
    pub(super) fn postgres(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Postgres { doing, source }
    }

    /// What the user can do, if that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Certificates(_) => Some("check POSTGRES_CA_FILE"),
            Self::Postgres { source, .. } => hint(source),
            Self::Tls(_) | Self::StreamTaken { .. } | Self::RowsMissing { .. } => None,
        }
    }
}

fn hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    let Some(code) = error.code() else {
        return Some("check POSTGRES_HOST, POSTGRES_PORT and POSTGRES_SSLMODE, and that the server runs");
    };
    Some(match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check POSTGRES_USER, POSTGRES_PASSWORD and the server's pg_hba.conf"
        }
        SqlState::INVALID_CATALOG_NAME => "check POSTGRES_DB, or create the database",
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME | SqlState::UNDEFINED_COLUMN => {
            "in the database of POSTGRES_DB: create extension pg_cdc_ods, or alter extension pg_cdc_ods update"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "as an administrator: grant cdc_writer to the role of POSTGRES_USER"
        }
        SqlState::TOO_MANY_CONNECTIONS => "raise max_connections of the server, or end other sessions",
        SqlState::CONFIGURATION_LIMIT_EXCEEDED => {
            "messages wait in the queue until those in the inbox are applied: see cdc.stat_streams and cdc.stat_workers"
        }
        SqlState::DISK_FULL => "free disk space on the server",
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "this is a stand-by server; point POSTGRES_HOST at the primary"
        }
        _ => return None,
    })
}

/// The error with its causes: the driver's own text alone often says only "db error".
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
