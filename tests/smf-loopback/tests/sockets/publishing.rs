//! Guaranteed publishing, and direct messages.

use smf_loopback::wire::response::Response;
use smf_loopback::wire::trmsg::Publish;
use smf_loopback::{Broker, Config, QueueConfig, Quota};

use crate::client::{Client, PublishAck, bodies, broker_with, broker_with_queue};

const OVER_QUOTA: &str = "Spool Over Quota";

#[test]
fn a_run_of_publishes_is_acknowledged_up_to_its_last() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, ["a", "b", "c"]);
    client.await_publish_acks(3);
    assert_eq!(broker.stats().published, 3);
    assert_eq!(broker.stats().queues["q1"].depth, 3);
}

#[test]
fn a_retransmission_is_acknowledged_and_not_spooled_again() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, ["a", "b"]);
    client.await_publish_acks(2);
    client.publish(&flow, "g/x", 1, ["a", "b"]);
    assert_eq!(client.next_publish_ack(), PublishAck::ok(2));
    let stats = broker.stats();
    assert_eq!((stats.published, stats.publish_duplicates, stats.queues["q1"].depth), (2, 2, 2));
}

#[test]
fn a_resumed_flow_goes_on_where_the_broker_is() {
    let broker = broker_with_queue();
    let mut before = Client::connect(&broker, "publisher");
    let flow = before.open_publisher("").unwrap();
    before.publish(&flow, "g/x", 1, ["a", "b"]);
    before.await_publish_acks(2);
    drop(before);

    let mut after = Client::connect(&broker, "publisher");
    let resumed = after.open_publisher(&flow.name).unwrap();
    assert_eq!((resumed.name.as_str(), resumed.last_acked), (flow.name.as_str(), 2));
    after.publish(&resumed, "g/x", 2, ["b", "c"]);
    after.await_publish_acks(3);
    assert_eq!(broker.stats().queues["q1"].enqueued, 3);
}

#[test]
fn the_flow_of_another_broker_is_unknown() {
    let other = broker_with_queue();
    let foreign = Client::connect(&other, "publisher").open_publisher("").unwrap();
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    client.open_publisher("").unwrap();
    let refusal = client.open_publisher(&foreign.name).err();
    assert_eq!(refusal, Some(Response::new(400, "Unknown Flow Name")));
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    let queue =
        QueueConfig { quota: Quota { messages: 2, ..Quota::UNLIMITED }, ..QueueConfig::new("q1", ["g/>"]) };
    let broker = broker_with(queue);
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, ["a", "b", "c"]);
    client.await_publish_acks(2);
    let refused = PublishAck { code: 503, text: OVER_QUOTA.into(), last_acked: 3 };
    assert_eq!(client.next_publish_ack(), refused);

    broker.set_queue_quota("q1", Quota::UNLIMITED).unwrap();
    client.publish(&flow, "g/x", 4, ["d"]);
    assert_eq!(client.next_publish_ack(), PublishAck::ok(4));
    let stats = broker.stats();
    assert_eq!((stats.publishes_refused, stats.queues["q1"].depth), (1, 3));
}

#[test]
fn quota_in_bytes_counts_whole_messages() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, ["a"]);
    client.await_publish_acks(1);
    let message_bytes = broker.stats().queues["q1"].bytes;
    for (first, quota_bytes, code) in
        [(2, 2 * message_bytes - 1, 503), (3, 2 * message_bytes, 200), (4, 3 * message_bytes + 1, 200)]
    {
        broker.set_queue_quota("q1", Quota { bytes: quota_bytes, ..Quota::UNLIMITED }).unwrap();
        client.publish(&flow, "g/x", first, ["b"]);
        assert_eq!(client.next_publish_ack().code, code, "quota of {quota_bytes} bytes");
    }
}

#[test]
fn the_whole_spool_is_bounded() {
    let queues = vec![QueueConfig::new("q1", ["g/>"]), QueueConfig::new("q2", ["g/>"])];
    let broker = Broker::start(Config { queues, spool_bytes: 3000, ..Config::default() }).unwrap();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    let large = [b'x'; 1000];
    client.publish(&flow, "g/x", 1, [large]);
    assert_eq!(client.next_publish_ack(), PublishAck::ok(1));
    client.publish(&flow, "g/x", 2, [large]);
    assert_eq!(client.next_publish_ack().text, OVER_QUOTA);
    let stats = broker.stats();
    assert_eq!((stats.queues["q1"].depth, stats.queues["q2"].depth), (1, 1));
}

#[test]
fn messages_over_the_size_limit_are_refused() {
    let queues = vec![QueueConfig::new("q1", ["g/>"])];
    let broker = Broker::start(Config { queues, max_message_bytes: 1000, ..Config::default() }).unwrap();
    let mut client = Client::connect(&broker, "publisher");
    let flow = client.open_publisher("").unwrap();
    client.publish(&flow, "g/x", 1, [""]);
    client.await_publish_acks(1);
    let overhead = broker.stats().queues["q1"].bytes as usize;
    for (id, bytes, code) in [(2, 999, 200), (3, 1000, 200), (4, 1001, 400)] {
        client.publish(&flow, "g/x", id, [vec![b'x'; bytes - overhead]]);
        assert_eq!(client.next_publish_ack().code, code, "{bytes} bytes");
    }
}

#[test]
fn messages_go_to_every_queue_that_wants_them_and_to_no_other() {
    let queues = vec![
        QueueConfig::new("all", ["g/>"]),
        QueueConfig::new("some", ["g/a/*"]),
        QueueConfig::new("none", ["h/>"]),
    ];
    let broker = Broker::start(Config { queues, ..Config::default() }).unwrap();
    let mut client = Client::connect(&broker, "publisher");
    client.publish_all("g/a/b", &["1"]);
    client.publish_all("g/b/b", &["2"]);
    client.publish_all("#P2P/QUE/none", &["3"]);
    client.publish_all("elsewhere", &["4"]);
    let stats = broker.stats();
    let depths: Vec<u64> = stats.queues.values().map(|queue| queue.depth).collect();
    assert_eq!(stats.queues.keys().collect::<Vec<_>>(), ["all", "none", "some"]);
    assert_eq!(depths, [2, 1, 1]);
    assert_eq!(stats.unrouted, 1);
}

#[test]
fn a_publish_on_a_flow_that_was_not_opened_ends_the_connection() {
    let broker = broker_with_queue();
    let mut client = Client::connect(&broker, "publisher");
    let mut flow = client.open_publisher("").unwrap();
    flow.id += 1;
    client.publish(&flow, "g/x", 1, ["a"]);
    assert!(client.is_disconnected());
}

#[test]
fn direct_subscribers_get_what_matches() {
    let broker = broker_with_queue();
    let mut subscriber = Client::connect(&broker, "subscriber");
    assert_eq!(subscriber.subscribe("d/*"), Response::OK);
    assert_eq!(subscriber.subscribe("d/*"), Response::new(400, "Subscription Already Exists"));
    let mut publisher = Client::connect(&broker, "publisher");
    publisher.publish_direct("e/1", "not this");
    publisher.publish_direct("d/1", "this");
    publisher.publish_all("d/2", &["and this"]);

    for expected in [("d/1", "this"), ("d/2", "and this")] {
        let frame = subscriber.next();
        let message = Publish::parse(&frame).unwrap();
        assert_eq!((message.topic, std::str::from_utf8(frame.body()).unwrap()), expected);
    }
    subscriber.expect_silence();
}

#[test]
fn queue_destinations_are_not_matched_by_subscriptions() {
    let queues = vec![QueueConfig::new("everything", [">"]), QueueConfig::new("q1", ["g/>"])];
    let broker = Broker::start(Config { queues, ..Config::default() }).unwrap();
    let mut client = Client::connect(&broker, "c");
    client.publish_all("#P2P/QUE/q1", &["for q1 alone"]);
    client.consume("q1", 10);
    assert_eq!(bodies(&client.receive_many(1)), ["for q1 alone"]);
    assert_eq!(broker.stats().queues["everything"].depth, 0);
}
