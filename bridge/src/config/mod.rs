//! The bridge's configuration: a TOML file, the environment over it, both checked before anything starts.

mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::secret::Secret;
use crate::solace::{CertificateCheck, SessionOptions, Tls};
use settings::Setting;
pub use settings::help as settings_help;
pub use values::ConfigError;
use values::Values;

/// SMF ports of a broker with default settings.
const SMF_PORT: u16 = 55555;
const SMF_TLS_PORT: u16 = 55443;

/// Messages in one batch, at most: beyond it a transaction gains nothing, and a lost one repeats much.
const MAX_BATCH_MESSAGES: usize = 100_000;
/// Bytes in one batch, at most: a batch is kept in memory until it is committed.
const MAX_BATCH_BYTES: usize = 256 * 1024 * 1024;
/// Less than a page would make a batch of each message.
const MIN_BATCH_BYTES: usize = 8 * 1024;
/// Longest linger in ms: every message may wait so long.
const MAX_LINGER_MS: u64 = 10_000;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the bridge works.
    pub bridge: BridgeConfig,
    /// The broker.
    pub solace: SolaceConfig,
    /// The database.
    pub postgres: PostgresConfig,
}

/// How the bridge works.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// First part of its streams' names.
    pub name: String,
    /// When a batch is full.
    pub batch: BatchLimits,
}

/// When a batch is written.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Messages, at most.
    pub messages: usize,
    /// Bytes of its rows; the message that passes this is its last.
    pub bytes: usize,
    /// Time since its first message.
    pub linger: Duration,
}

/// The broker.
#[derive(Debug, Clone)]
pub struct SolaceConfig {
    /// How to reach it and log in.
    pub session: SessionOptions,
    /// Durable queues to empty.
    pub queues: Vec<String>,
    /// Whether queues are created.
    pub provisioning: Provisioning,
    /// Path of libsolclient, if it is not to be searched for.
    pub library: Option<PathBuf>,
}

/// Whether queues are created if they do not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioning {
    /// They must exist.
    None,
    /// They are created, with these topic subscriptions.
    Queues {
        /// Topics, wildcards allowed.
        subscriptions: Vec<String>,
    },
}

/// The database.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// Host name, or absolute path of a Unix socket's folder.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role.
    pub user: String,
    /// Its password; may be empty.
    pub password: Secret,
    /// How the connection is protected.
    pub ssl_mode: SslMode,
    /// PEM file of trusted authorities.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to PostgreSQL is protected, by the names and meanings of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it; its certificate is not checked.
    Prefer,
    /// TLS; the certificate is checked as for `VerifyCa` if an authority is configured.
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must be for the host's name.
    VerifyFull,
}

impl Config {
    /// Reads `file`, if given, and the process's environment over it.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::parse(&Values::read(file, |name| std::env::var(name).ok())?)
    }

    fn parse(values: &Values) -> Result<Self, ConfigError> {
        let bridge = BridgeConfig {
            name: values.text(&settings::BRIDGE_NAME)?,
            batch: BatchLimits {
                messages: values.number(&settings::BATCH_MAX_MESSAGES, 1, MAX_BATCH_MESSAGES)?,
                bytes: values.number(&settings::BATCH_MAX_BYTES, MIN_BATCH_BYTES, MAX_BATCH_BYTES)?,
                linger: Duration::from_millis(values.number(&settings::BATCH_LINGER_MS, 0, MAX_LINGER_MS)?),
            },
        };
        let solace = solace(values, &bridge.name)?;
        Ok(Self { solace, postgres: postgres(values)?, bridge })
    }

    /// The queues to empty.
    ///
    /// # Errors
    /// If none is configured, which only `run` and `check` mind.
    pub fn queues(&self) -> Result<&[String], ConfigError> {
        if self.solace.queues.is_empty() {
            let problem = "names no queue; give at least one durable queue to empty";
            return Err(ConfigError::value(&settings::SOLACE_QUEUES, problem));
        }
        Ok(&self.solace.queues)
    }
}

fn solace(values: &Values, bridge_name: &str) -> Result<SolaceConfig, ConfigError> {
    let tls = Encryption::of(boolean(values, &settings::SOLACE_TLS)?);
    let hosts = hosts(values, tls)?;
    let check = match boolean(values, &settings::SOLACE_TLS_VERIFY)? {
        true => CertificateCheck::Full,
        false => CertificateCheck::None,
    };
    let trust_store_dir = values.optional(&settings::SOLACE_TLS_TRUST_STORE_DIR).map(PathBuf::from);
    if hosts.contains("tcps:") && check == CertificateCheck::Full && trust_store_dir.is_none() {
        let problem =
            "is needed to verify the broker's certificate: a folder of PEM files of trusted authorities";
        return Err(ConfigError::value(&settings::SOLACE_TLS_TRUST_STORE_DIR, problem));
    }
    let provisioning = match boolean(values, &settings::SOLACE_PROVISION)? {
        true => Provisioning::Queues { subscriptions: values.list(&settings::SOLACE_SUBSCRIPTIONS) },
        false => Provisioning::None,
    };
    let session = SessionOptions {
        hosts,
        vpn: values.text(&settings::SOLACE_VPN)?,
        username: values.text(&settings::SOLACE_USERNAME)?,
        password: values.secret(&settings::SOLACE_PASSWORD)?,
        tls: Tls { trust_store_dir, check },
        description: format!("cdc-bridge {} {bridge_name}", env!("CARGO_PKG_VERSION")),
    };
    Ok(SolaceConfig {
        session,
        queues: distinct_queues(values)?,
        provisioning,
        library: values.optional(&settings::SOLACE_LIBRARY).map(PathBuf::from),
    })
}

#[derive(Clone, Copy)]
enum Encryption {
    Plain,
    Tls,
}

impl Encryption {
    fn of(tls: bool) -> Self {
        if tls { Self::Tls } else { Self::Plain }
    }
}

/// The hosts as the library takes them: each with scheme and port.
fn hosts(values: &Values, encryption: Encryption) -> Result<String, ConfigError> {
    let (scheme, default_port) = match encryption {
        Encryption::Plain => ("tcp", SMF_PORT),
        Encryption::Tls => ("tcps", SMF_TLS_PORT),
    };
    let port = match values.optional(&settings::SOLACE_PORT) {
        Some(_) => values.number(&settings::SOLACE_PORT, 1, u16::MAX)?,
        None => default_port,
    };
    let hosts = values.text(&settings::SOLACE_HOST)?;
    let complete = |host: &str| match host.contains("://") {
        true => host.to_owned(),
        false => format!("{scheme}://{host}:{port}"),
    };
    Ok(hosts.split(',').map(str::trim).map(complete).collect::<Vec<_>>().join(","))
}

/// Two flows of one bridge on the same queue would be two writers of one stream.
fn distinct_queues(values: &Values) -> Result<Vec<String>, ConfigError> {
    let queues = values.list(&settings::SOLACE_QUEUES);
    for (index, queue) in queues.iter().enumerate() {
        if queues[..index].contains(queue) {
            return Err(ConfigError::value(&settings::SOLACE_QUEUES, format!("names {queue:?} twice")));
        }
    }
    Ok(queues)
}

fn postgres(values: &Values) -> Result<PostgresConfig, ConfigError> {
    let ssl_mode = match values.text(&settings::POSTGRES_SSLMODE)?.as_str() {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            let problem =
                format!("is {other:?}, not one of disable, prefer, require, verify-ca, verify-full");
            return Err(ConfigError::value(&settings::POSTGRES_SSLMODE, problem));
        }
    };
    Ok(PostgresConfig {
        host: values.text(&settings::POSTGRES_HOST)?,
        port: values.number(&settings::POSTGRES_PORT, 1, u16::MAX)?,
        database: values.text(&settings::POSTGRES_DB)?,
        user: values.text(&settings::POSTGRES_USER)?,
        password: values.secret(&settings::POSTGRES_PASSWORD)?,
        ssl_mode,
        ca_file: values.optional(&settings::POSTGRES_CA_FILE).map(PathBuf::from),
    })
}

fn boolean(values: &Values, setting: &Setting) -> Result<bool, ConfigError> {
    values.parsed(setting, "true or false")
}
