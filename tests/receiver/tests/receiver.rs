//! The receiver as other processes see it: its paths, its fault switch and its program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rest_receiver::{Answer, Gate, Options, Receiver};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// What an HTTP client gets: everything that comes until the connection ends, or nothing if it is reset.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: receiver\r\nConnection: close\r\n\
         Content-Type: application/json\r\nIdempotency-Key: k1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(receiver: &Receiver, path: &str, body: &str) -> String {
    ask(receiver.address(), "POST", path, body)
}

fn get(receiver: &Receiver, path: &str) -> String {
    let answer = ask(receiver.address(), "GET", path, "");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn get_json(receiver: &Receiver, path: &str) -> Value {
    serde_json::from_str(&get(receiver, path)).unwrap()
}

fn switch(receiver: &Receiver, body: &str) -> String {
    ask(receiver.address(), "PUT", "/control/answer", body)
}

fn receiver() -> Receiver {
    Receiver::start(Options::default()).unwrap()
}

#[test]
fn what_was_taken_can_be_looked_at() {
    let receiver = receiver();
    post(&receiver, "/api/v1/events", r#"{"n": 1}"#);
    post(&receiver, "/api/v1/events/batch", r#"{"events": [{"n": 2}, {"n": 3}]}"#);
    receiver.answer_next([Answer::status(503)]);
    post(&receiver, "/api/v1/events", r#"{"n": 4}"#);
    post(&receiver, "/api/v1/notifications", r#"{"n": 5}"#);
    assert_eq!(get_json(&receiver, "/api/v1/events"), json!([{"n": 1}, {"n": 2}, {"n": 3}]));
    assert_eq!(get_json(&receiver, "/api/v1/events?limit=2"), json!([{"n": 2}, {"n": 3}]));
    assert_eq!(get_json(&receiver, "/api/v1/notifications"), json!([{"n": 5}]));
    assert_eq!(get_json(&receiver, "/api/v1/order-items"), json!([]));
}

#[test]
fn health_and_counters_are_shown() {
    let receiver = receiver();
    assert_eq!(get_json(&receiver, "/health"), json!({"status": "ok"}));
    receiver.answer_next([Answer::status(503)]);
    post(&receiver, "/api/v1/events", "{}");
    post(&receiver, "/api/v1/events", "{}");
    let metrics = get(&receiver, "/metrics");
    for status in [200, 503] {
        let line = format!(r#"rest_receiver_requests_total{{path="/api/v1/events",status="{status}"}} 1"#);
        assert!(metrics.lines().any(|shown| shown == line), "{metrics}");
    }
}

#[test]
fn the_fault_switch_works_for_a_count_or_for_good() {
    let receiver = receiver();
    let status = |answer: String| answer.lines().next().unwrap_or_default().to_owned();
    let post = || post(&receiver, "/api/v1/events", "{}");
    assert_eq!(
        status(switch(&receiver, r#"{"status": 429, "retry_after": "7", "count": 1}"#)),
        "HTTP/1.1 204 No Content"
    );
    let answer = post();
    assert_eq!(status(answer.clone()), "HTTP/1.1 429 Too Many Requests");
    assert!(answer.contains("\r\nretry-after: 7\r\n"), "{answer}");
    assert_eq!(status(post()), "HTTP/1.1 200 OK");

    switch(&receiver, r#"{"status": 503}"#);
    for _ in 0..3 {
        assert_eq!(status(post()), "HTTP/1.1 503 Service Unavailable");
    }
    ask(receiver.address(), "DELETE", "/control/answer", "");
    assert_eq!(status(post()), "HTTP/1.1 200 OK");
}

#[test]
fn a_connection_can_be_broken() {
    let receiver = receiver();
    for (fault, answer) in [("close", ""), ("reset", ""), ("garbage", "\0\u{fffd}this is not the answer")] {
        switch(&receiver, &format!(r#"{{"fault": "{fault}"}}"#));
        let got = post(&receiver, "/api/v1/events", "{}");
        assert!(got.starts_with(answer) && got.is_empty() == answer.is_empty(), "{fault}: {got:?}");
    }
    assert_eq!(receiver.observed().taken().count(), 0);
}

#[test]
fn a_wrong_switch_is_refused() {
    let receiver = receiver();
    for wrong in
        [r#"{"status": 99}"#, r#"{"fault": "flood"}"#, r#"{"count": 10001}"#, r#"{"retry_after": "\n"}"#]
    {
        let answer = switch(&receiver, wrong);
        assert!(answer.starts_with("HTTP/1.1 4"), "{wrong}: {answer}");
    }
}

#[test]
fn a_test_can_hold_answers_and_wait_for_requests() {
    let receiver = receiver();
    let gate = Gate::new();
    receiver.answer_next([Answer::status(202).behind(&gate)]);
    let address = receiver.address();
    let client = thread::spawn(move || ask(address, "POST", "/api/v1/events", "{}"));
    let observed = receiver.wait_until(PATIENCE, |observed| observed.in_flight == 1).unwrap();
    assert_eq!(observed.requests[0].event_ids(), ["k1"]);
    assert_eq!(observed.requests[0].answered, None);
    gate.open();
    assert!(client.join().unwrap().starts_with("HTTP/1.1 202 "));
    receiver.wait_until(PATIENCE, |observed| observed.in_flight == 0).unwrap();

    let error = receiver.wait_until(Duration::ZERO, |observed| observed.total == 2).unwrap_err();
    assert_eq!(error.to_string(), "not within 0ns; there were 1 requests, and 0 wait for an answer");
}

#[test]
fn the_program_serves_until_it_is_told_to_end() {
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_rest-receiver")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    assert!(ask(address, "GET", "/health", "").ends_with(r#"{"status":"ok"}"#));
    kill(Pid::from_raw(program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(program.wait().unwrap().success());
}
