//! Random bytes, numbers and texts.

use base64::Engine as _;

use super::Kind::{Int, Str};
use super::{Call, Function, fixed};
use crate::chart::chance::fill;
use crate::chart::meter;
use crate::chart::value::Go;

pub(super) const ALL: &[Function] = &[
    fixed("randAlphaNum", &[Int], |c| random(c, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")),
    fixed("randAlpha", &[Int], |c| random(c, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    fixed("randNumeric", &[Int], |c| random(c, b"0123456789")),
    fixed("randAscii", &[Int], |c| {
        let printable: Vec<u8> = (b' '..=b'~').collect();
        random(c, &printable)
    }),
    fixed("randBytes", &[Int], |c| {
        let Ok(count) = usize::try_from(c.int(0)) else { return Err("runtime error: makeslice: len out of range".to_owned()) };
        c.run.reserve((count as u64).saturating_mul(3))?;
        let mut bytes = vec![0; count];
        meter::reading(count as u64 * 4)?;
        fill(&mut bytes)?;
        Ok(base64::engine::general_purpose::STANDARD.encode(bytes).into())
    }),
    fixed("shuffle", &[Str], |c| {
        // A call of the system for each.
        meter::steps(c.str(0).len() as u64 * 8)?;
        let mut letters: Vec<char> = c.str(0).chars().collect();
        for i in (1..letters.len()).rev() {
            letters.swap(i, usize::try_from(below(i as u64 + 1)?).unwrap_or(i));
        }
        Ok(letters.into_iter().collect::<String>().into())
    }),
    fixed("uuidv4", &[], |_| {
        meter::steps(8)?;
        let mut bytes = [0u8; 16];
        fill(&mut bytes)?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = format!("{:032x}", u128::from_be_bytes(bytes));
        Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
    }),
];

/// A number below `limit`, each as likely as any other.
pub(super) fn below(limit: u64) -> Result<u64, String> {
    let limit = limit.max(1);
    loop {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        let number = u64::from_be_bytes(bytes);
        // Numbers beyond the last whole multiple would favour the small ones.
        if number < u64::MAX - u64::MAX % limit {
            return Ok(number % limit);
        }
    }
}

fn random(c: &mut Call<'_>, alphabet: &[u8]) -> Result<Go, String> {
    let count = usize::try_from(c.int(0)).unwrap_or(0);
    c.run.reserve(count as u64)?;
    meter::steps(count as u64 / 4)?;
    let limit = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(count);
    let mut buffer = [0u8; 64];
    while out.len() < count {
        fill(&mut buffer)?;
        // Bytes beyond the last whole multiple would favour the first letters.
        out.extend(buffer.iter().filter(|b| usize::from(**b) < limit).take(count - out.len()).map(|b| char::from(alphabet[usize::from(*b) % alphabet.len()])));
    }
    Ok(out.into())
}
