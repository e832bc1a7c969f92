//! PostgreSQL's programs, and the user who runs them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use nix::unistd::{Uid, User, chown};
use tempfile::TempDir;

use crate::paths;

/// PostgreSQL's programs, and who runs them.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) bin_dir: PathBuf,
    /// Set if this process is root's: PostgreSQL refuses to run as root.
    server_user: Option<User>,
}

impl Installation {
    pub(super) fn of_environment() -> anyhow::Result<Self> {
        let server_user = if Uid::effective().is_root() {
            Some(User::from_name("postgres")?.context("there is no user postgres to run the server")?)
        } else {
            None
        };
        Ok(Self { bin_dir: paths::bin_dir()?, server_user })
    }

    /// A new folder that belongs to the server's user and that nobody else can enter.
    pub(super) fn folder_in(&self, parent: &Path) -> anyhow::Result<TempDir> {
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(parent);
        let folder = folder.with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        if let Some(user) = &self.server_user {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        Ok(folder)
    }

    /// One of PostgreSQL's programs, to be run as the server's user.
    pub(super) fn command(&self, program: &str, folder: &Path) -> Command {
        self.as_server_user(Command::new(self.bin_dir.join(program)), folder)
    }

    pub(super) fn as_server_user(&self, mut command: Command, folder: &Path) -> Command {
        command.current_dir(folder);
        if let Some(user) = &self.server_user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

/// Runs a program to its end; an error ends with what it said.
pub(super) fn run(mut command: Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {said}");
    Ok(())
}
