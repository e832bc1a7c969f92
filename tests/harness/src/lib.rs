//! What tests share: private clusters, and the reference model of the e-commerce preset.

pub mod cluster;
pub mod model;
