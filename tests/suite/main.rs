//! Integration tests: the commands, the engines against their oracles, the cluster.

mod delivery;
mod nodes;
mod release;
//! The integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it should do")]

mod hostile;
mod interop;
mod sample;
