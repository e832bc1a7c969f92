//! The hooks that play a broker's faults.

use smf_loopback::wire::assured_ctrl::{AssuredCtrl, MessageKind};
use smf_loopback::wire::frame::Protocol;
use smf_loopback::wire::response::Response;
use smf_loopback::{Quota, UnknownQueue};

use crate::client::{Client, PATIENCE, PublishAck, bodies, broker_with_queue, response_of};

#[test]
fn held_acks_come_when_they_are_released() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    broker.hold_publish_acks();
    client.publish(&flow, "g/x", 1, ["a", "b"]);
    client.expect_silence();
    assert_eq!(broker.stats().published, 2);
    broker.release_publish_acks();
    assert_eq!(client.next_publish_ack(), PublishAck::ok(2));
}

#[test]
fn refused_publishes_are_told_why() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    broker.refuse_publishes(507, "Out Of Everything");
    client.publish(&flow, "g/x", 1, ["a"]);
    let refused = PublishAck { code: 507, text: "Out Of Everything".into(), last_acked: 1 };
    assert_eq!(client.next_publish_ack(), refused);
    broker.accept_publishes();
    client.publish(&flow, "g/x", 2, ["b"]);
    assert_eq!(client.next_publish_ack(), PublishAck::ok(2));
    assert_eq!(broker.stats().queues["q1"].depth, 1);
}

#[test]
fn refused_logins_are_told_why() {
    let broker = broker_with_queue();
    broker.refuse_logins(503, "Too Many Clients");
    let (_, response) = Client::try_login(&broker, "c", "default", "u", "p");
    assert_eq!(response, Response::new(503, "Too Many Clients"));
    broker.accept_logins();
    Client::connect(&broker, "c");
}

#[test]
fn dropping_a_client_leaves_the_others() {
    let broker = broker_with_queue();
    let mut struck = Client::connect(&broker, "struck");
    let mut spared = Client::connect(&broker, "spared");
    assert_eq!(broker.drop_client("struck"), 1);
    assert!(struck.is_disconnected());
    spared.open_publisher("").unwrap();
    assert_eq!(broker.drop_connections(), 1);
    assert!(spared.is_disconnected());
}

#[test]
fn an_unbound_flow_hears_why_and_the_queue_can_be_bound_again() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "c");
    client.publish_all("g/x", &["a"]);
    client.consume("q1", 10);
    client.receive();
    assert_eq!(broker.unbind_flows("q1", 503, "Queue Shutdown"), Ok(1));
    let end = client.next();
    assert_eq!(AssuredCtrl::parse(end.body()).unwrap().kind, MessageKind::Unbind);
    assert_eq!(response_of(&end), Response::new(503, "Queue Shutdown"));
    client.consume("q1", 10);
    assert!(client.receive().redelivered);
}

#[test]
fn after_a_crash_messages_and_publisher_flows_are_still_there() {
    let broker = broker_with_queue();
    let mut before = Client::connect(&broker, "before");
    let flow = before.open_publisher("").unwrap();
    before.publish(&flow, "g/x", 1, ["a", "b"]);
    before.await_publish_acks(2);
    before.consume("q1", 10);
    before.receive_many(2);
    assert_eq!(broker.crash(), 1);
    let queue = &broker.stats().queues["q1"];
    assert_eq!((queue.depth, queue.unacked, queue.flows), (2, 0, 0));
    assert!(before.is_disconnected());

    let mut after = Client::connect(&broker, "after");
    assert_eq!(after.open_publisher(&flow.name).unwrap().last_acked, 2);
    after.consume("q1", 10);
    let again = after.receive_many(2);
    assert_eq!(bodies(&again), ["a", "b"]);
    assert!(again.iter().all(|message| message.redelivered));
}

#[test]
fn a_forgotten_publisher_flow_cannot_be_resumed() {
    let broker = broker_with_queue();
    let flow = Client::connect(&broker, "before").open_publisher("").unwrap();
    broker.forget_publisher_flows();
    let mut after = Client::connect(&broker, "after");
    let refusal = after.open_publisher(&flow.name).err();
    assert_eq!(refusal, Some(Response::new(400, "Unknown Flow Name")));
}

#[test]
fn silenced_keep_alives_are_not_answered() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "c");
    broker.silence_keep_alives();
    client.send(Protocol::KeepAliveV2, |_| {}, |_| {});
    client.open_publisher("").expect("the answer to this, not to the keep-alive");
    broker.answer_keep_alives();
    client.expect_silence();
}

#[test]
fn hooks_say_so_when_there_is_no_such_queue() {
    let broker = broker_with_queue();
    let unknown = UnknownQueue("nosuch".into());
    assert_eq!(broker.set_queue_quota("nosuch", Quota::FULL), Err(unknown.clone()));
    assert_eq!(broker.unbind_flows("nosuch", 503, "Queue Shutdown"), Err(unknown));
}

#[test]
fn stopping_ends_the_connections() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "c");
    client.consume("q1", 10);
    broker.stop();
    assert!(client.is_disconnected());
}

#[test]
fn waiting_ends_with_the_counters_at_its_deadline() {
    let broker = broker_with_queue();
    let error = broker.wait_until(PATIENCE / 1000, |stats| stats.published > 0).unwrap_err();
    assert_eq!(error.stats.published, 0);
}
