//! A private PostgreSQL cluster for one test, stopped and removed when it goes out of scope.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use nix::unistd::{Uid, User, chown};
use tokio_postgres::{Client, NoTls};

/// Names the folder of PostgreSQL's programs into which the extension was installed.
pub const BIN_DIR_VARIABLE: &str = "PG_CDC_ODS_BIN_DIR";

/// The superuser of every test cluster.
const SUPERUSER: &str = "postgres";

/// A running cluster with its own folder, socket and port.
#[derive(Debug)]
pub struct Cluster {
    bin_dir: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    server_user: Option<User>,
}

impl Cluster {
    /// Makes and starts a cluster in which apply workers run.
    ///
    /// # Errors
    /// If [`BIN_DIR_VARIABLE`] is not set, or the server does not start; the error then ends with its log.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with("shared_preload_libraries = 'pg_cdc_ods'")
    }

    /// Makes and starts a cluster without workers: messages wait until a test applies them.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_without_workers() -> anyhow::Result<Self> {
        Self::start_with("")
    }

    fn start_with(settings: &str) -> anyhow::Result<Self> {
        let bin_dir = std::env::var_os(BIN_DIR_VARIABLE)
            .with_context(|| format!("{BIN_DIR_VARIABLE} is not set: run this test by `make e2e`"))?;
        // Below /var/tmp: a path that the server's user can pass, and short enough for a socket.
        let folder = tempfile::Builder::new().prefix("pg_cdc_ods-").tempdir_in("/var/tmp")?;
        let server_user = if Uid::effective().is_root() { User::from_name("postgres")? } else { None };
        if let Some(user) = &server_user {
            chown(folder.path(), Some(user.uid), Some(user.gid))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { bin_dir: bin_dir.into(), folder, port, server_user };
        cluster.run(
            "initdb",
            &["-D", &cluster.data(), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
        )?;
        cluster.configure(settings)?;
        cluster.start_server()?;
        Ok(cluster)
    }

    fn configure(&self, settings: &str) -> anyhow::Result<()> {
        let settings = format!(
            "{settings}\nlisten_addresses = ''\nport = {}\n\
             unix_socket_directories = '{}'\nmax_connections = 50\n",
            self.port,
            self.socket_dir().display(),
        );
        let file = Path::new(&self.data()).join("postgresql.conf");
        let before = fs::read_to_string(&file)?;
        Ok(fs::write(&file, before + &settings)?)
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_server(&self) -> anyhow::Result<()> {
        let log = self.log_file();
        let started = self.run("pg_ctl", &["-D", &self.data(), "-l", &log.to_string_lossy(), "-w", "start"]);
        started.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(())
    }

    /// Stops the server: `fast`, or `immediate`, which is a crash.
    ///
    /// # Errors
    /// If it does not stop.
    pub fn stop_server(&self, mode: &str) -> anyhow::Result<()> {
        self.run("pg_ctl", &["-D", &self.data(), "-m", mode, "-w", "stop"])
    }

    /// The folder of the server's socket, to connect to as a host.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
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
        let config = format!("host={host} port={} user={SUPERUSER} dbname={database}", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Runs one of PostgreSQL's programs as the server's user.
    fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.bin_dir.join(program));
        command.args(args).current_dir(self.folder.path());
        if let Some(user) = &self.server_user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // pg_ctl's server inherits what it writes to: files, so that nobody waits for a pipe to close.
        let out = self.folder.path().join(format!("{program}.out"));
        let file = fs::File::create(&out)?;
        let status = command.stdout(file.try_clone()?).stderr(file).status();
        let status = status.with_context(|| format!("cannot run {program}"))?;
        let text = fs::read(&out)?;
        ensure!(status.success(), "{program} failed: {}", String::from_utf8_lossy(&text));
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The folder goes next; a server that will not stop in time has lost its files and ends by itself.
        if let Err(error) = self.stop_server("immediate") {
            eprintln!("cluster: {error:#}");
        }
    }
}
