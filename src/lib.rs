//! Carries applications into Kubernetes clusters that cannot reach the internet.
//!
//! The modules in the order of their layers; docs/architecture.md has the map, tests/suite/tidy.rs keeps it.

pub mod chart;
pub mod delivery;
pub mod failure;
pub mod goyaml;
pub mod oci;
pub mod progress;
pub mod tree;
