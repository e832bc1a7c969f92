//! pg_cdc_ods: an operational data store that keeps itself up to date, inside PostgreSQL.

use pgrx::prelude::*;

mod aggregate;
mod apply;
mod attach;
mod change_triggers;
mod changed_columns;
mod changed_rows;
mod configuration_watch;
mod dlq;
mod enrich;
mod explain;
mod extract_xml;
mod inbox;
mod inbox_partitions;
mod large_tables;
mod maintenance;
mod messages;
mod named_rows;
mod outbox;
mod plan_cache;
mod preset;
mod promote;
mod resolve;
mod settings;
mod settings_scope;
mod spi_rows;
mod sql_error;
mod subtransaction;
mod workers;

pgrx::pg_module_magic!();

extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
extension_sql_file!("../sql/attach.sql", name = "attach", requires = ["bootstrap", attach::attach]);
extension_sql_file!(
    "../sql/promote.sql",
    name = "promote",
    requires = ["bootstrap", promote::coerce, promote::lock_apply]
);
extension_sql_file!(
    "../sql/dead_letters.sql",
    name = "dead_letters",
    requires = ["bootstrap", dlq::dlq_replay_ids]
);
extension_sql_file!(
    "../sql/enrich.sql",
    name = "enrich",
    requires = ["bootstrap", enrich::pending::pending_rows]
);
extension_sql_file!("../sql/rights.sql", name = "rights", finalize);

/// Called by PostgreSQL when the library is loaded.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::init();
    large_tables::install_hook();
    workers::init();
}

#[cfg(any(test, feature = "pg_test"))]
mod server_tests;

/// What `cargo pgrx test` needs to start its server.
#[cfg(test)]
pub mod pg_test {
    /// Called once before the tests.
    pub fn setup(_options: Vec<&str>) {}

    /// Lines for `postgresql.conf` of the test server.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec!["shared_preload_libraries = 'pg_cdc_ods'"]
    }
}
