//! Verifying DSA (FIPS 186-4, section 4.7): an algorithm that is gone from libraries, and not from keyrings. Only public numbers are in it.

use num_bigint_dig::BigUint;

/// Whether the numbers `r` and `s` are a signature over the hash.
#[expect(clippy::many_single_char_names, reason = "they are called so in the standard")]
pub(super) fn verifies(key: &[Vec<u8>; 4], hash: &[u8], [r, s]: [&[u8]; 2]) -> bool {
    let [p, q, g, y] = key.each_ref().map(|number| BigUint::from_bytes_be(number));
    let [r, s] = [r, s].map(BigUint::from_bytes_be);
    let (zero, two) = (BigUint::default(), BigUint::from(2_u8));
    if q < two || p <= q || r == zero || s == zero || r >= q || s >= q {
        return false;
    }
    let hash = BigUint::from_bytes_be(&hash[..hash.len().min(q.bits().div_ceil(8))]);
    // `q` is a prime, so this is the inverse.
    let w = s.modpow(&(&q - &two), &q);
    let (u1, u2) = (hash * &w % &q, &r * w % &q);
    g.modpow(&u1, &p) * y.modpow(&u2, &p) % &p % q == r
}
