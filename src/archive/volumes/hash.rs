//! Digests of volumes, several at a time.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Bytes that are read and hashed at a time.
const CHUNK: usize = 1 << 20;
/// More threads than this wait for the disk.
const THREADS_MAX: usize = 8;

/// The digest of as many bytes; `read` fills a buffer from an offset on.
pub(crate) fn digest(size: u64, read: impl Fn(&mut [u8], u64) -> io::Result<()>) -> io::Result<Digest> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < size {
        let n = usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK);
        read(&mut buffer[..n], at)?;
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(Digest::from_raw(&hasher.finalize().into()))
}

/// What `one` gives for each number below `count`, in order; several threads work.
pub(crate) fn digests<T: Send>(count: usize, one: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(count));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(count);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < count) {
                    let result = one(at);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, result)| result).collect()
}
