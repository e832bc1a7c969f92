//! The safe layer over libsolclient, through the real library, against the loopback broker.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, SystemTime};

use cdc_bridge::solace::{
    Delivery, Error, Flow, FlowEvent, FlowOptions, FlowStart, HeldLimits, InboundMessage, Library,
    PublishAnswers, Publisher, Session, SessionEvent,
};
use serde_json::json;
use smf_loopback::{BrokerHandle, Quota};
use support::{PATIENCE, broker, library, message, publisher, session_options};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMITS: HeldLimits = HeldLimits { messages: 1000, bytes: 1_000_000 };

fn connect(library: Library, broker: &BrokerHandle) -> Session {
    Session::connect(library, &session_options(broker), |_| ()).unwrap()
}

fn flow_options(queue: &str) -> FlowOptions {
    FlowOptions { queue: queue.to_owned(), start: FlowStart::Started, limits: LIMITS }
}

async fn next(flow: &mut Flow) -> InboundMessage {
    timeout(PATIENCE, flow.next()).await.expect("a message should come").unwrap()
}

fn payload(message: &InboundMessage) -> String {
    String::from_utf8(message.payload().unwrap().to_vec()).unwrap()
}

fn ack(flow: &Flow, message: &InboundMessage) {
    flow.ack(message.ack_id().unwrap()).unwrap();
}

async fn publish_all(publisher: &mut Publisher, payloads: &[&str]) {
    for payload in payloads {
        publisher.publish(message(*payload)).await.unwrap();
    }
    publisher.flush(PATIENCE).await.unwrap();
}

#[test]
fn a_refused_login_says_why_and_what_to_do() {
    let Some(library) = library() else { return };
    let broker = broker(&[]);
    let mut options = session_options(&broker);
    options.password = cdc_bridge::secret::Secret::new("wrong");
    let error = Session::connect(library, &options, |_| ()).err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("Unauthorized") && text.contains("LOGIN_FAILURE") && text.contains("401"),
        "{text}"
    );
    assert!(!text.contains("wrong"), "{text}");
    assert!(error.hint().unwrap().contains("SOLACE_PASSWORD"));
}

#[test]
fn nobody_at_the_port_is_a_refused_connection() {
    let Some(library) = library() else { return };
    let mut options = session_options(&broker(&[]));
    options.hosts = "tcp://127.0.0.1:1".to_owned();
    let error = Session::connect(library, &options, |_| ()).err().unwrap();
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.hint().unwrap().contains("SOLACE_HOST"));
}

#[tokio::test]
async fn a_message_arrives_with_all_its_properties() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let session = connect(library, &broker);
    let mut flow = session.bind(&flow_options("q")).unwrap();
    let mut publisher = publisher(library, &broker);
    let properties = json!({
        "text": "ä", "int": -5, "big": u64::MAX, "real": 1.5, "yes": true, "none": null,
        "map": {"list": [1, "two", {"three": 3}]},
    });
    let before = SystemTime::now();
    let mut sent = message("hello");
    sent.user_properties = properties.as_object().unwrap().clone();
    publisher.publish(sent).await.unwrap();

    let received = next(&mut flow).await;
    assert_eq!(payload(&received), "hello");
    assert_eq!(received.destination().unwrap().to_str().unwrap(), "t/1");
    assert_eq!(received.application_message_id().unwrap().to_str().unwrap(), "id-hello");
    assert!(received.replication_group_message_id().unwrap().starts_with("rmid1:"));
    assert!(!received.redelivered());
    assert_eq!(received.delivery_count(), Some(1));
    assert_eq!(received.user_properties().map(serde_json::Value::from), Some(properties));
    let before_ms = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((before_ms..before_ms + 60_000).contains(&received.sender_timestamp_ms().unwrap()));
    assert!(received.received_at() >= before);
}

#[tokio::test]
async fn a_message_may_be_bare() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let mut flow = connect(library, &broker).bind(&flow_options("q")).unwrap();
    let mut publisher = publisher(library, &broker);
    publisher
        .publish(cdc_bridge::solace::OutboundMessage { topic: "t/2".to_owned(), ..Default::default() })
        .await
        .unwrap();
    let received = next(&mut flow).await;
    assert_eq!(received.payload().unwrap_or_default(), b"");
    assert_eq!(received.application_message_id(), None);
    assert_eq!(received.user_properties(), None);
}

#[tokio::test]
async fn what_was_acknowledged_is_gone_and_the_rest_comes_again() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let mut publisher = publisher(library, &broker);
    publish_all(&mut publisher, &["a", "b", "c"]).await;

    let session = connect(library, &broker);
    let mut flow = session.bind(&flow_options("q")).unwrap();
    let messages = [next(&mut flow).await, next(&mut flow).await, next(&mut flow).await];
    let ids = messages.each_ref().map(InboundMessage::replication_group_message_id);
    ack(&flow, &messages[1]);
    drop(flow);

    let mut flow = session.bind(&flow_options("q")).unwrap();
    for index in [0, 2] {
        let again = next(&mut flow).await;
        assert_eq!(payload(&again), payload(&messages[index]));
        assert_eq!(again.replication_group_message_id(), ids[index]);
        assert!(again.redelivered());
        assert_eq!(again.delivery_count(), Some(2));
    }
    assert_eq!(broker.stats().queues["q"].acked, 1);
}

#[tokio::test]
async fn acks_leave_without_an_unbind() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    publish_all(&mut publisher(library, &broker), &["a"]).await;
    let mut flow = connect(library, &broker).bind(&flow_options("q")).unwrap();
    let received = next(&mut flow).await;
    ack(&flow, &received);
    broker.wait_until(PATIENCE, |stats| stats.queues["q"].depth == 0).unwrap();
}

#[tokio::test]
async fn queues_and_subscriptions_are_created_once_and_found_the_next_time() {
    let Some(library) = library() else { return };
    let broker = broker(&[]);
    let session = connect(library, &broker);
    let unknown = session.bind(&flow_options("new")).err().unwrap();
    assert!(unknown.to_string().contains("UNKNOWN_QUEUE_NAME"), "{unknown}");
    assert!(unknown.hint().unwrap().contains("SOLACE_PROVISION"));
    for _ in 0..2 {
        session.create_queue("new").unwrap();
        session.subscribe_queue("new", "t/>").unwrap();
    }
    let mut flow = session.bind(&flow_options("new")).unwrap();
    publish_all(&mut publisher(library, &broker), &["a"]).await;
    assert_eq!(payload(&next(&mut flow).await), "a");
}

#[tokio::test]
async fn a_queue_is_deleted_with_its_messages() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    publish_all(&mut publisher(library, &broker), &["a"]).await;
    let session = connect(library, &broker);
    for _ in 0..2 {
        session.delete_queue("q").unwrap();
    }
    assert!(!broker.stats().queues.contains_key("q"));
}

#[tokio::test]
async fn a_flow_that_the_broker_ends_is_down_and_can_be_made_anew() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let session = connect(library, &broker);
    let mut flow = session.bind(&flow_options("q")).unwrap();
    broker.unbind_flows("q", 503, "Queue Shutdown").unwrap();
    let Delivery::Event(FlowEvent::Down { text }) = timeout(PATIENCE, flow.next_delivery()).await.unwrap()
    else {
        panic!("the flow should be down");
    };
    assert!(text.contains("Queue Shutdown"), "{text}");
    drop(flow);
    let mut flow = session.bind(&flow_options("q")).unwrap();
    publish_all(&mut publisher(library, &broker), &["a"]).await;
    assert_eq!(payload(&next(&mut flow).await), "a");
}

#[tokio::test]
async fn flow_and_publisher_survive_a_lost_connection() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let (events, mut session_events) = mpsc::unbounded_channel();
    let session = Session::connect(library, &session_options(&broker), move |event| {
        let _ = events.send(event);
    })
    .unwrap();
    let mut flow = session.bind(&flow_options("q")).unwrap();
    let mut publisher = publisher(library, &broker);
    publish_all(&mut publisher, &["before"]).await;
    let before = next(&mut flow).await;
    broker.crash();
    publish_all(&mut publisher, &["after"]).await;
    assert_eq!(payload(&next(&mut flow).await), "after");
    ack(&flow, &before);
    broker.wait_until(PATIENCE, |stats| stats.queues["q"].depth == 1).unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&SessionEvent::Reconnected) {
        seen.push(timeout(PATIENCE, session_events.recv()).await.unwrap().unwrap());
    }
    assert!(
        matches!(seen[..], [SessionEvent::Up, SessionEvent::Reconnecting { .. }, SessionEvent::Reconnected]),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_flow_over_its_limit_says_so_once_and_a_stopped_one_brings_nothing() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let mut options = flow_options("q");
    options.limits = HeldLimits { messages: 2, bytes: 1_000_000 };
    let mut flow = connect(library, &broker).bind(&options).unwrap();
    let mut publisher = publisher(library, &broker);
    publish_all(&mut publisher, &["1", "2", "3"]).await;
    timeout(PATIENCE, flow.over_limit()).await.unwrap();
    assert_eq!((flow.held().messages(), flow.held().bytes()), (3, 3));
    flow.stop().unwrap();
    // The broker may send until it knows.
    broker.wait_until(PATIENCE, |stats| stats.queues["q"].stopped_flows == 1).unwrap();
    for _ in 0..3 {
        next(&mut flow).await;
    }
    publish_all(&mut publisher, &["4"]).await;
    let delivered = || broker.stats().queues["q"].delivered;
    assert_eq!((delivered(), flow.held().messages()), (3, 0));
    flow.start().unwrap();
    assert_eq!(payload(&next(&mut flow).await), "4");
}

#[tokio::test]
async fn a_flow_bound_stopped_takes_nothing() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    publish_all(&mut publisher(library, &broker), &["a"]).await;
    let mut options = flow_options("q");
    options.start = FlowStart::Stopped;
    drop(connect(library, &broker).bind(&options).unwrap());
    let queue = &broker.stats().queues["q"];
    assert_eq!((queue.delivered, queue.depth), (0, 1));
}

#[tokio::test]
async fn refused_messages_are_kept_and_published_again_on_request() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let mut publisher = publisher(library, &broker);
    broker.set_queue_quota("q", Quota::FULL).unwrap();
    publish_all(&mut publisher, &["a", "b"]).await;
    assert_eq!(publisher.answers(), PublishAnswers { acknowledged: 0, rejected: 2 });
    broker.set_queue_quota("q", Quota::UNLIMITED).unwrap();
    assert_eq!(publisher.republish_rejected().await.unwrap(), 2);
    publisher.flush(PATIENCE).await.unwrap();
    assert_eq!(publisher.answers(), PublishAnswers { acknowledged: 2, rejected: 2 });
    assert_eq!(broker.stats().queues["q"].depth, 2);
}

#[tokio::test]
async fn publishing_waits_for_the_window_and_not_longer() {
    let Some(library) = library() else { return };
    let broker = broker(&["q"]);
    let mut publisher = publisher(library, &broker);
    broker.hold_publish_acks();
    let mut published = 0;
    while timeout(Duration::from_millis(300), publisher.publish(message("x"))).await.is_ok() {
        published += 1;
    }
    assert!((1..=255).contains(&published), "{published}");
    let error = publisher.flush(Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(error, Error::Unanswered { messages, .. } if messages == published), "{error}");
    broker.release_publish_acks();
    publish_all(&mut publisher, &["y"]).await;
    assert_eq!(publisher.answers().acknowledged, published as u64 + 1);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_here() {
    let Some(library) = library() else { return };
    let broker = broker(&[]);
    let mut publisher = publisher(library, &broker);
    let mut bad = message("x");
    bad.topic = "a\0b".to_owned();
    assert!(matches!(publisher.publish(bad).await, Err(Error::InteriorNul { what: "a topic" })));
    let mut deep = message("x");
    let nested = (0..20).fold(json!(1), |inner, _| json!([inner]));
    deep.user_properties.insert("deep".to_owned(), nested);
    assert!(matches!(publisher.publish(deep).await, Err(Error::PropertiesTooDeep)));
    publisher.flush(PATIENCE).await.unwrap();
    assert_eq!(publisher.answers(), PublishAnswers::default());
}
