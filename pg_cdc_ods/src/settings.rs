//! The settings `pg_cdc_ods.*`.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

/// Messages applied in one transaction.
pub(crate) static BATCH_SIZE: GucSetting<i32> = GucSetting::<i32>::new(10_000);
/// Size from which a partition of the inbox is left for the next one and emptied, in kB.
pub(crate) static ROTATION_SIZE_KB: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);
/// How long the apply worker sleeps when nobody wakes it, in milliseconds.
pub(crate) static NAPTIME_MS: GucSetting<i32> = GucSetting::<i32>::new(1_000);

/// Defines all settings; called once when the library is loaded.
pub(crate) fn init() {
    GucRegistry::define_int_guc(
        c"pg_cdc_ods.batch_size",
        c"Messages applied in one transaction.",
        c"Larger batches are faster; smaller ones hold locks for a shorter time.",
        &BATCH_SIZE,
        1,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
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
        c"pg_cdc_ods.naptime",
        c"How long the apply worker sleeps when nobody wakes it.",
        c"Arriving messages wake it at once; this bounds the delay if a wake-up is lost.",
        &NAPTIME_MS,
        10,
        60_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
}
