//! The broker as a process: what it prints, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use smf_loopback::Stats;

/// Starts the broker and gives what it prints first.
fn start(args: &[&str]) -> (Child, Value) {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_smf-loopback")).args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// Sends one control command and gives the line that answers it.
fn control(addresses: &Value, command: &str) -> String {
    let mut stream = TcpStream::connect(addresses["control"].as_str().unwrap()).unwrap();
    writeln!(stream, "{command}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn it_has_the_queues_of_its_command_line_and_ends_when_told_to_quit() {
    let (mut child, addresses) = start(&["--queue", "q1=a/>", "--queue", "q1=b/>", "--queue", "q2"]);
    let stats: Stats = serde_json::from_str(&control(&addresses, "stats")).unwrap();
    assert_eq!(stats.queues.keys().collect::<Vec<_>>(), ["q1", "q2"]);
    TcpStream::connect(addresses["smf"].as_str().unwrap()).expect("the SMF port is open");
    control(&addresses, "quit");
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_ends_cleanly_on_signals() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut child, _) = start(&[]);
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn it_refuses_to_be_reachable_from_elsewhere() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_smf-loopback")).args(["--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a loopback address"));
}
