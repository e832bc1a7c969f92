//! What is measured. [`ALL`] is the list; each entry gives one [`Reading`] a round.

mod apply;
mod decode;
mod hot_product;
pub(crate) mod pathway;
mod pipeline;
mod push;
mod sql_pipeline;
mod staging;
mod store;
mod unnest_limit;
mod worker;
mod xml;

use apply::{Calls, Features};
use decode::Shape;
use pipeline::Pace;
use push::Requests;
use sql_pipeline::{Input, Steps};

use crate::bench::Bench;
use crate::round::Round;
use crate::stopwatch::Reading;

/// Something that is measured once a round.
#[derive(Debug)]
pub(crate) struct Measure {
    /// What it is called on the command line and in JSON. The batch is its last part.
    pub(crate) name: &'static str,
    /// What it is called in the table.
    pub(crate) title: &'static str,
    work: Work,
}

/// What is done.
#[derive(Debug)]
enum Work {
    /// COPY of topic and payload into a logged text table, in one go.
    Copy,
    /// COPY into the inbox as the bridge does it.
    InboxCopy,
    /// The hand-written pipeline.
    Sql { steps: Steps, input: Input, batch: usize },
    /// Upserts of typed arrays that lie in the server.
    UnnestLimit { batch: usize },
    /// Decoding without a server.
    Decode(Shape),
    /// Upserts and two joins in Pathway.
    Pathway,
    /// `cdc.apply()` over a full inbox.
    Apply { features: Features, calls: Calls, batch: usize },
    /// The apply worker over a full inbox.
    Worker { batch: usize },
    /// `cdc.apply()` with many rows in the tables.
    Store,
    /// `cdc.apply()` with many sources attached.
    ManySources,
    /// The worker, batch by batch; a product in very many orders changes meanwhile, or not.
    HotProduct { changes: bool },
    /// A large XML document.
    Xml,
    /// The bridge empties the broker's queue, and the worker applies.
    FromQueue,
    /// As messages are sent to the broker, bridge and worker apply them.
    AtPace(Pace),
    /// The push worker empties the outbox.
    Push(Requests),
}

const fn measure(name: &'static str, title: &'static str, work: Work) -> Measure {
    Measure { name, title, work }
}

const fn sql(name: &'static str, title: &'static str, steps: Steps, input: Input, batch: usize) -> Measure {
    measure(name, title, Work::Sql { steps, input, batch })
}

const fn apply(name: &'static str, title: &'static str, features: Features, batch: usize) -> Measure {
    measure(name, title, Work::Apply { features, calls: Calls::One, batch })
}

const fn apply_each(name: &'static str, title: &'static str, batch: usize) -> Measure {
    measure(name, title, Work::Apply { features: Features::Preset, calls: Calls::OneForEachBatch, batch })
}

/// All measures in the order of a round.
pub(crate) const ALL: &[Measure] = &[
    measure("copy", "raw COPY of the messages into a text table", Work::Copy),
    measure("inbox_copy", "COPY into cdc.inbox, in batches of 1,000", Work::InboxCopy),
    measure("serde_json_tree", "serde_json on one core: whole tree", Work::Decode(Shape::Tree)),
    measure("serde_json_raw", "serde_json: envelope with raw rows", Work::Decode(Shape::RawRows)),
    measure("serde_json_typed", "serde_json: envelope and typed row", Work::Decode(Shape::TypedRow)),
    measure("pathway", "Pathway: upserts and two joins, no XML", Work::Pathway),
    measure("unnest_limit_10000", "limit: arrays in the server, 10,000", Work::UnnestLimit { batch: 10_000 }),
    measure("unnest_limit_1000", "limit: arrays in the server, 1,000", Work::UnnestLimit { batch: 1_000 }),
    sql("sql_copy_apply_10000", "SQL pipeline, COPY + apply, 10,000", Steps::All, Input::Copied, 10_000),
    sql("sql_copy_apply_1000", "SQL pipeline, COPY + apply, 1,000", Steps::All, Input::Copied, 1_000),
    sql("sql_apply_10000", "SQL pipeline, apply alone, 10,000", Steps::All, Input::Staged, 10_000),
    sql("sql_apply_1000", "SQL pipeline, apply alone, 1,000", Steps::All, Input::Staged, 1_000),
    sql("sql_upserts_10000", "SQL pipeline, upserts only, 10,000", Steps::Upserts, Input::Staged, 10_000),
    sql("sql_upserts_1000", "SQL pipeline, upserts only, 1,000", Steps::Upserts, Input::Staged, 1_000),
    apply("apply_10000", "cdc.apply(), whole preset, 10,000", Features::Preset, 10_000),
    apply("apply_1000", "cdc.apply(), whole preset, 1,000", Features::Preset, 1_000),
    apply_each("apply_each_10000", "cdc.apply(10000), whole preset, each batch a transaction", 10_000),
    apply_each("apply_each_1000", "cdc.apply(1000), whole preset, each batch a transaction", 1_000),
    apply("apply_same_10000", "cdc.apply(), the SQL pipeline's work, 10,000", Features::SameWork, 10_000),
    apply("apply_same_1000", "cdc.apply(), the SQL pipeline's work, 1,000", Features::SameWork, 1_000),
    apply("apply_upserts_10000", "cdc.apply(), upserts only, 10,000", Features::UpsertsOnly, 10_000),
    apply("apply_upserts_1000", "cdc.apply(), upserts only, 1,000", Features::UpsertsOnly, 1_000),
    measure("worker_10000", "apply worker, whole preset, 10,000", Work::Worker { batch: 10_000 }),
    measure("worker_1000", "apply worker, whole preset, 1,000", Work::Worker { batch: 1_000 }),
    measure("many_sources", "cdc.apply() with 200 sources attached", Work::ManySources),
    measure("grown_store", "cdc.apply() over a grown store", Work::Store),
    measure("calm_product", "apply worker, no large change", Work::HotProduct { changes: false }),
    measure("hot_product", "apply worker, a hot product changes", Work::HotProduct { changes: true }),
    measure("xml", "an XML document of 5 MB", Work::Xml),
    measure("broker_to_applied", "broker to applied, whole preset", Work::FromQueue),
    measure("latency_5000", "at 5,000 events a minute", Work::AtPace(Pace::EventsPerMinute(5_000))),
    measure("latency_10000", "at 10,000 events a minute", Work::AtPace(Pace::EventsPerMinute(10_000))),
    measure("latency_half", "at half of broker to applied", Work::AtPace(Pace::OfHighest(0.5))),
    measure("overload", "at 1.2 of broker to applied", Work::AtPace(Pace::OfHighest(1.2))),
    measure("push_batches", "push worker, 100 to a request", Work::Push(Requests::Batches)),
    measure("push_singly", "push worker, one to a request", Work::Push(Requests::Singly)),
];

impl Measure {
    /// Whether `name` is its name, or the part before the batch.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let family = self.name.trim_end_matches(|character: char| character.is_ascii_digit());
        name == self.name || family.strip_suffix('_') == Some(name)
    }

    /// Whether it needs Pathway.
    pub(crate) fn is_of_pathway(&self) -> bool {
        matches!(self.work, Work::Pathway)
    }

    /// Whether it is of interest how many events go, so that ratios of the rates say something.
    pub(crate) fn is_of_a_rate(&self) -> bool {
        !matches!(self.work, Work::Xml | Work::AtPace(_) | Work::Push(_))
    }

    /// Prepares, measures, and checks what came of it. `round` has what was measured before.
    ///
    /// # Errors
    /// If something fails, or the end state is wrong.
    pub(crate) async fn take(&self, bench: &Bench, round: &Round) -> anyhow::Result<Reading> {
        match self.work {
            Work::Copy => staging::copy(bench).await,
            Work::InboxCopy => staging::inbox_copy(bench).await,
            Work::Sql { steps, input, batch } => sql_pipeline::run(bench, steps, input, batch).await,
            Work::UnnestLimit { batch } => unnest_limit::run(bench, batch).await,
            Work::Decode(shape) => decode::run(bench, shape),
            Work::Pathway => pathway::run(bench),
            Work::Apply { features, calls, batch } => apply::run(bench, features, calls, batch).await,
            Work::Worker { batch } => worker::run(bench, batch).await,
            Work::Store => store::run(bench).await,
            Work::ManySources => apply::with_many_sources(bench).await,
            Work::HotProduct { changes } => hot_product::run(bench, changes).await,
            Work::Xml => xml::run(bench).await,
            Work::FromQueue => pipeline::from_queue(bench).await,
            Work::AtPace(pace) => pipeline::at_pace(bench, round, pace).await,
            Work::Push(requests) => push::run(bench, requests).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_measure_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_batch_is_no_part_of_the_family() {
        let measure = ALL.iter().find(|measure| measure.name == "apply_1000").unwrap();
        assert!(measure.is_called("apply") && measure.is_called("apply_1000"));
        assert!(!measure.is_called("apply_") && !measure.is_called("apply_10000"));
        assert!(ALL[0].is_called("copy"));
    }
}
