//! A demonstration under test, in a folder of its own.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, bail};
use harness::paths;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A running `cdc-demo`; killed when it goes out of scope, and with it all that it started.
pub(crate) struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it has printed and was read.
    output: String,
    /// Where it keeps its cluster.
    root: TempDir,
    /// Its standard error; a file takes any amount without being read.
    errors: File,
}

/// How it ended.
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) errors: String,
    /// Names of what is left where it kept its cluster.
    pub(crate) left: Vec<String>,
}

impl Demo {
    /// Starts it with these options and changes of the environment; its output is read, not seen.
    pub(crate) fn start(options: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        // The server's user has to pass.
        let passable = Permissions::from_mode(0o755);
        let builder = tempfile::Builder::new().prefix("demo-test-").permissions(passable).to_owned();
        let root = builder.tempdir_in(paths::run_root()?)?;
        let errors = tempfile::tempfile()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_cdc-demo"))
            .args(options)
            .env(paths::RUN_ROOT_VARIABLE, root.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()
            .context("cannot start cdc-demo")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { child, stdout, output: String::new(), root, errors })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(self.pid(), signal).with_context(|| format!("cannot send {signal}"))
    }

    /// Reads its output up to a line that is wanted.
    pub(crate) fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        loop {
            let start = self.output.len();
            let length = self.stdout.read_line(&mut self.output)?;
            if length == 0 {
                let errors = self.errors()?;
                bail!("it has ended early:\n{}\n{errors}", self.output);
            }
            if wanted(&self.output[start..]) {
                return Ok(());
            }
        }
    }

    /// Reads its output to the end and waits until it has ended.
    pub(crate) fn wait(mut self) -> anyhow::Result<Ending> {
        self.stdout.read_to_string(&mut self.output)?;
        let status = self.child.wait()?;
        let left = fs::read_dir(self.root.path())?;
        let left = left.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let left = left.collect::<anyhow::Result<_>>()?;
        Ok(Ending { status, output: std::mem::take(&mut self.output), errors: self.errors()?, left })
    }

    fn errors(&self) -> anyhow::Result<String> {
        let mut bytes = vec![0; usize::try_from(self.errors.metadata()?.len())?];
        // From its beginning; the position is shared with the one who writes.
        self.errors.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // One that has ended refuses, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
