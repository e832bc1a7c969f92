//! Who gets in.

use smf_loopback::wire::frame::Protocol;
use smf_loopback::wire::response::Response;
use smf_loopback::{Broker, BrokerHandle, Config, Credentials, StartError};

use crate::client::{Client, PATIENCE};

fn closed_broker() -> BrokerHandle {
    let credentials = Credentials { username: "user".into(), password: "secret".into() };
    let config = Config { credentials: Some(credentials), vpn: Some("default".into()), ..Config::default() };
    Broker::start(config).unwrap()
}

#[test]
fn the_right_user_gets_in() {
    let broker = closed_broker();
    let (_client, response) = Client::try_login(&broker, "c", "default", "user", "secret");
    assert_eq!(response, Response::OK);
    assert_eq!(broker.stats().connections, 1);
}

#[test]
fn others_are_refused_with_the_texts_that_the_client_knows() {
    let broker = closed_broker();
    for (vpn, username, password, code, text) in [
        ("default", "user", "wrong", 401, "Unauthorized"),
        ("default", "other", "secret", 401, "Unauthorized"),
        ("other", "user", "secret", 403, "Message VPN Not Allowed"),
    ] {
        let (mut client, response) = Client::try_login(&broker, "c", vpn, username, password);
        assert_eq!(response, Response::new(code, text));
        assert!(client.is_disconnected());
    }
    assert_eq!(broker.stats().connections, 0);
}

#[test]
fn connections_are_bounded() {
    let broker = Broker::start(Config { max_connections: 2, ..Config::default() }).unwrap();
    let _first = Client::connect(&broker, "first");
    let second = Client::connect(&broker, "second");
    let (_, response) = Client::try_login(&broker, "third", "default", "u", "p");
    assert_eq!(response, Response::new(503, "Too Many Clients"));
    drop(second);
    broker.wait_until(PATIENCE, |stats| stats.connections == 1).unwrap();
    Client::connect(&broker, "third");
}

#[test]
fn keep_alives_are_answered() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect(&broker, "c");
    client.send(Protocol::KeepAliveV2, |_| {}, |_| {});
    assert_eq!(client.next().header().protocol, Protocol::KeepAliveV2);
}

#[test]
fn who_does_not_log_in_is_cut_off() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect_only(&broker);
    client.publish_direct("a", "b");
    assert!(client.is_disconnected());
}

#[test]
fn who_does_not_speak_smf_is_cut_off() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect_only(&broker);
    client.send_bytes(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(client.is_disconnected());
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Broker::start(Config { listen, ..Config::default() });
    assert!(matches!(refused, Err(StartError::Exposed(addr)) if addr == listen));
}
