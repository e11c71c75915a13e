//! Four numbers tested side by side, where the processor multiplies four pairs of words at a time (AVX2): a third of the time that they take one
//! after the other.
//!
//! Limbs have 28 bits, so that a column of products is summed up without a carry: two for each limb, and of 76 limbs that is less than 2^64.
//! A power stays below four times the modulus m and is not reduced further: with R above 16·m a square of it, divided by R, is
//! below 2·m, and below 4·m when it was doubled (Walter: Montgomery exponentiation needs no final subtractions, 1999).

use std::array::from_fn;

use crate::{
    montgomery::Modulus,
    number::{Number, bit, length},
};

/// How many numbers are tested at a time.
pub(crate) const COUNT: usize = 4;
const BITS: u32 = 28;
const MASK: u64 = (1 << BITS) - 1;
/// Rows of a product that are added at a time, so that a column is loaded and stored once for all of them. Counts of limbs are multiples of it.
const ROWS: usize = 4;

/// Of each number one word.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Lanes([u64; COUNT]);

impl Lanes {
    #[inline(always)]
    fn map(self, change: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(change))
    }

    #[inline(always)]
    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(from_fn(|lane| combine(self.0[lane], other.0[lane])))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.with(other, u64::wrapping_add)
    }

    /// Of the lower halves: that is one instruction for all.
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.with(other, |a, b| (a & 0xffff_ffff) * (b & 0xffff_ffff))
    }

    #[inline(always)]
    fn low(self) -> Self {
        self.map(|word| word & MASK)
    }

    #[inline(always)]
    fn high(self) -> Self {
        self.map(|word| word >> BITS)
    }
}

/// Whether each of four odd numbers n above one leaves it possible that it is prime: 2^(n - 1) = 1 (mod n), after Fermat. None if they are tested as
/// quickly one by one, by this processor or of this length.
pub(crate) fn passes<const N: usize>(numbers: [&Number<N>; COUNT]) -> Option<[bool; COUNT]> {
    // As many limbs as R takes, and they fill whole rows.
    match N {
        16 => if_wide::<N, 40>(numbers),
        24 => if_wide::<N, 56>(numbers),
        32 => if_wide::<N, 76>(numbers),
        _ => None,
    }
}

#[expect(unsafe_code, reason = "the compiler cannot know the processor")]
fn if_wide<const N: usize, const L: usize>(numbers: [&Number<N>; COUNT]) -> Option<[bool; COUNT]> {
    if !is_x86_feature_detected!("avx2") {
        return None;
    }
    let rings = Rings::<L>::new(numbers)?;
    // SAFETY: the processor has what the function is compiled for, as was just asked.
    Some(unsafe { with_avx2(&rings, numbers) })
}

#[target_feature(enable = "avx2")]
fn with_avx2<const N: usize, const L: usize>(rings: &Rings<L>, numbers: [&Number<N>; COUNT]) -> [bool; COUNT] {
    rings.passes(numbers)
}

/// Four odd moduli, and what belongs to each; R = 2^(28·L).
struct Rings<const L: usize> {
    moduli: [Lanes; L],
    /// `-1 / modulus` modulo 2^28.
    inverse: Lanes,
    /// R modulo the modulus.
    one: [Lanes; L],
}

impl<const L: usize> Rings<L> {
    /// None if a number is even, or one, or too long.
    fn new<const N: usize>(numbers: [&Number<N>; COUNT]) -> Option<Self> {
        let room = (BITS as usize * L).checked_sub(64 * N + 4)? + 4;
        let mut rings = Self { moduli: [Lanes::default(); L], inverse: Lanes::default(), one: [Lanes::default(); L] };
        for (lane, number) in numbers.into_iter().enumerate() {
            let modulus = Modulus::new(number)?;
            let one = (0..room).fold(modulus.one, |one, _| modulus.double(&one));
            rings.inverse.0[lane] = modulus.inverse & MASK;
            for at in 0..L {
                rings.moduli[at].0[lane] = limb(number, at);
                rings.one[at].0[lane] = limb(&one, at);
            }
        }
        Some(rings)
    }

    /// Of the moduli, as the numbers that they were made of.
    #[inline(always)]
    fn passes<const N: usize>(&self, numbers: [&Number<N>; COUNT]) -> [bool; COUNT] {
        let bits = numbers.map(length).into_iter().max().unwrap_or_default();
        let (mut power, mut sums) = (self.one, [[Lanes::default(); L]; 2]);
        for at in (0..bits).rev() {
            // n - 1: n without its lowest bit. Where there is a bit, the square is doubled.
            let mut shifts = Lanes::default();
            for (shift, number) in shifts.0.iter_mut().zip(numbers) {
                *shift = u64::from(at > 0 && bit(number, at));
            }
            square(&power, &mut sums);
            power = self.reduced(&mut sums, shifts);
        }
        sums = [power, [Lanes::default(); L]];
        // Divided by R it is as it stands, and at most the modulus.
        let power = self.reduced(&mut sums, Lanes::default());
        from_fn(|lane| power.iter().enumerate().all(|(at, limb)| limb.0[lane] == u64::from(at == 0)))
    }

    /// Columns that stand for a number, made less by multiples of the modulus, divided by R, and doubled so many times; limb by limb.
    #[inline(always)]
    fn reduced(&self, sums: &mut [[Lanes; L]; 2], shifts: Lanes) -> [Lanes; L] {
        let sums = sums.as_flattened_mut();
        for from in (0..L).step_by(ROWS) {
            // So many times the moduli make the lowest limbs zero.
            let (mut factors, mut carry) = ([Lanes::default(); ROWS], Lanes::default());
            for row in 0..ROWS {
                let column = (0..row).fold(sums[from + row].plus(carry), |sum, at| sum.plus(factors[at].times(self.moduli[row - at])));
                factors[row] = column.times(self.inverse).low();
                carry = column.plus(factors[row].times(self.moduli[0])).high();
            }
            add_rows(&mut sums[from..], factors, &self.moduli);
            sums[from + ROWS] = sums[from + ROWS].plus(carry);
        }
        let (mut carry, mut doubled, mut result) = (Lanes::default(), Lanes::default(), [Lanes::default(); L]);
        for (limb, sum) in result.iter_mut().zip(&sums[L..]) {
            let sum = sum.plus(carry);
            carry = sum.high();
            let shifted = sum.low().with(shifts, |word, shift| word << shift).plus(doubled);
            doubled = shifted.high();
            *limb = shifted.low();
        }
        result
    }
}

/// The columns of a square.
#[inline(always)]
fn square<const L: usize>(number: &[Lanes; L], columns: &mut [[Lanes; L]; 2]) {
    let columns = columns.as_flattened_mut();
    columns.fill(Lanes::default());
    for (block, rows) in number.as_chunks::<ROWS>().0.iter().enumerate() {
        let from = block * ROWS;
        // Each product of two limbs is needed once, and counts twice.
        let [a, b, c, d] = *rows;
        let [a2, b2, c2, d2] = [a.plus(a), b.plus(b), c.plus(c), d.plus(d)];
        let products =
            [a.times(a), a2.times(b), a2.times(c).plus(b.times(b)), a2.times(d).plus(b2.times(c)), b2.times(d).plus(c.times(c)), c2.times(d), d.times(d)];
        for (column, product) in columns[2 * from..].iter_mut().zip(products) {
            *column = column.plus(product);
        }
        add_rows(&mut columns[2 * from + ROWS..], [a2, b2, c2, d2], &number[from + ROWS..]);
    }
}

/// Adds the product of a number and some limbs to columns. The number has at least four limbs, or none.
#[inline(always)]
fn add_rows(columns: &mut [Lanes], [a, b, c, d]: [Lanes; ROWS], number: &[Lanes]) {
    let (Some(first), Some(last)) = (number.first_chunk::<{ ROWS - 1 }>(), number.last_chunk::<{ ROWS - 1 }>()) else { return };
    // The first columns and the last ones have fewer products than rows.
    let rising = [a.times(first[0]), a.times(first[1]).plus(b.times(first[0])), a.times(first[2]).plus(b.times(first[1])).plus(c.times(first[0]))];
    let falling = [b.times(last[2]).plus(c.times(last[1])).plus(d.times(last[0])), c.times(last[2]).plus(d.times(last[1])), d.times(last[2])];
    for (column, sum) in columns.iter_mut().zip(rising) {
        *column = column.plus(sum);
    }
    for (column, limbs) in columns[ROWS - 1..].iter_mut().zip(number.windows(ROWS)) {
        let (low, high) = (d.times(limbs[0]).plus(c.times(limbs[1])), b.times(limbs[2]).plus(a.times(limbs[3])));
        *column = column.plus(low.plus(high));
    }
    for (column, sum) in columns[number.len()..].iter_mut().zip(falling) {
        *column = column.plus(sum);
    }
}

/// 28 bits of a number.
fn limb<const N: usize>(number: &Number<N>, at: usize) -> u64 {
    let (from, shift) = (BITS as usize * at / 64, BITS as usize * at % 64);
    let word = |at: usize| u128::from(number.get(at).copied().unwrap_or_default());
    let limb = (word(from) | word(from + 1) << 64) >> shift & u128::from(MASK);
    u64::try_from(limb).expect("28 bits fit in a word")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        number::{from_bytes, small, sub},
        search::tests::JUDGED,
        tests::bytes,
    };

    fn judged<const N: usize>() -> Vec<(Number<N>, bool)> {
        let lines = JUDGED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let numbers = lines.filter_map(|words| Some((from_bytes::<N>(&bytes(words[1]))?, words[0] == "prime")));
        numbers.filter(|(number, _)| number[0] & 1 == 1 && length(number) > 1).collect()
    }

    fn passes_alone<const N: usize>(number: &Number<N>) -> bool {
        let ring = Modulus::new(number).unwrap();
        ring.power_of_two(&sub(number, &small(1)).0) == ring.one
    }

    /// Against one by one, and what others say: whatever is prime passes.
    fn check<const N: usize>(least: usize) {
        let numbers = judged::<N>();
        assert!(numbers.len() > least);
        for four in numbers.chunks_exact(COUNT) {
            let Some(passed) = passes(from_fn(|at| &four[at].0)) else { return };
            for ((number, prime), passed) in four.iter().zip(passed) {
                assert_eq!(passed, passes_alone(number), "{number:x?}");
                assert!(passed || !prime, "{number:x?}");
            }
        }
    }

    #[test]
    fn four_pass_as_they_do_one_by_one() {
        check::<16>(300);
        check::<24>(300);
        check::<32>(300);
    }

    #[test]
    fn the_largest_numbers_do_not_run_over() {
        let mut largest = [u64::MAX; 32];
        for low in (0..40).step_by(2) {
            largest[0] = u64::MAX - low;
            let Some(passed) = passes([&largest; COUNT]) else { return };
            assert_eq!(passed, [passes_alone(&largest); COUNT]);
        }
    }
}
