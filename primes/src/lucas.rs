//! The test of Lucas, "extra strong", as Go's math/big has it (prime.go, `probablyPrimeLucas`; Baillie and Wagstaff: Lucas
//! pseudoprimes, 1980; parameters after Baillie's method C). No composite number is known that passes it together with the test of Miller and
//! Rabin to base two.

use crate::montgomery::Modulus;
use crate::number::{Number, add, bit, length, remainder, shift_right, small, trailing_zeros};

/// How many parameters are tried. A number that none of so many fits is a square, or has a small factor: it is composite either way.
const PARAMETERS: u64 = 10_000;

/// Whether an odd number above one, and below 2^(64·N) - 1, may be prime.
pub(crate) fn is_probable_prime<const N: usize>(ring: &Modulus<N>) -> bool {
    // The least P from 3 on with (P² - 4 | n) = -1. Zero means a common factor.
    let mut parameter = 3;
    loop {
        let discriminant = parameter * parameter - 4;
        match jacobi(discriminant, &ring.value) {
            -1 => break,
            // n = P + 2 is prime: (P - 2)(P + 2) had no other common factor with any earlier P.
            0 => return ring.value == small(parameter + 2),
            _ => parameter += 1,
        }
        if parameter > PARAMETERS {
            return false;
        }
    }
    strong(ring, parameter)
}

/// `U(s) = 0` and `V(s) = ±2`, or `V(s·2^t) = 0` for a t below r, where n + 1 = s·2^r; with Q = 1.
fn strong<const N: usize>(ring: &Modulus<N>, parameter: u64) -> bool {
    let (next, overflow) = add(&ring.value, &small(1));
    if overflow {
        return false;
    }
    let zeros = trailing_zeros(&next);
    let odd = shift_right(&next, zeros);
    let (p, two) = (ring.small(parameter), ring.double(&ring.one));
    // V(k) and V(k + 1), from k = 0 to k = s: V(2k) = V(k)² - 2 and V(2k + 1) = V(k)·V(k + 1) - P.
    let (mut this, mut that) = (two, p);
    let doubled = |v: &Number<N>| ring.sub(&ring.square(v), &two);
    for at in (0..length(&odd)).rev() {
        let between = ring.sub(&ring.mul(&this, &that), &p);
        (this, that) = if bit(&odd, at) { (between, doubled(&that)) } else { (doubled(&this), between) };
    }
    let minus_two = ring.sub(&[0; N], &two);
    // U(s) = (2·V(s + 1) - P·V(s)) / (P² - 4).
    if (this == two || this == minus_two) && ring.mul(&p, &this) == ring.double(&that) {
        return true;
    }
    for _ in 0..zeros - 1 {
        if this == [0; N] {
            return true;
        }
        // From two nothing leads to zero.
        if this == two {
            return false;
        }
        this = doubled(&this);
    }
    false
}

/// Jacobi's symbol (a | n) of an odd n.
fn jacobi<const N: usize>(a: u64, n: &Number<N>) -> i8 {
    let zeros = a.trailing_zeros();
    let odd = a >> zeros;
    let mut sign = if zeros % 2 == 1 && matches!(n[0] % 8, 3 | 5) { -1 } else { 1 };
    if odd % 4 == 3 && n[0] % 4 == 3 {
        sign = -sign;
    }
    sign * small_jacobi(remainder(n, odd), odd)
}

fn small_jacobi(mut a: u64, mut n: u64) -> i8 {
    let mut sign = 1;
    while a != 0 {
        let zeros = a.trailing_zeros();
        a >>= zeros;
        if zeros % 2 == 1 && matches!(n % 8, 3 | 5) {
            sign = -sign;
        }
        if a % 4 == 3 && n % 4 == 3 {
            sign = -sign;
        }
        (a, n) = (n % a, a);
    }
    if n == 1 { sign } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OEIS A217719; sympy's `is_extra_strong_lucas_prp` says the same.
    const PSEUDOPRIMES: [u64; 19] =
        [989, 3239, 5777, 10877, 27971, 29681, 30739, 31631, 39059, 72389, 73919, 75077, 100_127, 113_573, 125_249, 137_549, 137_801, 153_931, 155_819];

    #[test]
    fn only_the_known_pseudoprimes_pass_below_160000() {
        let limit = 160_000;
        let primes = crate::sieve::small_primes(limit);
        let passing = (3..limit as u64).step_by(2).filter(|n| is_probable_prime(&Modulus::<4>::new(&small(*n)).unwrap()));
        let composite: Vec<u64> = passing.clone().filter(|n| primes.binary_search(n).is_err()).collect();
        assert_eq!(composite, PSEUDOPRIMES);
        assert_eq!(passing.count(), primes.len() - 1 + PSEUDOPRIMES.len());
    }

    #[test]
    fn symbols_of_jacobi() {
        // Of a prime: whether a is a square.
        for n in [3_u64, 5, 7, 11, 13, 101] {
            for a in 1..200 {
                let want = if a % n == 0 {
                    0
                } else if (1..n).any(|root| root * root % n == a % n) {
                    1
                } else {
                    -1
                };
                assert_eq!(jacobi::<4>(a, &small(n)), want, "({a} | {n})");
            }
        }
        assert_eq!((jacobi::<4>(2, &small(15)), jacobi::<4>(7, &small(15)), jacobi::<4>(6, &small(15))), (1, -1, 0));
    }
}
