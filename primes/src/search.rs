//! Looks for primes: a sieve first, then the test of Miller and Rabin; and judges those of others, with that of Lucas as well.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Random, for_bits, lanes, lucas,
    montgomery::Modulus,
    number::{self, Number, add, from_bytes, remainder, shift_right, small, sub, to_bytes, trailing_zeros},
    sieve,
};

/// The public exponent that keys are made for.
const EXPONENT: u64 = 65_537;

/// A prime of so many bits, the two highest set, that fits the exponent 65537 (FIPS 186-5, A.1.3; searched upwards from a random number, as
/// OpenSSL's `probable_prime` does); none for less than 64 bits or more than 4096.
pub fn prime(bits: usize, random: Random<'_>) -> Option<Vec<u8>> {
    if bits < 64 {
        return None;
    }
    let number = for_bits!(bits, search(bits, random))?;
    Some(number[number.len() - bits.div_ceil(8)..].to_vec())
}

fn search<const N: usize>(bits: usize, random: Random<'_>) -> Vec<u8> {
    loop {
        let mut start: Number<N> = below(bits, random);
        for at in [bits - 1, bits - 2, 0] {
            start[at / 64] |= 1 << (at % 64);
        }
        let fits = |at: u64| {
            let (candidate, carry) = add(&start, &small(2 * at));
            (!carry && number::length(&candidate) == bits && remainder(&candidate, EXPONENT) != 1).then_some(candidate)
        };
        let candidates: Vec<Number<N>> = sieve::survivors(&start).filter_map(fits).collect();
        let mut from = 0;
        while let Some(found) = first_probable(&candidates[from..]) {
            let candidate = &candidates[from + found];
            if passes_random_tests(candidate, rounds(bits), random) {
                return to_bytes(candidate);
            }
            from += found + 1;
        }
    }
}

/// Where the first candidate is that may well be prime.
fn first_probable<const N: usize>(candidates: &[Number<N>]) -> Option<usize> {
    let batches: Vec<_> = candidates.chunks(lanes::COUNT).collect();
    let test = |batch: &&[Number<N>]| {
        // Some number has to be in every lane.
        let passed = lanes::passes(std::array::from_fn(|lane| batch.get(lane).unwrap_or(&batch[0])));
        passed.map_or_else(|| batch.iter().position(passes_base_two), |passed| passed.iter().take(batch.len()).position(|passed| *passed))
    };
    first(&batches, test).map(|(batch, at)| batch * lanes::COUNT + at)
}

/// Searches that run now.
static SEARCHES: AtomicUsize = AtomicUsize::new(0);

/// Where the first is that a test finds something in, and what. Two threads take one after the other, unless others search as well: half of what a
/// second one does beside the last is for nothing. Which of them is quicker changes nothing.
fn first<T: Sync, F: Send>(all: &[T], test: impl Fn(&T) -> Option<F> + Sync) -> Option<(usize, F)> {
    let alone = SEARCHES.fetch_add(1, Ordering::Relaxed) == 0;
    let (next, end) = (AtomicUsize::new(0), AtomicUsize::new(all.len()));
    let found = Mutex::new(None);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= end.load(Ordering::Relaxed) {
                return;
            }
            if let Some(what) = test(&all[at]) {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if end.fetch_min(at, Ordering::Relaxed) > at {
                    *found = Some((at, what));
                }
            }
        }
    };
    thread::scope(|scope| {
        // Where there are no more threads to be had, this one does it all.
        let _ = alone.then(|| thread::Builder::new().spawn_scoped(scope, work));
        work();
    });
    SEARCHES.fetch_sub(1, Ordering::Relaxed);
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How often a candidate is tested with a random base (FIPS 186-5, table B.1, as Go's crypto/internal/fips140/rsa reads it); base two
/// comes on top. The test of Lucas is for numbers that somebody chose; these are random.
fn rounds(bits: usize) -> usize {
    match bits {
        1345.. => 4,
        476..=1344 => 5,
        _ => 27,
    }
}

/// Whether a number is prime. A composite one passes with a probability below 4^-rounds, whoever chose it, and none is known that passes the
/// tests that come on top.
pub fn is_prime(number: &[u8], rounds: usize, random: Random<'_>) -> bool {
    for_bits!(number::bits(number), tested(number, rounds, random)).unwrap_or(false)
}

fn tested<const N: usize>(number: &[u8], rounds: usize, random: Random<'_>) -> bool {
    let Some(number) = from_bytes::<N>(number) else { return false };
    match sieve::factor(&number) {
        Some(prime) => number == small(prime),
        None => is_probable_prime(&number, rounds, random),
    }
}

fn is_probable_prime<const N: usize>(number: &Number<N>, rounds: usize, random: Random<'_>) -> bool {
    let passes_lucas = |number| Modulus::new(number).is_some_and(|ring| lucas::is_probable_prime(&ring));
    passes_base_two(number) && passes_lucas(number) && passes_random_tests(number, rounds, random)
}

/// The test of Miller and Rabin to base two: hardly any composite number passes it, and none is known that passes that of Lucas as well.
fn passes_base_two<const N: usize>(number: &Number<N>) -> bool {
    let Some(ring) = Modulus::new(number) else { return false };
    let witness = Witness::new(&ring);
    witness.passes(&ring.power_of_two(&witness.odd))
}

fn passes_random_tests<const N: usize>(number: &Number<N>, rounds: usize, random: Random<'_>) -> bool {
    let Some(ring) = Modulus::new(number) else { return false };
    let witness = Witness::new(&ring);
    let bits = number::length(number);
    // Every number is some number times R: what is random as it is held is as random as it stands.
    let useful = |base: &Number<N>| sub(base, number).1 && *base != [0; N] && *base != ring.one && *base != witness.minus_one;
    let bases: Vec<_> = std::iter::repeat_with(|| below(bits, random)).filter(useful).take(rounds).collect();
    let odd = to_bytes(&witness.odd);
    first(&bases, |base| (!witness.passes(&ring.power(base, &odd))).then_some(())).is_none()
}

/// The test of Miller and Rabin (FIPS 186-5, B.3.1): n - 1 = odd·2^zeros.
struct Witness<'a, const N: usize> {
    ring: &'a Modulus<N>,
    minus_one: Number<N>,
    odd: Number<N>,
    zeros: usize,
}

impl<'a, const N: usize> Witness<'a, N> {
    fn new(ring: &'a Modulus<N>) -> Self {
        let even = sub(&ring.value, &small(1)).0;
        let zeros = trailing_zeros(&even);
        Self { ring, minus_one: ring.minus_one(), odd: shift_right(&even, zeros), zeros }
    }

    /// Whether a base, to the power of `odd`, leaves it possible that the number is prime.
    fn passes(&self, power: &Number<N>) -> bool {
        let mut power = *power;
        if power == self.ring.one {
            return true;
        }
        for _ in 1..self.zeros {
            if power == self.minus_one {
                return true;
            }
            power = self.ring.square(&power);
        }
        power == self.minus_one
    }
}

/// A random number of at most so many bits.
fn below<const N: usize>(bits: usize, random: Random<'_>) -> Number<N> {
    let mut bytes = vec![0; bits.div_ceil(8)];
    random(&mut bytes);
    bytes[0] &= 0xff >> (8 * bytes.len() - bits);
    from_bytes(&bytes).expect("the caller has room for so many bits")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tests::bytes;

    #[test]
    fn the_first_is_found_whichever_thread_is_quicker() {
        let slow_first = |at: &usize| {
            thread::sleep(std::time::Duration::from_millis(if *at == 3 { 20 } else { 0 }));
            [3, 4, 9].contains(at).then_some(())
        };
        let numbers: Vec<usize> = (0..20).collect();
        assert_eq!(first(&numbers, slow_first), Some((3, ())));
        assert_eq!(first(&numbers[10..], slow_first), None);
        assert_eq!(first(&numbers[..0], slow_first), None);
    }

    /// Bytes that look random, the same at every run.
    fn noise(seed: u64) -> impl FnMut(&mut [u8]) {
        let mut state = seed | 1;
        move |bytes| {
            for byte in bytes {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state.to_be_bytes()[0];
            }
        }
    }

    /// What `openssl prime` and sympy's `isprime` say of numbers of every size, and of those that fool one test or another: `prime` or
    /// `composite`, the number in base 16, and what is special about it.
    pub(crate) const JUDGED: &str = include_str!("../judged.txt");

    #[test]
    fn numbers_are_judged_as_others_judge_them() {
        let mut random = noise(1);
        for line in JUDGED.lines() {
            let [verdict, number, ..] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_eq!(is_prime(&bytes(number), 5, &mut random), verdict == "prime", "{line}");
        }
        assert!(JUDGED.lines().count() > 500);
    }

    #[test]
    fn the_tests_stand_alone() {
        // Each of the two tests has numbers that it takes for primes, and the other has not.
        let base_two = |n: u64| {
            let ring = Modulus::<4>::new(&small(n)).unwrap();
            let witness = Witness::new(&ring);
            (witness.passes(&ring.power_of_two(&witness.odd)), lucas::is_probable_prime(&ring))
        };
        for strong in [2047, 3277, 4033, 4681, 8321, 15841, 29341, 42799, 49141, 52633] {
            assert_eq!(base_two(strong), (true, false), "{strong}");
        }
        for lucas in [989, 3239, 5777, 10877] {
            assert_eq!(base_two(lucas), (false, true), "{lucas}");
        }
    }

    #[test]
    fn every_small_number_is_judged() {
        let mut random = noise(2);
        let primes = sieve::small_primes(70_000);
        let found: Vec<u64> = (0..70_000_u64).filter(|n| is_prime(&n.to_be_bytes(), 2, &mut random)).collect();
        assert_eq!(found, primes);
    }

    #[test]
    fn primes_are_of_their_size_and_fit_the_exponent() {
        let mut random = noise(3);
        for bits in [64, 65, 100, 256, 257, 512, 1000, 1024, 1536, 2048] {
            let found = prime(bits, &mut random).unwrap();
            assert_eq!((found.len(), number::bits(&found)), (bits.div_ceil(8), bits));
            assert!(is_prime(&found, 20, &mut random));
            let number = from_bytes::<32>(&found).unwrap();
            assert_eq!(shift_right(&number, bits - 2), small(3));
            assert_ne!(remainder(&number, EXPONENT), 1);
        }
        assert_eq!((prime(63, &mut random), prime(4097, &mut random)), (None, None));
    }
}
