//! Natural numbers of a fixed count of limbs, the lowest first.

/// A number below 2^(64·N).
pub(crate) type Number<const N: usize> = [u64; N];

/// How many bits a number in bytes has.
pub(crate) fn bits(bytes: &[u8]) -> usize {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros).map_or(0, |first| 8 * (bytes.len() - zeros) - first.leading_zeros() as usize)
}

/// None if it does not fit.
pub(crate) fn from_bytes<const N: usize>(bytes: &[u8]) -> Option<Number<N>> {
    let mut number = [0; N];
    for (at, byte) in bytes.iter().rev().enumerate().filter(|(_, byte)| **byte != 0) {
        *number.get_mut(at / 8)? |= u64::from(*byte) << (8 * (at % 8));
    }
    Some(number)
}

pub(crate) fn to_bytes<const N: usize>(number: &Number<N>) -> Vec<u8> {
    number.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

/// How many bits it has.
pub(crate) fn length<const N: usize>(number: &Number<N>) -> usize {
    let zeros = number.iter().rev().take_while(|limb| **limb == 0).count();
    number.iter().rev().nth(zeros).map_or(0, |limb| 64 * (N - zeros) - limb.leading_zeros() as usize)
}

pub(crate) fn bit<const N: usize>(number: &Number<N>, at: usize) -> bool {
    number.get(at / 64).is_some_and(|limb| limb >> (at % 64) & 1 == 1)
}

/// The sum, and whether it is too large by 2^(64·N).
pub(crate) fn add<const N: usize>(a: &Number<N>, b: &Number<N>) -> (Number<N>, bool) {
    let (mut sum, mut carry) = ([0; N], false);
    for ((to, a), b) in sum.iter_mut().zip(a).zip(b) {
        let (part, first) = a.overflowing_add(*b);
        let (part, second) = part.overflowing_add(u64::from(carry));
        (*to, carry) = (part, first | second);
    }
    (sum, carry)
}

/// The difference, and whether it is too small by 2^(64·N).
pub(crate) fn sub<const N: usize>(a: &Number<N>, b: &Number<N>) -> (Number<N>, bool) {
    let (mut difference, mut borrow) = ([0; N], false);
    for ((to, a), b) in difference.iter_mut().zip(a).zip(b) {
        let (part, first) = a.overflowing_sub(*b);
        let (part, second) = part.overflowing_sub(u64::from(borrow));
        (*to, borrow) = (part, first | second);
    }
    (difference, borrow)
}

/// A small number.
pub(crate) fn small<const N: usize>(value: u64) -> Number<N> {
    let mut number = [0; N];
    number[0] = value;
    number
}

/// The number without its `count` zeros at the end.
pub(crate) fn shift_right<const N: usize>(number: &Number<N>, count: usize) -> Number<N> {
    let (limbs, bits) = (count / 64, count % 64);
    let limb = |at: usize| number.get(at).copied().unwrap_or(0);
    std::array::from_fn(|at| {
        let (low, high) = (limb(at + limbs), limb(at + limbs + 1));
        if bits == 0 { low } else { low >> bits | high << (64 - bits) }
    })
}

pub(crate) fn trailing_zeros<const N: usize>(number: &Number<N>) -> usize {
    let zeros = number.iter().take_while(|limb| **limb == 0).count();
    number.get(zeros).map_or(64 * N, |limb| 64 * zeros + limb.trailing_zeros() as usize)
}

/// What is left of a division; `by` has at most 32 bits, so that everything fits in a word.
pub(crate) fn remainder<const N: usize>(number: &Number<N>, by: u64) -> u64 {
    debug_assert!(by >> 32 == 0);
    number.iter().rev().fold(0, |rest, limb| {
        let rest = (rest << 32 | limb >> 32) % by;
        (rest << 32 | limb & 0xffff_ffff) % by
    })
}
