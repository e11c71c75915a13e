//! Buffers for bulk that are used again.
//!
//! The allocator asks the kernel for anything over 128 KiB and gives it back at once (musl, `MMAP_THRESHOLD`), so each new buffer of a blob's bytes costs
//! a page fault for every 4 KiB: of an import of 340 MB, more processor time than all else that the agent does.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that lie ready.
#[derive(Clone, Default)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Buffers that are kept: what is on its way to containerd at a time, for several blobs.
const KEPT: usize = 8;
/// The largest that is kept.
const LARGEST: usize = 2 << 20;

impl Buffers {
    /// An empty buffer with room for so many bytes.
    pub(crate) fn take(&self, room: usize) -> Vec<u8> {
        let mut buffer = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.reserve(room);
        buffer
    }

    /// A buffer's bytes, for whoever sends them. Once nobody has them any more, the buffer lies ready again.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { bytes, home: self.clone() })
    }
}

struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && self.bytes.capacity() <= LARGEST {
            self.bytes.clear();
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_nobody_has_its_bytes() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(100);
        buffer.extend_from_slice(b"abc");
        let place = buffer.as_ptr();
        let bytes = buffers.lend(buffer);
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(&part[..], b"bc");
        assert!(buffers.free.lock().unwrap().is_empty(), "a part is still there");
        drop(part);
        let again = buffers.take(10);
        assert!(again.is_empty() && again.as_ptr() == place);
        drop(buffers.lend(Vec::with_capacity(LARGEST + 1)));
        assert!(buffers.free.lock().unwrap().is_empty(), "too large to be kept");
    }
}
