//! Integration tests: the commands, the engines against their oracles, the cluster.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it should do")]

mod delivery;
mod hostile;
mod interop;
mod nodes;
//! suite
mod install;
mod registry;
mod release;
mod sample;
mod support;
