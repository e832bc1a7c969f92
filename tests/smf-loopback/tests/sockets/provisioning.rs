//! Queues made and deleted by clients.

use smf_loopback::wire::assured_ctrl::{AssuredCtrl, MessageKind, field};
use smf_loopback::wire::response::Response;
use smf_loopback::wire::smp::Action;
use smf_loopback::{Broker, Config};

use crate::client::{Client, PATIENCE, response_of};

fn endpoint(client: &mut Client, kind: MessageKind, queue: &str) -> Response {
    response_of(&client.request(kind, |body| {
        body.text(field::QUEUE_NAME, queue).u8(field::DURABILITY, 1);
    }))
}

#[test]
fn a_queue_is_created_once_and_deleted_once() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect(&broker, "c");
    for (kind, expected) in [
        (MessageKind::CreateEndpoint, Response::OK),
        (MessageKind::CreateEndpoint, Response::new(400, "Already Exists")),
        (MessageKind::DeleteEndpoint, Response::OK),
        (MessageKind::DeleteEndpoint, Response::new(503, "Unknown Queue")),
    ] {
        assert_eq!(endpoint(&mut client, kind, "q1"), expected, "{kind:?}");
    }
}

#[test]
fn queue_subscriptions_come_and_go() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect(&broker, "c");
    endpoint(&mut client, MessageKind::CreateEndpoint, "q1");
    client.publish_all("g/1", &["before"]);
    for (change, queue, expected) in [
        (Action::Add, "nosuch", Response::new(503, "Unknown Queue")),
        (Action::Add, "q1", Response::OK),
        (Action::Add, "q1", Response::new(400, "Subscription Already Exists")),
    ] {
        assert_eq!(client.change_queue_subscription(change, queue, "g/>"), expected);
    }
    client.publish_all("g/1", &["while"]);
    for expected in [Response::OK, Response::new(400, "Subscription Not Found")] {
        assert_eq!(client.change_queue_subscription(Action::Remove, "q1", "g/>"), expected);
    }
    client.publish_all("g/1", &["after"]);
    client.consume("q1", 10);
    assert_eq!(client.receive().body, "while");
    client.expect_silence();
}

#[test]
fn flows_of_a_deleted_queue_end() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut owner = Client::connect(&broker, "owner");
    endpoint(&mut owner, MessageKind::CreateEndpoint, "q1");
    let mut consumer = Client::connect(&broker, "consumer");
    consumer.consume("q1", 10);
    assert_eq!(endpoint(&mut owner, MessageKind::DeleteEndpoint, "q1"), Response::OK);
    let end = consumer.next();
    assert_eq!(AssuredCtrl::parse(end.body()).unwrap().kind, MessageKind::Unbind);
    assert_eq!(response_of(&end).code, 503);
}

#[test]
fn a_temporary_queue_goes_with_its_client() {
    const NAME: &str = "#P2P/QTMP/#smf-loopback/1";
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect(&broker, "c");
    let answer = client.request(MessageKind::Bind, |body| {
        body.text(field::QUEUE_NAME, NAME).u8(field::WINDOW, 10).u8(field::DURABILITY, 2);
    });
    assert_eq!(response_of(&answer), Response::OK);
    client.publish_all(NAME, &["a reply"]);
    assert_eq!(broker.stats().queues[NAME].depth, 1);
    drop(client);
    broker.wait_until(PATIENCE, |stats| stats.queues.is_empty()).unwrap();
}

#[test]
fn topic_endpoints_are_refused() {
    let broker = Broker::start(Config::default()).unwrap();
    let mut client = Client::connect(&broker, "c");
    let answer = client.request(MessageKind::CreateEndpoint, |body| {
        body.text(field::TOPIC_ENDPOINT_NAME, "te1");
    });
    assert_eq!(response_of(&answer), Response::NOT_SUPPORTED);
}
