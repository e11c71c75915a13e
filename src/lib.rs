//! Carries applications into Kubernetes clusters that cannot reach the internet.
//!
//! The modules in the order of their layers; docs/architecture.md has the map, tests/suite/tidy.rs keeps it.

pub mod context;
pub mod cluster;
pub mod delivery;
pub mod failure;
pub mod goyaml;
pub mod archive;
pub mod context;
pub mod delivery;
pub mod failure;
pub mod io;
pub mod chart;
pub mod delivery;
pub mod failure;
pub mod goyaml;
pub mod objects;
pub mod archive;
pub mod chart;
pub mod cluster;
pub mod delivery;
pub mod failure;
pub mod goyaml;
pub mod io;
pub mod oci;
pub mod ops;
pub mod progress;
pub mod redact;
pub mod registry;
pub mod report;
pub mod signing;
pub mod rewrite;
pub mod tree;
