//! The broker fails: crashes, lost connections, ended flows, refusals. Such faults need the loopback broker's hooks.

use std::path::Path;

use anyhow::ensure;
use cdc_bridge::solace::{OnRejection, OutboundMessage, Publisher};
use e2e::{EVERY_FAULT, PATIENCE, Pipeline, Published, Traffic};
use serde::Deserialize;
use smf_loopback::{BrokerHandle, Quota};

/// Fast enough that something is always on its way.
const PER_MINUTE: u32 = 240_000;

/// Messages that must have been moved after one fault before the next is played.
const MESSAGES_BETWEEN_FAULTS: u64 = 1000;

const QUEUE_SHUTDOWN: (u32, &str) = (503, "Queue Shutdown");

/// Plays a fault several times, each when messages flow again after the last, while messages are published.
async fn publish_through(fault: impl Fn(&BrokerHandle, &str) -> anyhow::Result<usize>) -> anyhow::Result<()> {
    const TIMES: u32 = 4;
    let Some(pipeline) = Pipeline::start_with_hooks().await? else { return Ok(()) };
    let bridge = pipeline.start_bridge()?;
    let traffic = Traffic { changes: None, per_minute: PER_MINUTE, seed: e2e::seed(), faults: &EVERY_FAULT };
    let generator = pipeline.start_generator(&traffic)?;
    let mut acked = 0;
    for _ in 0..TIMES {
        acked = pipeline.wait_for_queue(|queue| queue.acked > acked + MESSAGES_BETWEEN_FAULTS)?.acked;
        let struck = fault(pipeline.hooks()?, pipeline.broker().queue())?;
        ensure!(struck > 0, "there was nothing for the fault to strike");
    }
    let published = generator.stop().await?;
    pipeline.ensure_all_arrives(bridge, &published).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashes_and_restarts_in_mid_stream_loses_nothing() -> anyhow::Result<()> {
    publish_through(|broker, _| Ok(broker.crash())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_its_publishers_gets_some_messages_twice_and_loses_nothing()
-> anyhow::Result<()> {
    publish_through(|broker, _| Ok(broker.forget_publisher_flows())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connections_in_mid_stream_lose_nothing() -> anyhow::Result<()> {
    publish_through(|broker, _| Ok(broker.drop_connections())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_that_the_broker_ends_in_mid_stream_lose_nothing() -> anyhow::Result<()> {
    let (code, text) = QUEUE_SHUTDOWN;
    publish_through(|broker, queue| Ok(broker.unbind_flows(queue, code, text)?)).await
}

/// A message of the generator's file.
#[derive(Deserialize)]
struct Recorded {
    topic: String,
    payload: String,
    message_id: String,
}

fn read_messages(file: &Path) -> anyhow::Result<Vec<OutboundMessage>> {
    let text = std::fs::read_to_string(file)?;
    let messages = text.lines().map(|line| {
        let Recorded { topic, payload, message_id } = serde_json::from_str(line)?;
        let application_message_id = Some(message_id);
        Ok(OutboundMessage {
            topic,
            payload: payload.into(),
            application_message_id,
            ..OutboundMessage::default()
        })
    });
    messages.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_refused_by_a_full_queue_arrive_when_they_are_published_again() -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start_with_hooks().await? else { return Ok(()) };
    let bridge = pipeline.start_bridge()?;
    // Nothing malformed: only what is text is in the file as text.
    let faults = ["--duplicates", "0.05", "--out-of-order", "0.1"];
    let traffic = Traffic { changes: Some(6000), per_minute: 0, seed: e2e::seed(), faults: &faults };
    let file = pipeline.generate_file(&traffic).await?;
    let (library, options) = (pipeline.library()?, pipeline.broker().session_options());
    let mut publisher =
        tokio::task::block_in_place(|| Publisher::connect(library, &options, OnRejection::Keep))?;
    let (broker, queue) = (pipeline.hooks()?, pipeline.broker().queue());

    let mut refused = 0;
    for (round, messages) in read_messages(&file)?.chunks(200).enumerate() {
        if round % 3 == 1 {
            broker.set_queue_quota(queue, Quota::FULL)?;
        }
        for message in messages {
            publisher.publish(message.clone()).await?;
        }
        publisher.flush(PATIENCE).await?;
        broker.set_queue_quota(queue, Quota::UNLIMITED)?;
        refused += publisher.republish_rejected().await?;
        publisher.flush(PATIENCE).await?;
    }
    ensure!(refused >= 2000, "only {refused} publishes were refused");
    pipeline.ensure_all_arrives(bridge, &Published::read(&file)?).await
}
