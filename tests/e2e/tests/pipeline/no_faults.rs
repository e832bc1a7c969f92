//! Every process stays alive; only the messages are bad.

use e2e::{EVERY_FAULT, Pipeline, Traffic};

#[tokio::test(flavor = "multi_thread")]
async fn published_events_with_every_fault_end_in_the_rows_of_the_model() -> anyhow::Result<()> {
    let Some(pipeline) = Pipeline::start().await? else { return Ok(()) };
    let bridge = pipeline.start_bridge()?;
    let traffic = Traffic { changes: Some(20_000), per_minute: 0, seed: 11, faults: &EVERY_FAULT };
    let published = pipeline.start_generator(&traffic)?.finish().await?;
    pipeline.ensure_all_arrives(bridge, &published).await
}
