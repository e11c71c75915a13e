//! Go's `time.Duration`: reading (`ParseDuration`) and writing it.

use super::layout::quote;
use crate::chart::meter;

/// The largest magnitude: that of the least duration.
const LIMIT: u64 = 1 << 63;

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // Both signs for micro.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// `leadingInt`.
fn integer(digits: &str) -> Option<u64> {
    if digits.is_empty() { Some(0) } else { digits.parse().ok().filter(|n| *n <= LIMIT) }
}

/// `leadingFraction`: the digits that count, and what they are divided by.
fn fraction(digits: &str) -> (u64, f64) {
    let (mut number, mut scale) = (0_u64, 1.0);
    for digit in digits.bytes() {
        let next = number.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit - b'0')));
        match next.filter(|n| *n <= LIMIT && number <= (LIMIT - 1) / 10) {
            Some(next) => number = next,
            None => break,
        }
        scale *= 10.0;
    }
    (number, scale)
}

/// `time.ParseDuration`, in nanoseconds; the error is Go's.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    meter::reading(text.len() as u64 * 16)?;
    let fail = |what: &str| format!("time: {what} {}", quote(text));
    let invalid = || fail("invalid duration");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (part, tail) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && part.is_empty() {
            return Err(invalid());
        }
        let number = integer(whole).ok_or_else(invalid)?;
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let name = &tail[..end];
        if name.is_empty() {
            return Err(fail("missing unit in duration"));
        }
        let size = unit(name).ok_or_else(|| fail(&format!("unknown unit {} in duration", quote(name))))?;
        if number > LIMIT / size {
            return Err(invalid());
        }
        let (digits, scale) = fraction(part);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "Go computes it so")]
        let small = if digits > 0 { (digits as f64 * (size as f64 / scale)) as u64 } else { 0 };
        total = (number * size).checked_add(small).and_then(|part| total.checked_add(part)).filter(|sum| *sum <= LIMIT).ok_or_else(invalid)?;
        rest = &tail[end..];
    }
    if negative {
        return Ok(total.cast_signed().wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// `Duration.String`.
pub(super) fn text(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let part = |unit: u64| {
        let (whole, rest) = (size / unit, size % unit);
        let digits = unit.ilog10() as usize;
        let fraction = format!("{rest:0digits$}");
        let fraction = if rest == 0 { "" } else { fraction.trim_end_matches('0') };
        format!("{whole}{}{fraction}", if fraction.is_empty() { "" } else { "." })
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", part(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", part(1_000_000)),
        _ => {
            let (minutes, hours) = (size / 60_000_000_000, size / 3_600_000_000_000);
            let whole = size / 1_000_000_000 % 60;
            let seconds = part(1_000_000_000);
            let fraction = seconds.split_once('.').map_or(String::new(), |(_, fraction)| format!(".{fraction}"));
            match (hours, minutes) {
                (0, 0) => format!("{sign}{whole}{fraction}s"),
                (0, _) => format!("{sign}{minutes}m{whole}{fraction}s"),
                _ => format!("{sign}{hours}h{}m{whole}{fraction}s", minutes % 60),
            }
        }
    }
}
