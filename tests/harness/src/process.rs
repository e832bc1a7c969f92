//! Child processes that write their output to files and never outlive this one.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

/// Time between two looks at whether a process has ended.
const INTERVAL: Duration = Duration::from_millis(5);

/// Lines of output that an error shows.
const TAIL_LINES: usize = 40;

/// A running program. It is killed when this goes out of scope, and when this process ends in any way.
#[derive(Debug)]
pub struct ManagedProcess {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl ManagedProcess {
    /// Starts a program; its standard output goes to `NAME.out` in `folder` and its standard error to `NAME.log`, after
    /// what is there already.
    ///
    /// It is in a process group of its own, so that a terminal's Ctrl-C leaves the order of stopping to this process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: Command, folder: &Path) -> anyhow::Result<Self> {
        Self::start_with_death_signal(name, command, folder, Signal::SIGKILL)
    }

    /// As [`ManagedProcess::start`]; the kernel sends `death_signal` if this process ends first.
    pub(crate) fn start_with_death_signal(
        name: &str,
        mut command: Command,
        folder: &Path,
        death_signal: Signal,
    ) -> anyhow::Result<Self> {
        let out = folder.join(format!("{name}.out"));
        let log = folder.join(format!("{name}.log"));
        command.stdin(Stdio::null()).stdout(append_to(&out)?).stderr(append_to(&log)?).process_group(0);
        die_with_parent(&mut command, death_signal);
        let child = spawn_on_lasting_thread(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, out, log })
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The file of its standard output.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The last lines of its standard error.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot tell whether {} runs", self.name))
    }

    /// Fails if it has ended, with the end of its log.
    ///
    /// # Errors
    /// As said.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} has ended: {status}\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process has ended and was waited for.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(self.pid(), signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If it has not after `timeout`; the error ends with its log.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} has not ended within {timeout:?}\n{}", self.name, self.log_tail());
            }
            thread::sleep(INTERVAL);
        }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// As [`ManagedProcess::wait`].
    pub fn terminate(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        if self.ended()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(timeout)
    }

    /// Ends it at once (SIGKILL), as a crash would.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Bytes of memory that it has resident.
    ///
    /// # Errors
    /// If it has ended.
    pub fn rss_bytes(&self) -> anyhow::Result<u64> {
        rss_bytes(self.pid())
    }
}

impl Drop for ManagedProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- {}\n{}", self.name, self.log_tail());
        }
        // A process that has ended already refuses, which is as good.
        let _ = self.kill();
    }
}

/// Bytes of memory that a process has resident.
///
/// # Errors
/// If there is no such process.
pub fn rss_bytes(pid: Pid) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("there is no process {pid}"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kib: u64 = kib.with_context(|| format!("{file} tells no VmRSS"))?.trim().parse()?;
    Ok(kib * 1024)
}

fn append_to(file: &Path) -> anyhow::Result<File> {
    let opened = File::options().create(true).append(true).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}

/// Has the kernel send `signal` to the child when the thread that starts it ends.
fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = getpid();
    let prepare = move || {
        prctl::set_pdeathsig(signal)?;
        // The parent may have ended before the call.
        if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
    };
    // SAFETY: the closure makes two system calls; it neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
}

type Spawned = io::Result<Child>;

/// Spawns on a thread that lives as long as this process: a child's death signal is tied to the thread that made it,
/// and threads of tests and of runtimes come and go.
fn spawn_on_lasting_thread(command: Command) -> Spawned {
    static SPAWNER: OnceLock<Sender<(Command, Sender<Spawned>)>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (commands, wanted) = mpsc::channel::<(Command, Sender<Spawned>)>();
        thread::spawn(move || {
            for (mut command, answer) in wanted {
                // Nobody waits only if the caller's thread is gone; then the child is of no use.
                if let Err(mpsc::SendError(Ok(mut unwanted))) = answer.send(command.spawn()) {
                    let _ = unwanted.kill();
                }
            }
        });
        commands
    });
    let (answer, spawned) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    spawner.send((command, answer)).map_err(|error| gone(error.to_string()))?;
    spawned.recv().map_err(|error| gone(error.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(script: &str, folder: &Path) -> ManagedProcess {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ManagedProcess::start("script", command, folder).unwrap()
    }

    #[test]
    fn output_and_status_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("echo result; echo complaint >&2; exit 3", folder.path());
        assert_eq!(process.wait(PATIENCE).unwrap().code(), Some(3));
        assert_eq!(fs::read_to_string(process.out()).unwrap(), "result\n");
        let error = process.ensure_running().unwrap_err().to_string();
        assert!(error.contains("script has ended: exit status: 3\ncomplaint"), "{error}");
    }

    #[test]
    fn a_process_that_ignores_the_request_to_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        while fs::read_to_string(process.out()).unwrap() != "ready\n" {
            thread::sleep(INTERVAL);
        }
        assert!(process.rss_bytes().unwrap() > 0);
        let error = process.terminate(Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("has not ended within 50ms"), "{error}");
        process.kill().unwrap();
        assert!(process.rss_bytes().is_err());
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let started = thread::spawn(move || shell("sleep 20", &path));
        let mut process = started.join().unwrap();
        assert!(process.wait(Duration::from_millis(100)).is_err());
    }
}
