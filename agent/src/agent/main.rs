//! The agent: a process on a node that puts images where the kubelet finds them.
//!
//! - `offline-agent idle` is the pod's main process: it serves blobs to other nodes and waits to be stopped.
//! - `offline-agent control` and `offline-agent data` are started by exec, one for each stream (see the library's first lines).
//!
//! It needs containerd's socket and nothing else of the node: everything it changes, it changes by asking containerd.
#![forbid(unsafe_code)]

mod buffers;
mod containerd;
mod control;
mod data;
mod error;
mod flush;
mod import;
mod peer;
mod stdio;

use std::{
    env::var,
    io::{Write as _, stderr},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use offline_agent::{PEER_PORT, env};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{
    containerd::Containerd,
    error::{Error, Result},
};

/// Should the pod not say: long enough for any import, and still an end.
const LIFETIME: u64 = 6 * 60 * 60;

/// After so long without a stream and without another node that asks for blobs, whoever started the pod is gone.
const ABANDONED: Duration = Duration::from_mins(5);

fn main() {
    // Otherwise `ps` shows the number of a file descriptor. Only a name: if it cannot be set, so be it.
    let _ = rustix::thread::set_name(c"offline-agent");
    let result = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(std::env::args().nth(1).as_deref())),
        Err(e) => Err(Error::unusable(format!("cannot start: {e}"))),
    };
    if let Err(e) = &result {
        // stderr is all there is.
        let _ = writeln!(stderr(), "offline-agent: {e}");
    }
    // Tasks that still run, or wait for an answer, must not hold the process.
    exit(i32::from(result.is_err()));
}

async fn run(mode: Option<&str>) -> Result<()> {
    let socket = var(env::SOCKET).unwrap_or_else(|_| "/run/containerd/containerd.sock".to_owned());
    match mode {
        Some("idle") => idle(&socket).await,
        Some("control") => control::run(&socket, var(env::POD_NAME).unwrap_or_default()).await,
        Some("data") => data::run(&socket).await,
        _ => Err(Error::protocol("usage: offline-agent idle|control|data")),
    }
}

async fn idle(socket: &str) -> Result<()> {
    // Process 1 of a container ignores signals that it does not handle.
    let mut stop = signal(SignalKind::terminate()).map_err(|e| Error::unusable(format!("cannot wait for signals: {e}")))?;
    let lifetime = var(env::LIFETIME).ok().and_then(|s| s.parse().ok()).unwrap_or(LIFETIME);
    let containerd = Containerd::connect(socket).await?;
    let served = Arc::new(AtomicU64::new(0));
    let serve = async {
        match var(env::TOKEN) {
            Ok(token) if !token.is_empty() => peer::serve(containerd, token, PEER_PORT, Arc::clone(&served)).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = stop.recv() => Ok(()),
        () = sleep(Duration::from_secs(lifetime)) => Ok(()),
        () = abandoned(&served) => Ok(()),
        // Without the server the other nodes' blobs take the longer way; the agent is of use all the same.
        failed = serve => {
            if let Err(e) = failed {
                let _ = writeln!(stderr(), "offline-agent: {e}");
            }
            tokio::select! {
                _ = stop.recv() => Ok(()),
                () = abandoned(&served) => Ok(()),
            }
        }
    }
}

/// Ends when nobody has needed this agent for a while. The pod then ends, and the cluster deletes its Job.
async fn abandoned(served: &AtomicU64) {
    let mut quiet = Duration::ZERO;
    let mut last = 0;
    let every = Duration::from_secs(15);
    while quiet < ABANDONED {
        sleep(every).await;
        let now = served.load(Ordering::Relaxed);
        quiet = if now == last && !has_streams() { quiet + every } else { Duration::ZERO };
        last = now;
    }
}

/// Whether there are other processes in this pod: each stream is one.
fn has_streams() -> bool {
    let number = |name: &std::ffi::OsStr| name.to_str().and_then(|n| n.parse::<u32>().ok());
    std::fs::read_dir("/proc").is_ok_and(|entries| entries.flatten().filter_map(|e| number(&e.file_name())).any(|pid| pid != std::process::id()))
}
