//! The integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it should do")]

mod hostile;
mod interop;
mod sample;
