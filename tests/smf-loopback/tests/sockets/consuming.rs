//! Binding, windows, acknowledgements and redelivery.

use smf_loopback::wire::assured_ctrl::{AckRange, AssuredCtrl, MessageKind, Outcome, field};
use smf_loopback::wire::response::Response;
use smf_loopback::{Access, BrokerHandle, QueueConfig};

use crate::client::{Client, PATIENCE, accepted, bodies, broker_with, broker_with_queue, field_of};

/// A broker whose queue `q1` holds these messages.
fn broker_holding(messages: &[&str]) -> BrokerHandle {
    let broker = broker_with_queue();
    Client::connect(&broker, "publisher").publish_all("g/x", messages);
    broker
}

fn await_depth(broker: &BrokerHandle, depth: u64) {
    broker.wait_until(PATIENCE, |stats| stats.queues["q1"].depth == depth).unwrap();
}

fn await_flows(broker: &BrokerHandle, flows: usize) {
    broker.wait_until(PATIENCE, |stats| stats.queues["q1"].flows == flows).unwrap();
}

#[test]
fn messages_come_in_order_and_chained() {
    let broker = broker_holding(&["a", "b", "c"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 10);
    let messages = client.receive_many(3);
    assert_eq!(bodies(&messages), ["a", "b", "c"]);
    let chain: Vec<(u64, u64)> = messages.iter().map(|m| (m.previous_id, m.id)).collect();
    assert_eq!(chain, [(0, 1), (1, 2), (2, 3)]);
    assert!(messages.iter().all(|message| message.flow == flow && !message.redelivered));
}

#[test]
fn nothing_comes_before_the_client_is_ready() {
    let broker = broker_holding(&["a"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.bind("q1", 10).unwrap();
    client.expect_silence();
    client.acknowledge(flow, 0, 10, &[]);
    assert_eq!(client.receive().body, "a");
}

#[test]
fn messages_published_later_come_at_once() {
    let broker = broker_with_queue();
    let mut consumer = Client::connect(&broker, "consumer");
    consumer.consume("q1", 10);
    Client::connect(&broker, "publisher").publish_all("g/x", &["a"]);
    assert_eq!(consumer.receive().body, "a");
}

#[test]
fn only_application_acks_empty_the_queue() {
    let broker = broker_holding(&["a", "b", "c"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 10);
    client.receive_many(3);
    client.acknowledge(flow, 3, 10, &[]);
    client.acknowledge(flow, 3, 10, &[accepted(0, 2)]);
    await_depth(&broker, 1);
    let queue = &broker.stats().queues["q1"];
    assert_eq!((queue.acked, queue.unacked), (2, 1));
}

#[test]
fn acks_may_come_out_of_order_and_again() {
    let broker = broker_holding(&["1", "2", "3", "4", "5"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 10);
    client.receive_many(5);
    client.acknowledge(flow, 5, 10, &[accepted(2, 2), accepted(4, 4)]);
    await_depth(&broker, 3);
    client.acknowledge(flow, 5, 10, &[accepted(0, 2), accepted(4, 4), accepted(9, 7)]);
    await_depth(&broker, 2);
    client.acknowledge(flow, 5, 10, &[accepted(0, 5)]);
    await_depth(&broker, 0);
    assert_eq!(broker.stats().queues["q1"].acked, 5);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let broker = broker_holding(&["1", "2", "3", "4", "5"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 2);
    assert_eq!(bodies(&client.receive_many(2)), ["1", "2"]);
    client.expect_silence();
    client.acknowledge(flow, 1, 2, &[]);
    assert_eq!(client.receive().body, "3");
    client.expect_silence();
    client.acknowledge(flow, 3, 0, &[]);
    client.expect_silence();
    client.acknowledge(flow, 3, 255, &[]);
    assert_eq!(bodies(&client.receive_many(2)), ["4", "5"]);
}

#[test]
fn what_was_not_acknowledged_comes_again_after_a_disconnect() {
    let broker = broker_holding(&["a", "b", "c"]);
    let mut before = Client::connect(&broker, "consumer");
    let flow = before.consume("q1", 10);
    before.receive_many(3);
    before.acknowledge(flow, 3, 10, &[accepted(2, 2)]);
    await_depth(&broker, 2);
    drop(before);

    await_flows(&broker, 0);
    let mut after = Client::connect(&broker, "consumer");
    after.consume("q1", 10);
    let again = after.receive_many(2);
    assert_eq!(bodies(&again), ["a", "c"]);
    let ids: Vec<(u64, u64, bool)> = again.iter().map(|m| (m.previous_id, m.id, m.redelivered)).collect();
    assert_eq!(ids, [(0, 1, true), (1, 3, true)]);
    assert_eq!(broker.stats().queues["q1"].redelivered, 2);
}

#[test]
fn what_was_not_acknowledged_comes_again_after_an_unbind() {
    let broker = broker_holding(&["a", "b"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 1);
    client.receive();
    client.unbind(flow);
    client.consume("q1", 10);
    let again = client.receive_many(2);
    let marks: Vec<(&str, bool)> = again.iter().map(|m| (m.body.as_str(), m.redelivered)).collect();
    assert_eq!(marks, [("a", true), ("b", false)]);
}

#[test]
fn a_message_settled_as_failed_comes_again_on_the_same_flow_under_a_higher_id() {
    let broker = broker_holding(&["a", "b"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 10);
    client.receive_many(2);
    let failed = AckRange { first: 1, last: 1, outcome: Outcome::Failed };
    client.acknowledge(flow, 2, 10, &[failed]);
    let again = client.receive();
    assert_eq!((again.body.as_str(), again.previous_id, again.redelivered), ("a", 2, true));
    assert!(again.id > 2);
}

#[test]
fn a_rejected_message_is_gone() {
    let broker = broker_holding(&["a"]);
    let mut client = Client::connect(&broker, "consumer");
    let flow = client.consume("q1", 10);
    client.receive();
    let rejected = AckRange { first: 1, last: 1, outcome: Outcome::Rejected };
    client.acknowledge(flow, 1, 10, &[rejected]);
    await_depth(&broker, 0);
    assert_eq!(broker.stats().queues["q1"].rejected, 1);
}

#[test]
fn on_an_exclusive_queue_the_second_flow_takes_over_when_the_first_goes() {
    let broker = broker_holding(&["a", "b"]);
    let mut first = Client::connect(&broker, "first");
    first.consume("q1", 10);
    first.receive_many(2);
    let mut second = Client::connect(&broker, "second");
    let answer = second.bind_frame("q1", 10);
    assert_eq!(field_of(&answer, field::ACTIVE_FLOW), [0]);
    let flow = u32::from_be_bytes(field_of(&answer, field::FLOW_ID).try_into().unwrap());
    second.acknowledge(flow, 0, 10, &[]);
    second.expect_silence();

    drop(first);
    let update = second.next();
    assert_eq!(AssuredCtrl::parse(update.body()).unwrap().kind, MessageKind::FlowChangeUpdate);
    assert_eq!(field_of(&update, field::ACTIVE_FLOW), [1]);
    assert_eq!(bodies(&second.receive_many(2)), ["a", "b"]);
}

/// Two clients that consume from the same non-exclusive queue, in which these messages were put.
fn two_consumers(messages: &[&str]) -> (BrokerHandle, Client, Client) {
    let queue = QueueConfig { access: Access::NonExclusive, ..QueueConfig::new("q1", ["g/>"]) };
    let broker = broker_with(queue);
    let [first, second] = ["first", "second"].map(|name| {
        let mut client = Client::connect(&broker, name);
        client.consume("q1", 10);
        // When this is answered, the broker has seen that the flow is ready.
        client.open_publisher("").unwrap();
        client
    });
    Client::connect(&broker, "publisher").publish_all("g/x", messages);
    (broker, first, second)
}

#[test]
fn on_a_non_exclusive_queue_the_flows_take_turns() {
    let (_broker, mut first, mut second) = two_consumers(&["1", "2", "3", "4"]);
    assert_eq!(bodies(&first.receive_many(2)), ["1", "3"]);
    assert_eq!(bodies(&second.receive_many(2)), ["2", "4"]);
}

#[test]
fn a_living_flow_takes_over_from_a_lost_one_under_ids_that_its_client_accepts() {
    let (_broker, mut lost, mut living) = two_consumers(&["1", "2"]);
    assert_eq!((lost.receive().body, living.receive().body), ("1".into(), "2".into()));

    drop(lost);
    let taken_over = living.receive();
    assert_eq!((taken_over.body.as_str(), taken_over.redelivered), ("1", true));
    assert_eq!(taken_over.previous_id, 2);
    assert!(taken_over.id > 2);
}

#[test]
fn large_messages_wait_until_the_client_has_read_the_ones_before() {
    let broker = broker_with_queue();
    let mut publisher = Client::connect(&broker, "publisher");
    let large = "x".repeat(700_000);
    let messages = [large.as_str(); 10];
    publisher.publish_all("g/x", &messages);
    let mut consumer = Client::connect(&broker, "consumer");
    consumer.consume("q1", 255);
    assert_eq!(bodies(&consumer.receive_many(10)), messages);
}

#[test]
fn an_unknown_queue_is_refused() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "consumer");
    assert_eq!(client.bind("nosuch", 10), Err(Response::new(503, "Unknown Queue")));
}
