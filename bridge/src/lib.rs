//! `cdc-bridge`: moves messages from Solace queues, unopened, into the inbox of pg_cdc_ods.

mod backoff;
pub mod check;
pub mod config;
pub mod generate;
mod generate_publisher;
mod inbox;
pub mod logging;
pub mod replay;
pub mod run;
pub mod secret;
pub mod shutdown;
pub mod solace;
