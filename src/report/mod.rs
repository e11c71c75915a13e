//! What people see: data on standard output, talk on standard error. The only module that writes to the terminal.

mod failure;
mod printer;
mod progress;
pub mod text;

pub use printer::{Format, Printer};
