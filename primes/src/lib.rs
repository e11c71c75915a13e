//! Prime numbers and powers of large numbers, for the RSA and DSA keys that templates make.
//!
//! A key is made of numbers that are tried one after the other, and nearly all of them are composite. So most of the time goes into one thing,
//! a power modulo an odd number, and that is what is quick here: Montgomery's multiplication over arrays of a fixed length.
//! Numbers travel as bytes, the highest first. Nothing here runs in constant time: who can measure it can read the key, which is printed.

mod lucas;
mod montgomery;
mod number;
mod search;

pub use search::{is_prime, prime};

use montgomery::Modulus;
use number::{Number, from_bytes, to_bytes};

/// Where random bytes come from.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// Calls a function that is generic over a count of limbs for the least count that has room for so many bits; none above 4096.
macro_rules! for_bits {
    ($bits:expr, $function:ident($($argument:expr),*)) => {
        match $bits {
            0..=256 => Some($function::<4>($($argument),*)),
            257..=512 => Some($function::<8>($($argument),*)),
            513..=1024 => Some($function::<16>($($argument),*)),
            1025..=1536 => Some($function::<24>($($argument),*)),
            1537..=2048 => Some($function::<32>($($argument),*)),
            2049..=4096 => Some($function::<64>($($argument),*)),
            _ => None,
        }
    };
}
use for_bits;

/// `base` to the power of `exponent` modulo `modulus`, as long as the modulus; none if that is even, one, or has more than 4096 bits.
pub fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    for_bits!(number::bits(modulus), power_of(base, exponent, modulus)).flatten()
}

fn power_of<const N: usize>(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Option<Vec<u8>> {
    let ring = Modulus::<N>::new(&from_bytes(modulus)?)?;
    let power: Number<N> = ring.leave(&ring.power(&ring.reduce(base), exponent));
    let bytes = to_bytes(&power);
    // As long as the modulus was given: shorter than the limbs, or longer if that had zeros in front.
    let digits = &bytes[bytes.len().saturating_sub(modulus.len())..];
    Some([&vec![0; modulus.len() - digits.len()], digits].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pow(base, exponent, modulus)` of Python 3, of numbers that its `random` made.
    const POWERS: &str = include_str!("../powers.txt");

    /// A number in base 16.
    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let even = if hex.len().is_multiple_of(2) { hex.to_owned() } else { format!("0{hex}") };
        even.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn powers_are_those_of_python() {
        for line in POWERS.lines() {
            let numbers: Vec<Vec<u8>> = line.split(' ').map(bytes).collect();
            let [base, exponent, modulus, want] = numbers.as_slice() else { panic!("{line}") };
            let found = power(base, exponent, modulus).unwrap();
            assert_eq!(found.len(), modulus.len());
            assert_eq!(found, [vec![0; modulus.len() - want.len()], want.clone()].concat(), "{line}");
        }
        assert!(POWERS.lines().count() > 100);
    }

    #[test]
    fn there_is_no_power_modulo_what_is_even_one_or_too_large() {
        assert_eq!(power(&[3], &[2], &[4]), None);
        assert_eq!(power(&[3], &[2], &[1]), None);
        assert_eq!(power(&[3], &[2], &[]), None);
        assert_eq!(power(&[3], &[2], &[0xff; 513]), None);
        assert_eq!(power(&[3], &[], &[7]), Some(vec![1]));
        assert_eq!(power(&[], &[1], &[0, 7]), Some(vec![0, 0]));
    }
}
