//! Primes for RSA keys, found by a sieve: most of the time goes into tests of numbers that are none.

use num_bigint_dig::prime::probably_prime;
use num_bigint_dig::{BigUint, RandBigInt as _};
use rand_core::OsRng;

/// Numbers with a factor below this are never tested.
const SIEVE: usize = 1 << 14;
/// How many odd numbers are looked at from one random start.
const WINDOW: usize = 4096;

/// A prime of so many bits, the two highest set, that fits the exponent 65537 (FIPS 186-5, A.1.3; searched upwards from a random
/// number, as OpenSSL's `probable_prime` does).
pub(super) fn prime(bits: usize) -> BigUint {
    let small = small_primes();
    loop {
        let half = BigUint::from(1_u8) << (bits - 2);
        let start: BigUint = (OsRng.gen_biguint(bits - 2) + &half + &half + &half) | BigUint::from(1_u8);
        let composite = sieve(&start, &small);
        for at in (0..WINDOW).filter(|at| !composite[*at]) {
            let candidate = &start + BigUint::from(2 * at);
            let fits = candidate.bits() == bits && remainder(&digits(&candidate), 65_537) != 1;
            if fits && probably_prime(&candidate, rounds(bits)) {
                return candidate;
            }
        }
    }
}

/// How often a candidate is tested (FIPS 186-5, table B.1, as crypto/internal/fips140/rsa reads it); Lucas' test comes on top.
fn rounds(bits: usize) -> usize {
    match bits {
        1345.. => 4,
        476..=1344 => 5,
        _ => 20,
    }
}

/// Which of the odd numbers from `start` on have a small factor.
fn sieve(start: &BigUint, small: &[usize]) -> Vec<bool> {
    let mut composite = vec![false; WINDOW];
    let digits = digits(start);
    for prime in small {
        // start + 2 * first = 0 (mod prime); the inverse of 2 is (prime + 1) / 2.
        let missing = (prime - remainder(&digits, *prime)) % prime;
        let first = missing * prime.div_ceil(2) % prime;
        composite.iter_mut().skip(first).step_by(*prime).for_each(|found| *found = true);
    }
    composite
}

/// Four bytes each, the highest first.
fn digits(number: &BigUint) -> Vec<u64> {
    let bytes = number.to_bytes_le();
    bytes.chunks(4).rev().map(|chunk| chunk.iter().rev().fold(0, |digit, byte| (digit << 8) | u64::from(*byte))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "it is less than `prime`")]
fn remainder(digits: &[u64], prime: usize) -> usize {
    digits.iter().fold(0, |rest, digit| ((rest << 32) | digit) % prime as u64) as usize
}

/// The odd primes below the limit.
fn small_primes() -> Vec<usize> {
    let mut composite = vec![false; SIEVE];
    let mut primes = Vec::new();
    for number in (3..SIEVE).step_by(2) {
        if !composite[number] {
            primes.push(number);
            (number * number..SIEVE).step_by(2 * number).for_each(|multiple| composite[multiple] = true);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_primes_of_their_size() {
        for bits in [512, 1024] {
            let found = prime(bits);
            assert_eq!((found.bits(), probably_prime(&found, 20)), (bits, true));
            assert_eq!(&found >> (bits - 2), BigUint::from(3_u8));
        }
    }

    #[test]
    fn the_sieve_leaves_what_has_no_small_factor() {
        assert_eq!(small_primes()[..5], [3, 5, 7, 11, 13]);
        let start = BigUint::from(1_000_000_001_u64);
        let composite = sieve(&start, &[3, 5, 7]);
        for (at, found) in composite.iter().enumerate() {
            let number = 1_000_000_001 + 2 * at as u64;
            assert_eq!(*found, [3, 5, 7].iter().any(|prime| number.is_multiple_of(*prime)), "{number}");
        }
    }
}
