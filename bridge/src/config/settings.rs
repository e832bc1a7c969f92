//! Every setting once: its key in the file, its environment variable, its default and what it means. The parser,
//! `--help` and error messages are all made from this table.

use std::fmt::Write as _;

/// A setting as it is documented.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// `section.name` in the TOML file.
    pub(crate) key: &'static str,
    /// Environment variable, which wins over the file.
    pub(crate) env: &'static str,
    /// Value if neither is given, as text; empty if there is none.
    pub(crate) default: &'static str,
    /// One line for `--help`.
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
}

/// How the text of a setting is found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One text, number or boolean.
    Single,
    /// An array in the file, separated by commas in the environment.
    List,
    /// A secret: `key_file` and `ENV_FILE` name a file that holds it.
    Secret,
}

macro_rules! settings {
    ($($constant:ident: $kind:ident $key:literal $env:literal $default:literal $help:literal;)*) => {
        $(pub(crate) const $constant: Setting =
            Setting { key: $key, env: $env, default: $default, help: $help, kind: Kind::$kind };)*
        /// All settings, in the order of the documentation.
        pub(crate) const ALL: &[Setting] = &[$($constant),*];
    };
}

settings! {
    BRIDGE_NAME: Single "bridge.name" "BRIDGE_NAME" "cdc-bridge"
        "name of this bridge; its streams are NAME/QUEUE, each with one writer at a time";
    BATCH_MAX_MESSAGES: Single "bridge.batch_max_messages" "BATCH_MAX_MESSAGES" "5000"
        "messages in one transaction, at most";
    BATCH_MAX_BYTES: Single "bridge.batch_max_bytes" "BATCH_MAX_BYTES" "8388608"
        "bytes in one transaction, at most (one message more)";
    BATCH_LINGER_MS: Single "bridge.batch_linger_ms" "BATCH_LINGER_MS" "0"
        "how long a batch waits for more after its first message, in ms; with 0 it holds what a commit kept waiting";

    SOLACE_HOST: Single "solace.host" "SOLACE_HOST" "localhost"
        "host name, or a list of URLs to try in turn: tcps://a:55443,tcps://b:55443";
    SOLACE_PORT: Single "solace.port" "SOLACE_PORT" "55555, with TLS 55443"
        "SMF port, for hosts without one";
    SOLACE_VPN: Single "solace.vpn" "SOLACE_VPN" "default" "message VPN";
    SOLACE_USERNAME: Single "solace.username" "SOLACE_USERNAME" "default" "client user name";
    SOLACE_PASSWORD: Secret "solace.password" "SOLACE_PASSWORD" "" "its password";
    SOLACE_QUEUES: List "solace.queues" "SOLACE_QUEUES" ""
        "durable queues to empty; needed by run and check";
    SOLACE_PROVISION: Single "solace.provision" "SOLACE_PROVISION" "false"
        "create the queues and their subscriptions if they do not exist";
    SOLACE_SUBSCRIPTIONS: List "solace.subscriptions" "SOLACE_SUBSCRIPTIONS" "cdc/oracle/>"
        "topics that provisioned queues attract";
    SOLACE_TLS: Single "solace.tls" "SOLACE_TLS" "false" "connect by TLS, for hosts without a scheme";
    SOLACE_TLS_VERIFY: Single "solace.tls_verify" "SOLACE_TLS_VERIFY" "true"
        "check the broker's certificate and host name";
    SOLACE_TLS_TRUST_STORE_DIR: Single "solace.tls_trust_store_dir" "SOLACE_TLS_TRUST_STORE_DIR" ""
        "folder of PEM files of trusted authorities; needed to verify";
    SOLACE_LIBRARY: Single "solace.library" "LIBSOLCLIENT" ""
        "path of libsolclient.so; else it is looked for beside the program, in ../lib and by the system";

    POSTGRES_HOST: Single "postgres.host" "POSTGRES_HOST" "localhost"
        "host name, or the folder of a Unix socket";
    POSTGRES_PORT: Single "postgres.port" "POSTGRES_PORT" "5432" "port";
    POSTGRES_DB: Single "postgres.database" "POSTGRES_DB" "postgres" "database with the extension pg_cdc_ods";
    POSTGRES_USER: Single "postgres.user" "POSTGRES_USER" "postgres" "role that may write to cdc.inbox";
    POSTGRES_PASSWORD: Secret "postgres.password" "POSTGRES_PASSWORD" "" "its password";
    POSTGRES_SSLMODE: Single "postgres.sslmode" "POSTGRES_SSLMODE" "prefer"
        "disable, prefer, require, verify-ca or verify-full";
    POSTGRES_CA_FILE: Single "postgres.ca_file" "POSTGRES_CA_FILE" ""
        "PEM file of trusted authorities for verify-ca and verify-full; else the system's";
}

/// Suffix of the key of a file that holds a secret.
pub(crate) const FILE_KEY_SUFFIX: &str = "_file";
/// Suffix of the environment variable that names such a file.
pub(crate) const FILE_ENV_SUFFIX: &str = "_FILE";

/// The section of `--help` that lists the settings whose keys begin with one of `sections`.
pub fn help(sections: &[&str]) -> String {
    let mut text =
        String::from("Settings, by environment variable (and key in the TOML file given with --config):\n");
    for setting in ALL {
        let section = setting.key.split('.').next().unwrap_or_default();
        if sections.contains(&section) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {} ({}){}", setting.env, setting.key, default(setting));
            let _ = writeln!(text, "          {}{}", setting.help, secret_note(setting));
        }
    }
    text
}

fn default(setting: &Setting) -> String {
    if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) }
}

fn secret_note(setting: &Setting) -> String {
    match setting.kind {
        Kind::Secret => format!("; {}{FILE_ENV_SUFFIX} names a file that holds it", setting.env),
        Kind::Single | Kind::List => String::new(),
    }
}
