//! What tests share: the reference model of the e-commerce preset.

pub mod model;
