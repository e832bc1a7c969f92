//! What tests, the demonstration and the benchmark share: private clusters, control of processes, and the reference model
//! of the e-commerce preset.

pub mod bridge;
pub mod broker;
pub mod cluster;
pub mod generator;
pub mod histogram;
pub mod memory;
pub mod model;
pub mod paths;
pub mod process;
mod processor_time;
mod published;
mod wait;

pub use processor_time::processor_time;
pub use published::Published;
pub use wait::wait_until;
