//! Chance, and what time it is: the two things that a template sees and its input does not decide.
//!
//! A chart may name an object after either (`{{ randAlphaNum 5 }}`, `{{ now | unixEpoch }}`). Where a rendering is looked at and not applied, both
//! are the same each time, on every machine ([`RenderOptions::repeatable`](super::RenderOptions)): what is found is then a function of the chart and
//! the values. As with the account of a run (`meter`), a run is one thread, and this is the thread's.

use std::cell::Cell;

use jiff::Timestamp;
use rand_core::{CryptoRng, OsRng, RngCore};
use sha2::{Digest as _, Sha256};

/// What time it is in a rendering that is looked at: 2024-01-01T00:00:00Z, in seconds from 1970.
const THEN: i64 = 1_704_067_200;

thread_local! {
    /// How often chance was asked, where it repeats.
    static ASKED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// While it lives, chance repeats on this thread.
#[must_use]
pub(in crate::chart) struct Repeating {
    before: Option<u64>,
}

impl Drop for Repeating {
    fn drop(&mut self) {
        ASKED.set(self.before);
    }
}

/// Makes chance repeat from its beginning, or leaves it as it is.
pub(in crate::chart) fn repeat(repeatable: bool) -> Repeating {
    let before = ASKED.get();
    if repeatable {
        ASKED.set(Some(0));
    }
    Repeating { before }
}

/// Whether chance repeats.
pub(in crate::chart) fn repeats() -> bool {
    ASKED.get().is_some()
}

/// Fills with random bytes.
pub(in crate::chart) fn fill(bytes: &mut [u8]) -> Result<(), String> {
    match ASKED.get() {
        None => getrandom::fill(bytes).map_err(|e| e.to_string()),
        Some(asked) => {
            ASKED.set(Some(asked + 1));
            Source::repeating(asked).fill_bytes(bytes);
            Ok(())
        }
    }
}

/// What time it is.
pub(in crate::chart) fn now() -> Timestamp {
    if repeats() { Timestamp::from_second(THEN).unwrap_or(Timestamp::UNIX_EPOCH) } else { Timestamp::now() }
}

/// Random numbers for what takes many of them, and may take them on another thread.
pub(in crate::chart) struct Source {
    repeats: Option<(u64, u64)>,
}

impl Source {
    /// `number` tells those apart that repeat.
    pub(in crate::chart) fn new(number: u64) -> Self {
        if repeats() { Self::repeating(number) } else { Self { repeats: None } }
    }

    fn repeating(number: u64) -> Self {
        Self { repeats: Some((number, 0)) }
    }
}

impl RngCore for Source {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let Some((number, block)) = &mut self.repeats else { return OsRng.fill_bytes(bytes) };
        for piece in bytes.chunks_mut(32) {
            let hash = Sha256::new().chain_update(number.to_be_bytes()).chain_update(block.to_be_bytes()).finalize();
            piece.copy_from_slice(&hash[..piece.len()]);
            *block += 1;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// One that repeats is no secret, and is for nothing that is kept.
impl CryptoRng for Source {}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> [u8; 4] {
        let mut bytes = [0; 4];
        fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn chance_repeats_only_where_that_was_said() {
        let pair = || {
            let _repeating = repeat(true);
            (four(), four(), now())
        };
        let (first, second, then) = pair();
        assert_ne!(first, second);
        assert_eq!((first, second, then), pair());
        assert!(!repeats() && now() > then);
        assert_ne!([four(), four(), four(), four()], [four(), four(), four(), four()]);
    }
}
