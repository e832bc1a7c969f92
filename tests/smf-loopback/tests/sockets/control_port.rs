//! The hooks by way of the control port.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use smf_loopback::{BrokerHandle, Stats};

use crate::client::{Client, broker_with_queue};

struct Control {
    reader: BufReader<TcpStream>,
}

impl Control {
    fn connect(broker: &BrokerHandle) -> Self {
        Self { reader: BufReader::new(TcpStream::connect(broker.control_addr()).unwrap()) }
    }

    fn ask(&mut self, command: &str) -> Value {
        self.reader.get_ref().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn stats_are_what_the_handle_gives() {
    let broker = broker_with_queue();
    Client::connect(&broker, "publisher").publish_all("g/x", &["a"]);
    let stats: Stats = serde_json::from_value(Control::connect(&broker).ask("stats")).unwrap();
    assert_eq!(stats.queues, broker.stats().queues);
    assert_eq!(stats.queues["q1"].depth, 1);
}

#[test]
fn commands_strike_and_say_how_many() {
    let broker = broker_with_queue();
    let mut control = Control::connect(&broker);
    let mut client = Client::connect(&broker, "c/1");
    client.consume("q1", 10);
    for (command, answer) in [
        ("unbind q1 503 Queue Shutdown", json!({ "ok": true, "count": 1 })),
        ("drop c/2", json!({ "ok": true, "count": 0 })),
        ("drop c/1", json!({ "ok": true, "count": 1 })),
        ("crash", json!({ "ok": true, "count": 0 })),
        ("forget-publisher-flows", json!({ "ok": true, "count": 0 })),
        ("hold-acks on", json!({ "ok": true })),
        ("hold-acks off", json!({ "ok": true })),
        ("silence-keep-alives on", json!({ "ok": true })),
        ("silence-keep-alives off", json!({ "ok": true })),
        ("queue-quota q1 0 0", json!({ "ok": true })),
        ("queue-quota nosuch 0 0", json!({ "error": "there is no queue \"nosuch\"" })),
    ] {
        assert_eq!(control.ask(command), answer, "{command}");
    }
    assert!(client.is_disconnected());
}

#[test]
fn refusals_carry_code_and_text() {
    let broker = broker_with_queue();
    let mut control = Control::connect(&broker);
    control.ask("refuse-logins 503 Too Many Clients");
    let (_, response) = Client::try_login(&broker, "c", "default", "u", "p");
    assert_eq!((response.code, &*response.text), (503, "Too Many Clients"));
    control.ask("refuse-logins off");
    control.ask("refuse-publishes 503 Spool Over Quota");
    let mut client = Client::connect(&broker, "c");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, ["a"]);
    assert_eq!(client.next_publish_ack().text, "Spool Over Quota");
}

#[test]
fn an_unknown_command_is_answered_with_the_known_ones() {
    let broker = broker_with_queue();
    let answer = Control::connect(&broker).ask("explode");
    assert!(answer["error"].as_str().unwrap().contains("forget-publisher-flows"));
}

#[test]
fn quit_ends_the_wait_of_the_owner() {
    let broker = broker_with_queue();
    assert_eq!(Control::connect(&broker).ask("quit"), json!({ "ok": true }));
    broker.wait_for_quit();
    broker.stop();
}
