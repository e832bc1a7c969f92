//! A copy of a running cluster that follows it.

use std::path::Path;

use super::installation::{Installation, run};
use super::{Cluster, SUPERUSER};

/// Copies the data of `primary` to `data`, as a hot stand-by that streams from it.
pub(super) fn copy(installation: &Installation, primary: &Cluster, data: &Path) -> anyhow::Result<()> {
    let folder = data.parent().unwrap_or(data);
    let mut backup = installation.command("pg_basebackup", folder);
    backup.arg("--pgdata").arg(data).arg("--host").arg(primary.socket_dir());
    backup.args(["--port", &primary.port().to_string(), "--username", SUPERUSER]);
    // A primary for tests has nothing to spare for a checkpoint that is spread over minutes.
    backup.args(["--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream", "--no-sync"]);
    run(backup)
}
