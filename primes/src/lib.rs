//! Prime numbers, for the RSA and DSA keys that templates make.
//!
//! A key is made of numbers that are tried one after the other, and nearly all of them are composite. So most of the time goes into one thing,
//! a power modulo an odd number, and that is what is quick here: Montgomery's multiplication over arrays of a fixed length, of four numbers at a time
//! where the processor can.
//! Numbers travel as bytes, the highest first. Nothing here runs in constant time: who can measure it can read the key, which is printed.
#![expect(clippy::inline_always, reason = "columns are one run of instructions, and those of lanes are for one kind of processor")]

#[cfg(target_arch = "x86_64")]
mod lanes;
mod lucas;
mod montgomery;
mod number;
mod search;
mod sieve;

/// Other processors test one number after the other.
#[cfg(not(target_arch = "x86_64"))]
mod lanes {
    use crate::number::Number;

    pub(crate) const COUNT: usize = 1;

    pub(crate) fn passes<const N: usize>(_: [&Number<N>; COUNT]) -> Option<[bool; COUNT]> {
        None
    }
}

pub use search::{is_prime, prime};

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

#[cfg(test)]
mod tests {
    /// A number in base 16.
    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let even = if hex.len().is_multiple_of(2) { hex.to_owned() } else { format!("0{hex}") };
        even.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}
