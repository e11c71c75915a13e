//! Starts the agent: joins the parts that the pod's Secrets brought, inflates them, checks the digest and runs the result from memory.
//!
//! Usage: `offline-loader FOLDER SHA256 ARGUMENTS…`, with FOLDER holding `agent.0`, `agent.1`, … (raw deflate, RFC 1951).
//!
//! A Secret holds at most 1 MiB, so the agent comes in parts. It runs from a memfd: nothing is written to the node, and `noexec` mounts do
//! not matter. The digest is checked because the kubelet refreshes mounted Secrets, and a mixture of two versions must not run.
#![forbid(unsafe_code)]

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Command, ExitCode},
};

use sha2::{Digest as _, Sha256};

/// More than any agent needs; an inflated file that grows beyond is no agent.
const AGENT_MAX: usize = 32 << 20;

fn main() -> ExitCode {
    let error = match run() {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // stderr is all there is; if it is closed nobody can be told.
    let _ = writeln!(io::stderr(), "offline-loader: {error}");
    ExitCode::from(70)
}

fn run() -> Result<std::convert::Infallible, String> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, digest, rest @ ..] = arguments.as_slice() else {
        return Err("usage: offline-loader FOLDER SHA256 ARGUMENTS".to_owned());
    };
    let agent =
        miniz_oxide::inflate::decompress_to_vec_with_limit(&join(folder)?, AGENT_MAX).map_err(|e| format!("cannot inflate the agent in {folder}: {e}"))?;
    let got = hex(&Sha256::digest(&agent));
    if got != *digest {
        return Err(format!("the agent in {folder} has sha256 {got}, wanted {digest}: the Secrets are not of one version"));
    }
    Err(execute(&agent, rest))
}

fn join(folder: &str) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    for part in 0.. {
        let path = format!("{folder}/agent.{part}");
        match fs::read(&path) {
            Ok(bytes) => all.extend(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound && part > 0 => break,
            Err(e) => return Err(format!("cannot read {path}: {e}")),
        }
    }
    Ok(all)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns only if that failed, with the reason.
fn execute(agent: &[u8], arguments: &[String]) -> String {
    // Closed on exec: the kernel has opened the program by then, and a binary needs its descriptor no more.
    let file = match rustix::fs::memfd_create("offline-agent", rustix::fs::MemfdFlags::CLOEXEC) {
        Ok(descriptor) => File::from(descriptor),
        Err(e) => return format!("cannot make a file in memory (memfd_create): {e}"),
    };
    if let Err(e) = (&file).write_all(agent) {
        return format!("cannot write {} bytes into memory: {e}", agent.len());
    }
    let error = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).args(arguments).exec();
    format!("cannot run the agent from memory: {error} (sysctl vm.memfd_noexec=2 forbids it)")
}
