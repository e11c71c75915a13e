//! The sieve: which numbers have a small factor. Most have one, and a test of a number costs as much as many divisions.

use std::sync::LazyLock;

use crate::number::Number;

/// Factors below this are looked for: with more of them, whoever makes but one key waits for the primes.
const LIMIT: usize = 1 << 18;
/// How many odd numbers are looked at from one start: a prime of 1024 bits is found within 355 in the mean.
pub(crate) const WINDOW: usize = 4096;
/// Products that a number is divided by side by side: one division waits for itself all the time.
const LANES: usize = 4;

static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| small_primes(LIMIT)[1..].as_chunks().0.iter().map(|primes| Product::new(*primes)).collect());

/// Three odd primes, so that one division of a long number serves them all.
struct Product {
    primes: [u64; 3],
    /// Below 2^54.
    value: u64,
    /// `-1 / value` modulo 2^64.
    inverse: u64,
    /// R² modulo the value, with R = 2^64.
    square: u64,
}

impl Product {
    fn new(primes: [u64; 3]) -> Self {
        let value: u64 = primes.iter().product();
        let inverse = crate::montgomery::inverse(value).wrapping_neg();
        let r = (u64::MAX % value) + 1;
        let square = u128::from(r) * u128::from(r) % u128::from(value);
        Self { primes, value, inverse, square: u64::try_from(square).expect("a remainder is less than the value") }
    }

    /// `sum / R`: at most the value more than the quotient of these two (Montgomery's reduction).
    #[expect(clippy::cast_possible_truncation, reason = "a double word is taken apart")]
    fn reduced(&self, sum: u128) -> u64 {
        let factor = (sum as u64).wrapping_mul(self.inverse);
        ((sum + u128::from(factor) * u128::from(self.value)) >> 64) as u64
    }
}

/// What is left of a number when it is divided by each product; it may be the value too much.
fn remainders<const N: usize>(number: &Number<N>, products: &[Product; LANES]) -> [u64; LANES] {
    let mut rests = [0; LANES];
    // number / R^N …
    for limb in number {
        for (rest, product) in rests.iter_mut().zip(products) {
            *rest = product.reduced(u128::from(*limb) + u128::from(*rest));
        }
    }
    // … times R^N: of R^(n + 1), which begins as R², a step makes R^(2n + 1) or R^(n + 2).
    let mut powers: [u64; LANES] = std::array::from_fn(|lane| products[lane].square);
    for at in (0..N.ilog2()).rev() {
        for (power, product) in powers.iter_mut().zip(products) {
            *power = product.reduced(u128::from(*power) * u128::from(*power));
            if N >> at & 1 == 1 {
                *power = product.reduced(u128::from(*power) * u128::from(product.square));
            }
        }
    }
    std::array::from_fn(|lane| products[lane].reduced(u128::from(rests[lane]) * u128::from(powers[lane])))
}

/// The small odd primes, each with what it leaves of a number.
fn rests<const N: usize>(number: &Number<N>) -> impl Iterator<Item = (u64, u64)> {
    PRODUCTS.as_chunks().0.iter().flat_map(|products| {
        let rests = remainders(number, products);
        products.iter().zip(rests).flat_map(|(product, rest)| product.primes.map(|prime| (prime, rest % prime)))
    })
}

/// Of the odd numbers from an odd start on, in steps of two, those without a small factor.
pub(crate) fn survivors<const N: usize>(start: &Number<N>) -> impl Iterator<Item = u64> + use<N> {
    let mut composite = vec![false; WINDOW];
    for (prime, rest) in rests(start) {
        // start + 2·first = 0 (mod prime)
        let even = match rest {
            0 => 0,
            rest if rest % 2 == 1 => prime - rest,
            rest => 2 * prime - rest,
        };
        let at = |number: u64| usize::try_from(number).unwrap_or(WINDOW);
        let indexes = (at(even / 2)..WINDOW).step_by(at(prime));
        indexes.for_each(|at| composite[at] = true);
    }
    (0..).zip(composite).filter(|(_, composite)| !composite).map(|(at, _)| at)
}

/// The least small prime that a number above one can be divided by, if there is one.
pub(crate) fn factor<const N: usize>(number: &Number<N>) -> Option<u64> {
    if number[0].is_multiple_of(2) {
        return Some(2);
    }
    rests(number).find(|(_, rest)| *rest == 0).map(|(prime, _)| prime)
}

/// The primes below a limit.
pub(crate) fn small_primes(limit: usize) -> Vec<u64> {
    let mut composite = vec![false; limit];
    let mut primes = Vec::new();
    for number in 2..limit {
        if !composite[number] {
            primes.push(number as u64);
            (number * number..limit).step_by(number).for_each(|multiple| composite[multiple] = true);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{remainder, small};

    #[test]
    fn the_sieve_leaves_what_has_no_small_factor() {
        let start = small::<4>(1_000_000_000_001);
        let left: Vec<u64> = survivors(&start).collect();
        let primes = small_primes(LIMIT - 100);
        let want = |at: &u64| primes.iter().all(|prime| !(1_000_000_000_001 + 2 * at).is_multiple_of(*prime));
        assert_eq!(left, (0..WINDOW as u64).filter(want).collect::<Vec<_>>());
        assert!(left.len() > 100);
    }

    #[test]
    fn rests_are_those_of_a_division() {
        fn check<const N: usize>() {
            let odd: Number<N> = std::array::from_fn(|at| (at as u64 + 77).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for number in [odd, [u64::MAX; N], [0; N], small(1)] {
                for (prime, rest) in rests(&number) {
                    assert_eq!(rest, remainder(&number, prime), "modulo {prime}");
                }
            }
        }
        check::<4>();
        check::<8>();
        check::<16>();
        check::<24>();
        check::<32>();
        check::<64>();
    }
}
