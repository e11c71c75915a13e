//! The integration suite: one program, tests by theme. `cluster_*` tests need the lab (`OFFLINE_LAB=1`), the others only the toolchain
//! and the packages of tests/lab/build.sh.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::zombie_processes,
    clippy::format_collect,
    clippy::await_holding_lock,
    reason = "a test that panics says where, and says why it did nothing"
)]

mod attachments;
mod attacks;
mod bad_input;
mod certificates;
mod cli_trust;
mod conformance;
mod containerd_images;
mod delivery;
mod delta;
mod discovery;
mod docking;
mod e2e;
mod extracting;
mod forge;
mod fuzz;
mod fuzz_archives;
mod hostile;
mod hostile_archives;
mod hostile_charts;
mod hostile_corpus;
mod image_sources;
mod install;
mod interop;
mod interop_cli;
mod lending;
mod looking;
mod nodes;
mod outcomes;
mod plain;
mod provenance;
mod pulling;
mod quickstart;
mod reach;
mod registry;
mod release;
mod resigning;
mod resuming;
mod sample;
mod sbom;
mod signatures;
mod sources;
mod support;
mod template;
mod tidy;
mod tls;
mod transport;
mod two_machines;
mod uploads;
mod volumes;
mod watch;
