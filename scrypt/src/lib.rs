//! scrypt (RFC 7914) in a sixth of the memory that its definition takes.
//!
//! cosign's keys ask for N=65536 and r=8: a table of 64 MiB, more than all the rest of an export needs. Here only every sixth row is kept, or
//! every twelfth of twice as many; the others are computed again when they are looked up. The result is the same, and it takes 40 % longer than
//! with the whole table, and no more, because a block's words stand in the order of its matrix' diagonals, where columns and rows are worked on
//! alike. Only r=8 and p=1 are known here, because nothing else is accepted in keys.
#![forbid(unsafe_code)]
#![expect(clippy::inline_always, reason = "a quarter slower when the smallest steps are calls")]

use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Blocks of a row: 2·r.
const BLOCKS: usize = 16;
/// Rows that are kept at most: 11 MiB.
const KEPT: usize = 11_000;

/// A diagonal of the matrix.
type Lane = [u32; 4];
/// What Salsa20 works on.
type Block = [Lane; 4];
type Row = [Block; BLOCKS];

/// The places of a block's words in its lanes.
const DIAGONALS: [[usize; 4]; 4] = [[0, 5, 10, 15], [4, 9, 14, 3], [8, 13, 2, 7], [12, 1, 6, 11]];

/// Derives a key of 32 bytes with r=8 and p=1. `n` is a power of two.
pub fn derive(password: &[u8], salt: &[u8], n: usize) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; BLOCKS * 64]);
    pbkdf2_hmac::<Sha256>(password, salt, 1, &mut *bytes);
    let mut row: Row = [[[0; 4]; 4]; BLOCKS];
    for (block, bytes) in row.iter_mut().zip(bytes.as_chunks::<64>().0) {
        *block = lanes(bytes);
    }
    mix_rows(&mut row, n);
    for (block, bytes) in row.iter().zip(bytes.as_chunks_mut::<64>().0) {
        put_lanes(block, bytes);
    }
    row.zeroize();
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2_hmac::<Sha256>(password, &*bytes, 1, &mut *key);
    key
}

fn lanes(bytes: &[u8; 64]) -> Block {
    let words = bytes.as_chunks::<4>().0;
    DIAGONALS.map(|places| places.map(|place| u32::from_le_bytes(words[place])))
}

fn put_lanes(block: &Block, bytes: &mut [u8; 64]) {
    let words = bytes.as_chunks_mut::<4>().0;
    for (lane, places) in block.iter().zip(DIAGONALS) {
        for (word, place) in lane.iter().zip(places) {
            words[place] = word.to_le_bytes();
        }
    }
}

/// RFC 7914 section 5, scryptROMix.
fn mix_rows(row: &mut Row, n: usize) {
    let step = n.div_ceil(KEPT);
    let mut kept: Vec<Row> = Vec::with_capacity(n.div_ceil(step));
    for i in 0..n {
        if i.is_multiple_of(step) {
            kept.push(*row);
        }
        mix_blocks(row);
    }
    for _ in 0..n {
        // Integerify: the first word of the last block; n is no more than 2^32.
        let at = row[BLOCKS - 1][0][0] as usize & (n - 1);
        let mut found = kept[at / step];
        for _ in 0..at % step {
            mix_blocks(&mut found);
        }
        for (block, other) in row.iter_mut().zip(&found) {
            *block = combined(block, other);
        }
        mix_blocks(row);
    }
}

/// RFC 7914 section 4, scryptBlockMix.
fn mix_blocks(row: &mut Row) {
    let mut out: Row = [[[0; 4]; 4]; BLOCKS];
    let mut last = row[BLOCKS - 1];
    for (i, block) in row.iter().enumerate() {
        last = salsa(combined(&last, block));
        // Even blocks first, then the odd ones.
        out[i / 2 + (i % 2) * (BLOCKS / 2)] = last;
    }
    *row = out;
}

#[inline(always)]
fn combined(block: &Block, other: &Block) -> Block {
    std::array::from_fn(|lane| xor(block[lane], other[lane]))
}

/// RFC 7914 section 3, Salsa20/8 Core: columns and rows in turn, between which the lanes are turned.
#[inline(always)]
fn salsa(block: Block) -> Block {
    let [mut a, mut b, mut c, mut d] = block;
    for _ in 0..8 {
        b = xor_turned::<7>(b, sum(a, d));
        c = xor_turned::<9>(c, sum(b, a));
        d = xor_turned::<13>(d, sum(c, b));
        a = xor_turned::<18>(a, sum(d, c));
        (b, c, d) = ([d[1], d[2], d[3], d[0]], [c[2], c[3], c[0], c[1]], [b[3], b[0], b[1], b[2]]);
    }
    [sum(a, block[0]), sum(b, block[1]), sum(c, block[2]), sum(d, block[3])]
}

#[inline(always)]
fn sum(a: Lane, b: Lane) -> Lane {
    std::array::from_fn(|i| a[i].wrapping_add(b[i]))
}

#[inline(always)]
fn xor(a: Lane, b: Lane) -> Lane {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// With the other rotated to the left.
#[inline(always)]
fn xor_turned<const BITS: u32>(a: Lane, b: Lane) -> Lane {
    std::array::from_fn(|i| a[i] ^ b[i].rotate_left(BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_that_of_the_specification() {
        // RFC 7914 section 8: the first words of input and output.
        let input = "7e879a214f3ec9867ca940e641718f26baee555b8c61c1b50df846116dcd3b1dee24f319df9b3d8514121e4b5ac5aa3276021d2909c74829edebc68db8b8c25e";
        let output = "a41f859c6608cc993b81cacb020cef05044b2181a2fd337dfd7b1c6396682f29b4393168e3c9e6bcfe6bc5b7a06d96bae424cc102c91745c24ad673dc7618f81";
        let bytes = |text: &str| -> [u8; 64] { std::array::from_fn(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap()) };
        let mut mixed = [0; 64];
        put_lanes(&salsa(lanes(&bytes(input))), &mut mixed);
        assert_eq!(mixed, bytes(output));
    }

    #[test]
    fn keys_are_those_of_a_whole_table() {
        // The second is the third vector of RFC 7914 section 12, cut to 32 bytes; of the last three every second, sixth and twelfth row is kept.
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
