//! Carries applications into Kubernetes clusters that cannot reach the internet.
//!
//! The modules are layers; docs/architecture.md has the map, tests/suite/tidy.rs keeps it.
#![forbid(unsafe_code)]

pub mod archive;
pub mod chart;
pub mod cli;
pub mod cluster;
pub mod context;
pub mod delivery;
pub mod failure;
pub mod goyaml;
pub mod images;
pub mod io;
pub mod objects;
pub mod oci;
pub mod openpgp;
pub mod ops;
mod parallel;
pub mod progress;
pub mod proxy;
pub mod redact;
pub mod registry;
pub mod report;
pub mod rewrite;
pub mod semver;
pub mod signing;
pub mod source;
pub mod store;
pub mod tag_policy;
mod tls;
pub mod transport;
pub mod tree;
