//! Parses the command line, runs it, exits with its code; nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for every connection of the process (rustls, crypto/mod.rs); a second call could only fail because the first did its work.
    let _ = rustls::crypto::ring::default_provider().install_default();
    offline::cli::main()
}
