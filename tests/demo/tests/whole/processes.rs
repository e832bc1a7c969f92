//! The processes that a demonstration has started, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Processes as they were at one moment.
#[derive(Debug)]
pub(crate) struct Processes(Vec<Process>);

/// One of them. The number alone could come to belong to another.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pid: Pid,
    /// In ticks since the machine's start.
    started: u64,
    /// Arguments with spaces between them; the program without its folder.
    command: String,
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    state: char,
    parent: Pid,
    started: u64,
}

impl Processes {
    /// The children of a process and all below them.
    pub(crate) fn below(ancestor: Pid) -> anyhow::Result<Self> {
        let mut children: BTreeMap<Pid, Vec<Process>> = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
            let pid = Pid::from_raw(pid);
            // A process may end between two looks.
            if let Some(stat) = stat(pid) {
                let process = Process { pid, started: stat.started, command: command(pid) };
                children.entry(stat.parent).or_default().push(process);
            }
        }
        let mut found: Vec<Process> = children.remove(&ancestor).unwrap_or_default();
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|process| process.pid) {
            found.extend(children.remove(&parent).unwrap_or_default());
            next += 1;
        }
        Ok(Self(found))
    }

    /// The first whose command begins like this.
    pub(crate) fn find(&self, command: &str) -> Option<&Process> {
        self.0.iter().find(|process| process.command.starts_with(command))
    }

    /// Kills the first whose command begins like this.
    pub(crate) fn kill(&self, command: &str) -> anyhow::Result<()> {
        let process = self.find(command).with_context(|| format!("there is no {command}"))?;
        kill(process.pid, Signal::SIGKILL).with_context(|| format!("cannot kill {command}"))
    }

    /// Those that still run.
    pub(crate) fn alive(&self) -> Vec<Process> {
        self.0.iter().filter(|process| process.is_alive()).cloned().collect()
    }
}

impl Process {
    /// One that has ended and that nobody has waited for yet does not run.
    fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may contain anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: Pid::from_raw(fields.get(1)?.parse().ok()?),
        started: fields.get(19)?.parse().ok()?,
    })
}

fn command(pid: Pid) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let (program, arguments) = line.split_once(' ').unwrap_or((&line, ""));
    let program = program.rsplit('/').next().unwrap_or(program);
    format!("{program} {arguments}")
}
