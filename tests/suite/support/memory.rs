//! What a process takes.

use std::{fs, process::Child};

/// Peak resident memory of a process that still runs, in MiB. None before it is a program of its own: a child begins with our memory, and a busy
/// system lets us look before it has got rid of that.
pub(crate) fn peak(child: &Child) -> Option<u64> {
    let arguments = |process: &str| fs::read(format!("/proc/{process}/cmdline"));
    let process = child.id().to_string();
    if arguments(&process).ok()? == arguments("self").ok()? {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}
