//! What the figures were taken on.

use std::fs;
use std::thread::available_parallelism;

use anyhow::Context;
use serde::Serialize;

use crate::server::Database;

/// Settings that say how durable and how large the server is; beside them all that are not at their default.
const SETTINGS: &str = "
    select name, current_setting(name) from pg_settings
     where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'wal_compression', 'shared_buffers',
                    'max_wal_size', 'checkpoint_timeout', 'work_mem', 'autovacuum', 'jit')
        or source = 'configuration file'
           and name not in ('port', 'unix_socket_directories', 'listen_addresses', 'TimeZone', 'log_timezone', 'DateStyle',
                            'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time', 'default_text_search_config')
     order by name";

/// The machine and its software.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) postgresql: String,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) extension: &'static str,
}

impl Machine {
    /// Looks at the system and asks the server.
    ///
    /// # Errors
    /// If the server does not answer.
    pub(crate) async fn of(database: &Database) -> anyhow::Result<Self> {
        let version = database.client.query_one("select current_setting('server_version')", &[]).await?;
        let settings = database.client.query(SETTINGS, &[]).await.context("cannot read the settings")?;
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        Ok(Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
            cores: available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            postgresql: version.get(0),
            settings: settings.iter().map(|row| (row.get(0), row.get(1))).collect(),
            extension: env!("CARGO_PKG_VERSION"),
        })
    }

    /// Two lines for people.
    pub(crate) fn lines(&self) -> String {
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!(
            "{}, {} cores, {:.0} GiB, Linux {}\nPostgreSQL {}: {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.postgresql,
            settings.join(" ")
        )
    }
}

fn memory_gib(meminfo: &str) -> f64 {
    let kib =
        field(meminfo, "MemTotal").and_then(|text| text.trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0 / 1024.0
}

/// The first `name: value` of a file of the kernel.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: Fast CPU @ 3 GHz\nMemTotal:       16777216 kB\n";
        assert_eq!(field(text, "model name"), Some("Fast CPU @ 3 GHz"));
        assert_eq!(field(text, "name"), None);
        assert_eq!(memory_gib(text), 16.0);
    }
}
