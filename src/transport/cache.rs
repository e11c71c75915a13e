//! The blocks that were read last. Headers and documents are small and near each other; layers are read in large pieces, past this.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 64 << 10;
/// Blocks that are asked for at a time where reading goes on.
pub(super) const AHEAD: u64 = 16;
/// Blocks that are kept: 8 MiB.
const BLOCKS: usize = 128;

/// Blocks by their number, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Cache(VecDeque<(u64, Bytes)>);

impl Cache {
    /// A block, where it is here.
    pub(super) fn get(&mut self, number: u64) -> Option<Bytes> {
        let at = self.0.iter().position(|(known, _)| *known == number)?;
        let entry = self.0.remove(at)?;
        let bytes = entry.1.clone();
        self.0.push_back(entry);
        Some(bytes)
    }

    /// Whether a block is here.
    pub(super) fn has(&self, number: u64) -> bool {
        self.0.iter().any(|(known, _)| *known == number)
    }

    /// Keeps the whole blocks of what was read from the beginning of one on; the last one of a file may be shorter.
    pub(super) fn put(&mut self, first: u64, bytes: &Bytes, length: u64) {
        let mut number = first;
        let mut at = 0;
        while at < bytes.len() {
            let size = usize::try_from(BLOCK.min(length - number * BLOCK)).unwrap_or(usize::MAX);
            if bytes.len() - at < size {
                return;
            }
            self.0.retain(|(known, _)| *known != number);
            // A copy: a slice would keep all that was read at once.
            self.0.push_back((number, Bytes::copy_from_slice(&bytes[at..at + size])));
            at += size;
            number += 1;
        }
        while self.0.len() > BLOCKS {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_kept_and_the_oldest_go() {
        let mut cache = Cache::default();
        let block = usize::try_from(BLOCK).unwrap();
        let bytes = Bytes::from(vec![7; 2 * block + 10]);
        cache.put(3, &bytes, 6 * BLOCK);
        assert!(cache.has(3) && cache.has(4) && !cache.has(5));
        cache.put(3, &bytes, 5 * BLOCK + 10);
        assert_eq!(cache.get(5).unwrap().len(), 10);
        for number in 10..10 + BLOCKS as u64 - 1 {
            cache.put(number, &bytes.slice(..block), u64::MAX);
        }
        assert!(cache.has(5) && !cache.has(4), "what was used last stays");
    }
}
