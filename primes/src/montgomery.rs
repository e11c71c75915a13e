//! Calculations modulo an odd number, after Peter Montgomery: a number `a` is held as `a·R` with R = 2^(64·N), and a product needs no division
//! (Koç, Acar, Kaliski: Analyzing and comparing Montgomery multiplication algorithms, 1996; this is the one called CIOS).

use crate::number::{Number, add, bit, length, sub};

/// An odd number above one that is calculated by.
pub(crate) struct Modulus<const N: usize> {
    pub(crate) value: Number<N>,
    /// `-1 / value` modulo 2^64.
    pub(crate) inverse: u64,
    /// One, as numbers are held here: R modulo the value.
    pub(crate) one: Number<N>,
}

impl<const N: usize> Modulus<N> {
    /// None if the number is even, or one.
    pub(crate) fn new(value: &Number<N>) -> Option<Self> {
        let bits = length(value);
        if value[0] & 1 == 0 || bits < 2 {
            return None;
        }
        let mut modulus = Self { value: *value, inverse: inverse(value[0]).wrapping_neg(), one: [0; N] };
        // The largest power of two below the number, doubled until it is R.
        let mut one = [0; N];
        one[(bits - 1) / 64] = 1 << ((bits - 1) % 64);
        modulus.one = (bits - 1..64 * N).fold(one, |one, _| modulus.double(&one));
        Some(modulus)
    }

    /// Minus one.
    pub(crate) fn minus_one(&self) -> Number<N> {
        sub(&self.value, &self.one).0
    }

    pub(crate) fn add(&self, a: &Number<N>, b: &Number<N>) -> Number<N> {
        let (sum, carry) = add(a, b);
        self.settle(sum, carry)
    }

    pub(crate) fn sub(&self, a: &Number<N>, b: &Number<N>) -> Number<N> {
        let (difference, borrow) = sub(a, b);
        if borrow { add(&difference, &self.value).0 } else { difference }
    }

    pub(crate) fn double(&self, a: &Number<N>) -> Number<N> {
        self.add(a, a)
    }

    /// What is less than twice the modulus, made less than the modulus.
    fn settle(&self, number: Number<N>, carry: bool) -> Number<N> {
        let (less, borrow) = sub(&number, &self.value);
        if carry || !borrow { less } else { number }
    }

    /// `a·b/R`: the product as numbers are held here.
    pub(crate) fn mul(&self, a: &Number<N>, b: &Number<N>) -> Number<N> {
        let m = &self.value;
        let (mut sum, mut top) = ([0_u64; N], 0_u64);
        for &limb in b {
            let mut carry = 0;
            for at in 0..N {
                (sum[at], carry) = multiply_add(a[at], limb, sum[at], carry);
            }
            let (high, over) = top.overflowing_add(carry);
            // So many times the modulus make the lowest limb zero, and it is dropped.
            let factor = sum[0].wrapping_mul(self.inverse);
            let (_, mut carry) = multiply_add(factor, m[0], sum[0], 0);
            for at in 1..N {
                (sum[at - 1], carry) = multiply_add(factor, m[at], sum[at], carry);
            }
            let (high, more) = high.overflowing_add(carry);
            sum[N - 1] = high;
            top = u64::from(over) + u64::from(more);
        }
        self.settle(sum, top != 0)
    }

    /// `a·a/R`, column by column: each product of two limbs is needed once, and counts twice (the same paper's FIPS). Where the columns are written out,
    /// it takes three quarters of [`Modulus::mul`]'s time.
    pub(crate) fn square(&self, a: &Number<N>) -> Number<N> {
        let mut state = Columns { factors: [0; N], result: [0; N], sum: Column::default() };
        // The lengths of a column's loops are known where its number is, and it is one run of instructions.
        macro_rules! columns {
            ($($at:literal)*) => {{ $(if $at < 2 * N - 1 { self.column(a, $at, &mut state); })* }};
        }
        match N {
            ..=32 => columns!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
                32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62),
            _ => (0..2 * N - 1).for_each(|at| self.column(a, at, &mut state)),
        }
        state.result[N - 1] = state.sum.shift();
        self.settle(state.result, state.sum.0[0] != 0)
    }

    /// What one column adds.
    #[inline(always)]
    fn column(&self, a: &Number<N>, at: usize, Columns { factors, result, sum }: &mut Columns<N>) {
        let m = &self.value;
        let from = at.saturating_sub(N - 1);
        let mut mixed = Column::default();
        for low in from..at.div_ceil(2) {
            mixed.add(a[low], a[at - low]);
        }
        sum.add_twice(&mixed);
        if at.is_multiple_of(2) {
            sum.add(a[at / 2], a[at / 2]);
        }
        for low in from..at.min(N) {
            sum.add(factors[low], m[at - low]);
        }
        if at < N {
            // So many times the modulus make the column zero.
            factors[at] = sum.0[0].wrapping_mul(self.inverse);
            sum.add(factors[at], m[0]);
            sum.shift();
        } else {
            result[at - N] = sum.shift();
        }
    }

    /// A small number, as numbers are held here.
    pub(crate) fn small(&self, value: u64) -> Number<N> {
        let bits = u64::BITS - value.leading_zeros();
        (0..bits).rev().fold([0; N], |sum, at| {
            let sum = self.double(&sum);
            if value >> at & 1 == 1 { self.add(&sum, &self.one) } else { sum }
        })
    }

    /// A power, four bits of the exponent at a time; both numbers as they are held here.
    pub(crate) fn power(&self, base: &Number<N>, exponent: &[u8]) -> Number<N> {
        let mut powers = [self.one; 16];
        for at in 1..16 {
            powers[at] = self.mul(&powers[at - 1], base);
        }
        let digits = exponent.iter().flat_map(|byte| [byte >> 4, byte & 15]).skip_while(|digit| *digit == 0);
        let mut result: Option<Number<N>> = None;
        for digit in digits {
            let power = &powers[usize::from(digit)];
            result = Some(match result {
                None => *power,
                Some(result) => {
                    let shifted = (0..4).fold(result, |result, _| self.square(&result));
                    if digit == 0 { shifted } else { self.mul(&shifted, power) }
                }
            });
        }
        result.unwrap_or(self.one)
    }

    /// A power of two. It needs no products but squares, and is a quarter quicker.
    pub(crate) fn power_of_two(&self, exponent: &Number<N>) -> Number<N> {
        (0..length(exponent)).rev().fold(self.one, |result, at| {
            let square = self.square(&result);
            if bit(exponent, at) { self.double(&square) } else { square }
        })
    }
}

/// `1 / odd` modulo 2^64.
pub(crate) fn inverse(odd: u64) -> u64 {
    // Newton's iteration: each step doubles the bits that are right, and of an odd number's inverse the lowest three are its own.
    (0..5).fold(odd, |inverse, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse))))
}

/// A square that is being made.
struct Columns<const N: usize> {
    factors: Number<N>,
    result: Number<N>,
    sum: Column,
}

/// The sum of a column's products: three words, the lowest first.
#[derive(Default)]
struct Column([u64; 3]);

impl Column {
    #[inline(always)]
    fn add(&mut self, a: u64, b: u64) {
        let (low, high) = a.carrying_mul(b, 0);
        self.sum([low, high, 0]);
    }

    #[inline(always)]
    fn add_twice(&mut self, Self([low, middle, high]): &Self) {
        self.sum([low << 1, middle << 1 | low >> 63, high << 1 | middle >> 63]);
    }

    #[inline(always)]
    fn sum(&mut self, words: [u64; 3]) {
        let Self([low, middle, high]) = self;
        let carry;
        (*low, carry) = low.overflowing_add(words[0]);
        let (sum, carry) = middle.carrying_add(words[1], carry);
        (*middle, *high) = (sum, high.carrying_add(words[2], carry).0);
    }

    /// Takes the lowest word away.
    #[inline(always)]
    fn shift(&mut self) -> u64 {
        let Self([lowest, middle, high]) = *self;
        *self = Self([middle, high, 0]);
        lowest
    }
}

/// `a·b + c + carry`: the low and the high word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a double word is taken apart")]
fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(carry);
    (sum as u64, (sum >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        for_bits,
        number::{bits, from_bytes, small},
        tests::bytes,
    };

    /// `pow(base, exponent, modulus)` of Python 3, of numbers that its `random` made.
    const POWERS: &str = include_str!("../powers.txt");

    fn check<const N: usize>(base: &[u8], exponent: &[u8], modulus: &[u8], want: &[u8]) -> bool {
        let ring = Modulus::<N>::new(&from_bytes(modulus).unwrap()).unwrap();
        // R, as it is held here: what is multiplied by it comes to be held so. Times one it is what it was.
        let r = ring.power_of_two(&small(64 * N as u64));
        let power = ring.power(&ring.mul(&from_bytes(base).unwrap(), &r), exponent);
        ring.mul(&power, &small(1)) == from_bytes(want).unwrap()
    }

    #[test]
    fn powers_are_those_of_python() {
        for line in POWERS.lines() {
            let numbers: Vec<Vec<u8>> = line.split(' ').map(bytes).collect();
            let [base, exponent, modulus, want] = numbers.as_slice() else { panic!("{line}") };
            assert_eq!(for_bits!(bits(modulus), check(base, exponent, modulus, want)), Some(true), "{line}");
        }
        assert!(POWERS.lines().count() > 100);
    }

    #[test]
    fn powers_of_two_are_powers() {
        let ring = Modulus::<4>::new(&small(1_000_003)).unwrap();
        let two = ring.double(&ring.one);
        for exponent in [0, 1, 2, 3, 1000, 1_000_002, u64::MAX] {
            assert_eq!(ring.power_of_two(&small(exponent)), ring.power(&two, &exponent.to_be_bytes()), "{exponent}");
        }
    }

    #[test]
    fn squares_are_products() {
        fn check<const N: usize>(modulus: &[u8], base: &[u8]) -> bool {
            let ring = Modulus::<N>::new(&from_bytes(modulus).unwrap()).unwrap();
            let base = ring.add(&from_bytes(base).unwrap(), &[0; N]);
            [base, ring.minus_one(), ring.one, [0; N]].iter().all(|number| ring.square(number) == ring.mul(number, number))
        }
        for line in POWERS.lines() {
            let numbers: Vec<Vec<u8>> = line.split(' ').map(bytes).collect();
            assert_eq!(for_bits!(bits(&numbers[2]), check(&numbers[2], &numbers[3])), Some(true), "{line}");
        }
    }

    #[test]
    fn nothing_is_calculated_modulo_what_is_even_or_one() {
        for value in [0, 1, 2, 4] {
            assert!(Modulus::<4>::new(&small(value)).is_none(), "{value}");
        }
    }
}
