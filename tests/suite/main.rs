//! Integration tests: the commands, the engines against their oracles, the cluster.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it should do")]

mod conformance;
mod delivery;
mod hostile;
mod install;
mod interop;
mod nodes;
mod registry;
mod release;
mod sample;
mod support;
