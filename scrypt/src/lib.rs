//! scrypt (RFC 7914) in half the memory that its definition takes.
//!
//! cosign's keys ask for N=65536 and r=8: a table of 64 MiB, more than all the rest of an export needs. Here only every second row is kept, or
//! every fourth of twice as many; the others are computed again when they are looked up. The result is the same, a quarter later. Only r=8 and
//! p=1 are known here, because nothing else is accepted in keys.

use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Words of a row: 128·r bytes.
const ROW: usize = 256;
/// Words of what Salsa20 works on.
const BLOCK: usize = 16;
/// Rows that are kept at most: 32 MiB.
const KEPT: usize = 32_768;

type Row = [u32; ROW];

/// Derives a key of 32 bytes with r=8 and p=1. `n` is a power of two.
pub fn derive(password: &[u8], salt: &[u8], n: usize) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; ROW * 4]);
    pbkdf2_hmac::<Sha256>(password, salt, 1, &mut *bytes);
    let mut row: Row = [0; ROW];
    for (word, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    mix_rows(&mut row, n);
    for (word, bytes) in row.iter().zip(bytes.as_chunks_mut().0) {
        *bytes = word.to_le_bytes();
    }
    row.zeroize();
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2_hmac::<Sha256>(password, &*bytes, 1, &mut *key);
    key
}

/// RFC 7914 section 5, scryptROMix.
fn mix_rows(row: &mut Row, n: usize) {
    let step = (n / KEPT).max(1);
    let mut kept: Vec<Row> = Vec::with_capacity(n / step);
    for i in 0..n {
        if i.is_multiple_of(step) {
            kept.push(*row);
        }
        mix_blocks(row);
    }
    for _ in 0..n {
        // Integerify: the first word of the last block; n is no more than 2^32.
        let at = row[ROW - BLOCK] as usize & (n - 1);
        let mut found = kept[at / step];
        for _ in 0..at % step {
            mix_blocks(&mut found);
        }
        for (word, other) in row.iter_mut().zip(found) {
            *word ^= other;
        }
        mix_blocks(row);
    }
}

/// RFC 7914 section 4, scryptBlockMix.
fn mix_blocks(row: &mut Row) {
    let mut out: Row = [0; ROW];
    let (blocks, _) = row.as_chunks::<BLOCK>();
    let mut last = blocks[blocks.len() - 1];
    for (i, block) in blocks.iter().enumerate() {
        for (word, other) in last.iter_mut().zip(block) {
            *word ^= other;
        }
        salsa(&mut last);
        // Even blocks first, then the odd ones.
        let at = (i / 2 + (i % 2) * (ROW / BLOCK / 2)) * BLOCK;
        out[at..at + BLOCK].copy_from_slice(&last);
    }
    *row = out;
}

/// RFC 7914 section 3, Salsa20/8 Core.
fn salsa(block: &mut [u32; BLOCK]) {
    let mut x = *block;
    for _ in 0..4 {
        for lanes in [[0, 4, 8, 12], [5, 9, 13, 1], [10, 14, 2, 6], [15, 3, 7, 11]] {
            quarter(&mut x, lanes);
        }
        for lanes in [[0, 1, 2, 3], [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]] {
            quarter(&mut x, lanes);
        }
    }
    for (word, mixed) in block.iter_mut().zip(x) {
        *word = word.wrapping_add(mixed);
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "thrice as slow when it is a call")]
fn quarter(words: &mut [u32; BLOCK], [a, b, c, d]: [usize; 4]) {
    words[b] ^= words[a].wrapping_add(words[d]).rotate_left(7);
    words[c] ^= words[b].wrapping_add(words[a]).rotate_left(9);
    words[d] ^= words[c].wrapping_add(words[b]).rotate_left(13);
    words[a] ^= words[d].wrapping_add(words[c]).rotate_left(18);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_that_of_the_specification() {
        // RFC 7914 section 8: the first words of input and output.
        let input = "7e879a214f3ec9867ca940e641718f26baee555b8c61c1b50df846116dcd3b1dee24f319df9b3d8514121e4b5ac5aa3276021d2909c74829edebc68db8b8c25e";
        let output = "a41f859c6608cc993b81cacb020cef05044b2181a2fd337dfd7b1c6396682f29b4393168e3c9e6bcfe6bc5b7a06d96bae424cc102c91745c24ad673dc7618f81";
        let words = |text: &str| -> [u32; BLOCK] { std::array::from_fn(|i| u32::from_str_radix(&text[i * 8..i * 8 + 8], 16).unwrap().swap_bytes()) };
        let mut block = words(input);
        salsa(&mut block);
        assert_eq!(block, words(output));
    }

    #[test]
    fn keys_are_those_of_a_whole_table() {
        // The second is the third vector of RFC 7914 section 12, cut to 32 bytes; the last two keep every second and every fourth row.
        for (password, salt, n) in [("", "", 16), ("pleaseletmein", "SodiumChloride", 16_384), ("p", "s", 65_536), ("p", "s", 131_072)] {
            let parameters = scrypt::Params::new(u8::try_from(usize::ilog2(n)).unwrap(), 8, 1, 32).unwrap();
            let mut wanted = [0; 32];
            scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &parameters, &mut wanted).unwrap();
            assert_eq!(*derive(password.as_bytes(), salt.as_bytes(), n), wanted, "n = {n}");
        }
        let published = [0x70, 0x23, 0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48];
        assert_eq!(derive(b"pleaseletmein", b"SodiumChloride", 16_384)[..8], published);
    }
}
