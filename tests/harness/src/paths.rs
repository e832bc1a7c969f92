//! Where the pieces under test are. The scripts say so in the environment; what is built by cargo is found beside
//! the running test.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Names the folder of PostgreSQL's programs into whose installation the extension was installed.
pub const BIN_DIR_VARIABLE: &str = "PG_CDC_ODS_BIN_DIR";

/// Names the folder that clusters are made in; the server's user must be able to pass there.
pub const RUN_ROOT_VARIABLE: &str = "PG_CDC_ODS_RUN_ROOT";

/// Names a libsolclient.so; the bridge reads it too.
pub const SOLCLIENT_VARIABLE: &str = "LIBSOLCLIENT";

/// Names the `cdc-bridge` to test; else it is looked for beside the running test.
pub const BRIDGE_VARIABLE: &str = "PG_CDC_ODS_BRIDGE";

/// The folder of PostgreSQL's programs.
///
/// # Errors
/// If [`BIN_DIR_VARIABLE`] is not set: a server without the extension would be of no use.
pub fn bin_dir() -> anyhow::Result<PathBuf> {
    from_environment(BIN_DIR_VARIABLE)
}

/// The folder that clusters are made in.
///
/// # Errors
/// If [`RUN_ROOT_VARIABLE`] is not set.
pub fn run_root() -> anyhow::Result<PathBuf> {
    from_environment(RUN_ROOT_VARIABLE)
}

/// A program of this workspace, built in the same profile as the program that runs.
///
/// # Errors
/// If it has not been built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("cannot tell where this program is")?;
    // cargo puts tests into `deps`, and programs one above.
    let folder = this.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = folder.join(name);
    ensure!(program.exists(), "{} has not been built: run this by make", program.display());
    Ok(program)
}

/// The program `cdc-bridge`.
///
/// # Errors
/// If [`BRIDGE_VARIABLE`] is not set, and it has not been built.
pub fn bridge() -> anyhow::Result<PathBuf> {
    env::var_os(BRIDGE_VARIABLE).map_or_else(|| program("cdc-bridge"), |path| Ok(path.into()))
}

/// Solace's C library, if it is there.
#[must_use]
pub fn solclient() -> Option<PathBuf> {
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/solclient/lib/libsolclient.so");
    let library = env::var_os(SOLCLIENT_VARIABLE).map_or_else(fetched, PathBuf::from);
    library.exists().then_some(library)
}

fn from_environment(variable: &str) -> anyhow::Result<PathBuf> {
    let value = env::var_os(variable);
    value.map(PathBuf::from).with_context(|| format!("{variable} is not set: run this by make"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_built_is_an_error_that_names_it() {
        let error = program("no-such-program").unwrap_err().to_string();
        assert!(error.contains("no-such-program has not been built"), "{error}");
    }
}
