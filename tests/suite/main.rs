//! The integration tests, in one binary.

mod hostile;
mod interop;
mod sample;
