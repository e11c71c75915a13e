//! What containerd unpacks reaches the disk while the import still goes on.
//!
//! Unpacked layers are left to the kernel's write-back, which begins after half a minute. Two things follow: a node that loses power soon after
//! an import has images whose files are empty, though every record says that they are complete; and whatever next waits for the disk,
//! the start of a pod for example, waits for all of it. So the file system is told to write every now and then, when there is time for it anyway.

use std::{fs::File, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

/// Between the end of one round and the next. Long enough that short-lived files never reach the disk, short enough that a round is short.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes out what containerd's file system holds back, again and again.
pub(crate) async fn now_and_then() -> ! {
    loop {
        sleep(PAUSE).await;
        // Only a panic could fail it.
        let _ = spawn_blocking(write_out).await;
    }
}

/// Begins to write out what is left, for which nobody waits: it is little, and who ends in the middle of this call ends after it.
pub(crate) fn begin() {
    spawn_blocking(write_out);
}

/// Returns when everything is on the disk (syncfs(2)).
///
/// This pod's own root stands on a snapshot, so it reaches the file system that the snapshotter uses, through an overlay as well (Linux, `ovl_sync_fs`).
/// A failure is no failure of the import: the kernel writes what is left in its own time, as it does after every other import.
fn write_out() {
    let _ = File::open("/").map(rustix::fs::syncfs);
}
