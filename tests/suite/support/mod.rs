//! What tests start and stop.

pub mod registry;
