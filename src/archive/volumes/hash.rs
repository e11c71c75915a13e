//! Digests of volumes, and of other pieces of files.

use std::io;

use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Bytes that are read and hashed at a time.
const CHUNK: usize = 1 << 20;
/// Volumes that are hashed at a time; more threads than this wait for the disk.
pub(crate) const AT_ONCE: usize = 8;

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
