//! How fast messages go through. Run with
//! `cargo test --release -p smf-loopback --test sockets -- --ignored --nocapture throughput`.

use std::thread;
use std::time::Instant;

use crate::client::{Client, PATIENCE, accepted, broker_with_queue, write_guaranteed};

const MESSAGES: u64 = 500_000;
const BODY_BYTES: usize = 700;
/// Messages sent before an acknowledgement is waited for, as libsolclient's default.
const PUBLISH_WINDOW: u64 = 50;
/// The consumer's window, and how often it acknowledges, as libsolclient's default.
const CONSUMER_WINDOW: u8 = 255;
const ACK_EVERY: u64 = 154;

#[test]
#[ignore = "measures and proves nothing"]
fn throughput_of_guaranteed_messages() {
    let broker = broker_with_queue();
    let mut publisher = Client::connect(&broker, "publisher");
    let mut consumer = Client::connect(&broker, "consumer");
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| publish(&mut publisher));
        scope.spawn(|| consume(&mut consumer));
    });
    let rate = MESSAGES as f64 / start.elapsed().as_secs_f64();
    println!("{MESSAGES} messages of {BODY_BYTES} bytes: {rate:.0} messages/s");
    broker.wait_until(PATIENCE, |stats| stats.queues["q1"].depth == 0).unwrap();
}

fn publish(client: &mut Client) {
    let flow = client.open_publisher("").unwrap();
    let body = [b'x'; BODY_BYTES];
    let mut batch = Vec::new();
    let mut acked = 0;
    let mut sent = 0;
    while acked < MESSAGES {
        batch.clear();
        while sent < MESSAGES && sent - acked < PUBLISH_WINDOW {
            sent += 1;
            write_guaranteed(&mut batch, flow.id, "g/x", sent, &body);
        }
        client.send_bytes(&batch);
        acked = client.next_publish_ack().last_acked;
    }
}

fn consume(client: &mut Client) {
    let flow = client.consume("q1", CONSUMER_WINDOW);
    for count in 1..=MESSAGES {
        let id = client.receive().id;
        if count % ACK_EVERY == 0 || count == MESSAGES {
            client.acknowledge(flow, id, CONSUMER_WINDOW, &[accepted(0, id)]);
        }
    }
}
