//! A private PostgreSQL cluster, stopped and removed when it goes out of scope.

mod installation;
mod standby;
mod template;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::paths;
use crate::process::ManagedProcess;
use installation::Installation;

/// The superuser of every cluster.
pub const SUPERUSER: &str = "postgres";

/// Longest that a server may take to start, recovery included, or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two looks at whether the server is ready.
const INTERVAL: Duration = Duration::from_millis(10);

/// The kernel's limit for the path of a Unix socket, in bytes without the final NUL.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// In order: sessions are ended, and what was committed is written.
    Fast,
    /// As a crash: the next start recovers.
    Immediate,
}

/// A running cluster with its own folder and socket. It listens on no TCP port.
#[derive(Debug)]
pub struct Cluster {
    installation: Installation,
    folder: TempDir,
    /// Where the socket is, if the path of `folder` is too long for one.
    short_folder: Option<TempDir>,
    port: u16,
    /// `None` while stopped.
    server: Mutex<Option<ManagedProcess>>,
}

impl Cluster {
    /// Makes and starts a cluster in which apply workers run, for a test.
    ///
    /// # Errors
    /// If the environment does not say where PostgreSQL is (see [`paths`]), or the server does not start; the error
    /// then ends with its log.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_for_test(&[("shared_preload_libraries", "pg_cdc_ods")])
    }

    /// Makes and starts a cluster without workers, for a test: messages wait until the test applies them.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_without_workers() -> anyhow::Result<Self> {
        Self::start_for_test(&[])
    }

    fn start_for_test(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        // Tests kill processes, not machines: what was written survives without being flushed to disk.
        Self::start_with(&[settings, &[("fsync", "off")]].concat())
    }

    /// Makes and starts a cluster with these settings.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_from(settings, template::copy)
    }

    /// Makes and starts a hot stand-by of this cluster, with the same settings.
    ///
    /// # Errors
    /// As [`Cluster::start`], or if this cluster cannot be copied.
    pub fn start_standby(&self) -> anyhow::Result<Self> {
        Self::start_from(&[], |installation, _, data| standby::copy(installation, self, data))
    }

    /// Starts a cluster whose data `make` has put in place, given the folder for all clusters and that of the data.
    fn start_from(
        settings: &[(&str, &str)],
        make: impl FnOnce(&Installation, &Path, &Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let installation = Installation::of_environment()?;
        let run_root = paths::run_root()?;
        let folder = installation.folder_in(&run_root)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let short_folder = match socket_path_bytes(folder.path(), port) > MAX_SOCKET_PATH_BYTES {
            true => Some(installation.folder_in(Path::new("/var/tmp"))?),
            false => None,
        };
        let cluster = Self { installation, folder, short_folder, port, server: Mutex::new(None) };
        make(&cluster.installation, &run_root, &cluster.data())?;
        cluster.configure(settings)?;
        cluster.start_server()?;
        Ok(cluster)
    }

    fn configure(&self, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let (port, socket_dir) = (self.port.to_string(), self.socket_dir().to_string_lossy());
        let own = [
            ("listen_addresses", ""),
            ("port", &port),
            ("unix_socket_directories", &socket_dir),
            ("max_connections", "50"),
        ];
        let file = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&file)?;
        for (name, value) in own.iter().chain(settings) {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        Ok(fs::write(&file, text)?)
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_server(&self) -> anyhow::Result<()> {
        let mut command = self.installation.command("postgres", self.folder.path());
        command.arg("-D").arg(self.data());
        // Told by SIGQUIT, the server takes its children with it.
        let mut server = ManagedProcess::start_with_death_signal(
            "postgres",
            command,
            self.folder.path(),
            Signal::SIGQUIT,
        )?;
        self.wait_until_ready(&mut server)?;
        *self.server() = Some(server);
        Ok(())
    }

    /// The server writes its state to the eighth line of its pid file, as it tells `pg_ctl`.
    fn wait_until_ready(&self, server: &mut ManagedProcess) -> anyhow::Result<()> {
        let (deadline, pid) = (Instant::now() + PATIENCE, server.pid().to_string());
        loop {
            server.ensure_running()?;
            let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let mut lines = file.lines().map(str::trim);
            // A server that was killed has left its own.
            if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the server is not ready within {PATIENCE:?}\n{}",
                server.log_tail()
            );
            thread::sleep(INTERVAL);
        }
    }

    /// Stops the server.
    ///
    /// # Errors
    /// If it does not run, or does not stop.
    pub fn stop_server(&self, mode: StopMode) -> anyhow::Result<()> {
        let Some(mut server) = self.server().take() else { bail!("the server does not run") };
        server.signal(match mode {
            StopMode::Fast => Signal::SIGINT,
            StopMode::Immediate => Signal::SIGQUIT,
        })?;
        server.wait(PATIENCE)?;
        Ok(())
    }

    /// Kills one of the server's processes (SIGKILL): the server then ends all sessions and recovers.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn kill_backend(&self, pid: i32) -> anyhow::Result<()> {
        kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("cannot kill backend {pid}"))
    }

    /// What the server has logged since the cluster was made.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = self.folder.path().join("postgres.log");
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Fails if the server has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// As said.
    pub fn ensure_running(&self) -> anyhow::Result<()> {
        self.server().as_mut().context("the server does not run")?.ensure_running()
    }

    /// The folder of the server's socket, to connect to as a host.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.short_folder.as_ref().unwrap_or(&self.folder).path()
    }

    /// The port in the socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection to a database as superuser.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        let host = self.socket_dir().display();
        let config = format!("host='{host}' port={} user={SUPERUSER} dbname={database}", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn server(&self) -> MutexGuard<'_, Option<ManagedProcess>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server().is_some()
            && let Err(error) = self.stop_server(StopMode::Immediate)
        {
            eprintln!("cluster: {error:#}");
        }
    }
}

fn socket_path_bytes(folder: &Path, port: u16) -> usize {
    folder.join(format!(".s.PGSQL.{port}")).as_os_str().len()
}
