//! Processor time of processes.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Fields of `/proc/PID/stat` behind the name of the program, of which the first is the third of all: `utime` is the
/// 14th, `stime` the 15th.
const UTIME: usize = 14 - 3;

/// What a process has used so far of all processors together, in its own code and in the kernel's.
///
/// # Errors
/// If there is no such process.
pub fn processor_time(pid: Pid) -> anyhow::Result<Duration> {
    let file = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&file).with_context(|| format!("there is no process {pid}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{file} tells no times"))?;
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("the system tells no length of a tick")?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}

fn ticks(stat: &str) -> Option<u64> {
    // The name is in parentheses, and may have some of its own.
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(UTIME).take(2);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "17 (a (b) c) S 1 17 17 0 -1 4194304 100 0 0 0 25 17 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("17 (a) S 1"), Some(0));
        assert_eq!(ticks("17"), None);
    }

    #[test]
    fn a_running_process_has_a_time() {
        assert!(processor_time(Pid::this()).is_ok());
        assert!(processor_time(Pid::from_raw(i32::MAX)).is_err());
    }
}
