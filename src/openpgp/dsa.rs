//! Verifying DSA (FIPS 186-4, section 4.7): an algorithm that is gone from libraries, and not from keyrings. Only public numbers are in it.

use num_bigint_dig::BigUint;

/// Whether the numbers `r` and `s` are a signature over the hash.
pub(super) fn verifies([p, q, g, y]: [&[u8]; 4], hash: &[u8], [r, s]: [&[u8]; 2]) -> bool {
    let [p, q, g, y, r, s] = [p, q, g, y, r, s].map(BigUint::from_bytes_be);
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
