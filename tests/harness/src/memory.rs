//! Memory of processes.

use std::fs;

use anyhow::Context;
use nix::unistd::Pid;

/// Resident bytes of a process without shared memory: PostgreSQL's shared buffers would count for every process that
/// has touched them.
///
/// # Errors
/// If there is no such process.
pub fn private_bytes(pid: Pid) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("there is no process {pid}"))?;
    let kib = |name| kib(&status, name).with_context(|| format!("{file} tells no {name}"));
    Ok((kib("RssAnon")? + kib("RssFile")?) * 1024)
}

/// A field of `/proc/PID/status` that is given in kB.
fn kib(status: &str, name: &str) -> Option<u64> {
    let field = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    field.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmRSS:\t    5904 kB\nRssAnon:\t     904 kB\nThreads:\t1\n";
        assert_eq!(kib(status, "RssAnon"), Some(904));
        assert_eq!(kib(status, "Rss"), None);
        assert_eq!(kib(status, "Threads"), None);
    }

    #[test]
    fn a_running_process_has_memory() {
        assert!(private_bytes(Pid::this()).unwrap() > 0);
        assert!(private_bytes(Pid::from_raw(i32::MAX)).is_err());
    }
}
