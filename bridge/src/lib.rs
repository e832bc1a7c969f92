//! `cdc-bridge`: moves messages from Solace queues, unopened, into the inbox of pg_cdc_ods.

pub mod generate;
