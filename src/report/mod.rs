//! What people see: data on standard output, talk on standard error. The only module that writes to the terminal.

pub mod evidence;
mod failure;
pub mod html;
mod printer;
mod progress;
pub mod prompt;
pub mod text;

/// Sends what the program logs inside to standard error (`--debug`).
pub fn show_log() {
    let filter = tracing_subscriber::EnvFilter::new("offline=debug,warn");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

pub use printer::{Format, Printer};
