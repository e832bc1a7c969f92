//! The settings `pg_cdc_ods.*`.

use std::ffi::CString;

use cdc_core::{BareRows, DecodeSettings, XmlLimits};
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

/// Messages read and written at once.
pub(crate) static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10_000);
/// Payload bytes from which a batch takes no further message, in kB.
pub(crate) static BATCH_BYTES_KB: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
/// How long the apply worker puts full batches into one transaction, in milliseconds.
pub(crate) static TRANSACTION_TIME_MS: GucSetting<i32> = GucSetting::<i32>::new(1_000);
/// Whether a thread prepares the next batch while one is written.
pub(crate) static PREPARE_AHEAD: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Longest payload that is decoded, in kB.
pub(crate) static MAX_MESSAGE_KB: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
/// Whether rows that nothing marks as changes are read by their topics.
static BARE_ROWS: GucSetting<bool> = GucSetting::<bool>::new(false);
/// The role in whose name sources attach themselves; empty: they do not.
pub(crate) static AUTO_ATTACH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
/// The schema for the targets of sources that attach themselves.
pub(crate) static AUTO_ATTACH_SCHEMA: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"public"));
/// The key columns of sources that attach themselves and whose messages have no key.
pub(crate) static AUTO_ATTACH_KEY: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"id, {table}_id"));
/// Limits of XML documents; see [`xml_limits`].
static XML_MAX_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(XmlLimits::DEFAULT_DEPTH as i32);
static XML_MAX_BYTES_KB: GucSetting<i32> = GucSetting::<i32>::new((XmlLimits::DEFAULT_BYTES / 1024) as i32);
static XML_MAX_ROWS: GucSetting<i32> = GucSetting::<i32>::new(XmlLimits::DEFAULT_ROWS as i32);
static XML_MAX_TEXT_KB: GucSetting<i32> =
    GucSetting::<i32>::new((XmlLimits::DEFAULT_TEXT_BYTES / 1024) as i32);
static XML_MAX_TOTAL_TEXT_KB: GucSetting<i32> =
    GucSetting::<i32>::new((XmlLimits::DEFAULT_TOTAL_TEXT_BYTES / 1024) as i32);
/// Size from which a partition of the inbox is left for the next one and emptied, in kB.
pub(crate) static ROTATION_SIZE_KB: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);
/// Size from which a partition of the inbox takes no more messages, in kB; 0 is no limit.
pub(crate) static INBOX_LIMIT_KB: GucSetting<i32> = GucSetting::<i32>::new(4 * 1024 * 1024);
/// How long the apply worker sleeps when nobody wakes it, in milliseconds.
pub(crate) static NAPTIME_MS: GucSetting<i32> = GucSetting::<i32>::new(1_000);
/// How often a dead letter that time may heal is tried again by itself.
pub(crate) static DLQ_MAX_ATTEMPTS: GucSetting<i32> = GucSetting::<i32>::new(5);
/// Pause before the first of these attempts, in seconds; it doubles with each.
pub(crate) static DLQ_RETRY_DELAY_S: GucSetting<i32> = GucSetting::<i32>::new(30);
/// How long settled dead letters are kept, in minutes; 0 is for ever.
pub(crate) static DLQ_RETENTION_MIN: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);
/// How long deleted keys are remembered, in minutes; 0 is for ever.
pub(crate) static TOMBSTONE_RETENTION_MIN: GucSetting<i32> = GucSetting::<i32>::new(0);
/// How often the apply worker does the maintenance step, in seconds; 0 is never.
pub(crate) static MAINTENANCE_INTERVAL_S: GucSetting<i32> = GucSetting::<i32>::new(60);
/// Enriched rows that are made anew in one step, beyond those that a batch itself has changed.
pub(crate) static ENRICH_STEP: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// The ranges of addresses that endpoints may not have.
pub(crate) static PUSH_REFUSED_ADDRESSES: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"link_local"));
/// Documents that may wait for one endpoint.
pub(crate) static OUTBOX_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(1_000_000);
/// What happens beyond the limit.
pub(crate) static OUTBOX_OVERFLOW: GucSetting<OutboxOverflow> =
    GucSetting::<OutboxOverflow>::new(OutboxOverflow::DiscardNew);

/// What happens to documents for an endpoint for which too many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub(crate) enum OutboxOverflow {
    /// The new ones do not go into the outbox.
    #[name = c"discard_new"]
    DiscardNew,
    /// The oldest are taken out.
    #[name = c"discard_old"]
    DiscardOld,
}

/// Defines all settings; called once when the library is loaded.
pub(crate) fn init() {
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.batch_size",
        c"Messages read and written at once.",
        c"Larger batches are faster and take more memory.",
        &BATCH_SIZE,
        1,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.batch_bytes",
        c"Payload bytes from which a batch takes no further message.",
        c"Bounds the memory of a batch, which is some times as much.",
        &BATCH_BYTES_KB,
        64,
        1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.transaction_time",
        c"How long the apply worker puts full batches into one transaction.",
        c"Enriched rows are made anew once for all of them. 0: each batch has its own.",
        &TRANSACTION_TIME_MS,
        0,
        60_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_bool_guc(
        c"pg_cdc_ods.prepare_ahead",
        c"Whether a thread decodes the next full batch while one is written.",
        c"It takes a second core, and the memory of two more batches.",
        &PREPARE_AHEAD,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.max_message_size",
        c"Longest payload that is decoded.",
        c"A longer one becomes a dead letter of type TOO_LARGE.",
        &MAX_MESSAGE_KB,
        1,
        1024 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.inbox_rotation_size",
        c"Size from which a partition of cdc.inbox is emptied by truncation once it is applied.",
        c"The inbox has three partitions; this much of applied messages may wait in one.",
        &ROTATION_SIZE_KB,
        64,
        i32::MAX / 2,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.inbox_limit",
        c"Size from which the inbox takes no more messages until those that wait are applied.",
        c"Meanwhile they wait in the broker's queue. Of the partition that takes messages; 0 is no limit.",
        &INBOX_LIMIT_KB,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.naptime",
        c"How long the apply worker sleeps when nobody wakes it.",
        c"Arriving messages wake it at once; this bounds the delay if a wake-up is lost.",
        &NAPTIME_MS,
        10,
        60_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.enrich_step",
        c"Enriched rows that are made anew in one step at most.",
        c"A change that concerns more rows is worked off in steps between batches, short ones while events wait.",
        &ENRICH_STEP,
        1,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    source_settings();
    maintenance_settings();
    xml_settings();
    push_settings();
}

/// The settings of what is done with sources that nobody configured.
fn source_settings() {
    GucRegistry::define_bool_guc(
        c"pg_cdc_ods.bare_rows",
        c"Whether a body that is a plain row is read as a change, by its topic.",
        c"The topic then ends in schema, table and operation. Else such a message is a dead letter.",
        &BARE_ROWS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_cdc_ods.auto_attach",
        c"The role in whose name sources without a target attach themselves; empty: they do not.",
        c"Their targets are created from their first events. Else these are dead letters of type UNKNOWN_SOURCE.",
        &AUTO_ATTACH,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_cdc_ods.auto_attach_schema",
        c"The schema of the targets of sources that attach themselves.",
        c"A target has the name of its source table, in lower case.",
        &AUTO_ATTACH_SCHEMA,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_cdc_ods.auto_attach_key",
        c"Columns that may be the key of a source that attaches itself, if its messages have no key.",
        c"A list; the first column that an event has is taken. {table} stands for the table's name.",
        &AUTO_ATTACH_KEY,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// How messages are read.
pub(crate) fn decoding() -> DecodeSettings {
    DecodeSettings {
        payload_bytes_max: usize::try_from(MAX_MESSAGE_KB.get()).unwrap_or_default() * 1024,
        bare_rows: if BARE_ROWS.get() { BareRows::ByTopic } else { BareRows::Refuse },
    }
}

/// How much of an XML document is read before it is refused.
pub(crate) fn xml_limits() -> XmlLimits {
    let value = |setting: &GucSetting<i32>| usize::try_from(setting.get()).unwrap_or_default();
    XmlLimits {
        depth: value(&XML_MAX_DEPTH),
        bytes: value(&XML_MAX_BYTES_KB) * 1024,
        rows: value(&XML_MAX_ROWS),
        text_bytes: value(&XML_MAX_TEXT_KB) * 1024,
        total_text_bytes: value(&XML_MAX_TOTAL_TEXT_KB) * 1024,
    }
}

/// The limits of XML documents. They go to superusers: they guard the worker against whoever writes documents.
fn xml_settings() {
    let size = GucFlags::UNIT_KB;
    let settings = [
        (
            c"pg_cdc_ods.xml_max_depth",
            c"How deep elements of an XML document may stand in each other.",
            &XML_MAX_DEPTH,
            1_000,
            GucFlags::default(),
        ),
        (c"pg_cdc_ods.xml_max_bytes", c"Size of an XML document.", &XML_MAX_BYTES_KB, 1024 * 1024, size),
        (
            c"pg_cdc_ods.xml_max_rows",
            c"Rows of an XML document, those of nested tables included.",
            &XML_MAX_ROWS,
            10_000_000,
            GucFlags::default(),
        ),
        (
            c"pg_cdc_ods.xml_max_text_bytes",
            c"Length of one value of an XML document.",
            &XML_MAX_TEXT_KB,
            1024 * 1024,
            size,
        ),
        (
            c"pg_cdc_ods.xml_max_total_text_bytes",
            c"Length of all values of an XML document together.",
            &XML_MAX_TOTAL_TEXT_KB,
            1024 * 1024,
            size,
        ),
    ];
    for (name, text, setting, max, flags) in settings {
        let detail = c"A document beyond the limit is not extracted; see cdc.extract_xml().";
        GucRegistry::define_int_guc(name, text, detail, setting, 1, max, GucContext::Suset, flags);
    }
}

/// The settings of dead letters and of what is cleared away.
fn maintenance_settings() {
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.dlq_max_attempts",
        c"How often a dead letter that time may heal is tried again by itself; 0 is never.",
        c"Such are a missing target table, a missing right, and a foreign key whose row has not come yet.",
        &DLQ_MAX_ATTEMPTS,
        0,
        20,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.dlq_retry_delay",
        c"Pause before a dead letter is tried again by itself.",
        c"It doubles with each attempt.",
        &DLQ_RETRY_DELAY_S,
        1,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.dlq_retention",
        c"How long resolved and discarded dead letters are kept; 0 is for ever.",
        c"Those that are pending stay until somebody settles them.",
        &DLQ_RETENTION_MIN,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.tombstone_retention",
        c"How long deleted keys are remembered; 0 is for ever.",
        c"An event that is older than a delete and comes later than this brings the row back.",
        &TOMBSTONE_RETENTION_MIN,
        0,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.maintenance_interval",
        c"How often the apply worker calls cdc.maintain(); 0 is never.",
        c"It tries dead letters again and clears away what is older than the retention settings.",
        &MAINTENANCE_INTERVAL_S,
        0,
        86_400,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
}

/// The settings of the outbox and the push worker.
fn push_settings() {
    GucRegistry::define_string_guc(
        c"pg_cdc_ods.push_refused_addresses",
        c"Ranges of network addresses that endpoints may not have.",
        c"Names with commas between them: loopback, private, link_local, unique_local, multicast, reserved.",
        &PUSH_REFUSED_ADDRESSES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.outbox_limit",
        c"Documents that may wait in cdc.outbox for one endpoint.",
        c"Beyond it documents are discarded and counted; see pg_cdc_ods.outbox_overflow.",
        &OUTBOX_LIMIT,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"pg_cdc_ods.outbox_overflow",
        c"Which documents are discarded when too many wait for an endpoint.",
        c"discard_new: those that would come in; discard_old: those that have waited longest.",
        &OUTBOX_OVERFLOW,
        GucContext::Suset,
        GucFlags::default(),
    );
}
