//! Floats as strconv.AppendFloat writes them.

use super::float_shortest;

/// As many digits as any float has: all after them are zeros, and Rust's formatting takes no more than 65,535.
const ALL_DIGITS: usize = 1100;

/// The zeros that follow [`ALL_DIGITS`].
fn zeros(precision: usize) -> String {
    "0".repeat(precision.saturating_sub(ALL_DIGITS))
}

fn exponent(n: i32) -> String {
    format!("{}{:02}", if n < 0 { '-' } else { '+' }, n.abs())
}

/// `strconv.FormatFloat`; without a precision, the shortest text that reads back.
pub(super) fn text(f: f64, verb: char, precision: Option<usize>) -> String {
    if !f.is_finite() {
        return float_shortest(f);
    }
    match (verb, precision) {
        ('f', p) => {
            let precision = p.unwrap_or(6);
            format!("{f:.*}{}", precision.min(ALL_DIGITS), zeros(precision))
        }
        ('e' | 'E', p) => {
            let text = scientific(f, p.unwrap_or(6));
            if verb == 'E' { text.to_uppercase() } else { text }
        }
        ('G', p) => text(f, 'g', p).to_uppercase(),
        ('b', _) => {
            let (mantissa, exponent) = parts(f);
            format!("{}{mantissa}p{exponent:+}", if f.is_sign_negative() { "-" } else { "" })
        }
        ('x' | 'X', p) => {
            let text = hexadecimal(f, p);
            if verb == 'X' { text.to_uppercase() } else { text }
        }
        (_, None) => float_shortest(f),
        (_, Some(p)) => general(f, p.max(1)),
    }
}

fn scientific(f: f64, precision: usize) -> String {
    let text = format!("{f:.*e}", precision.min(ALL_DIGITS));
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}e{}", zeros(precision), exponent(power.parse().unwrap_or(0)))
}

fn general(f: f64, precision: usize) -> String {
    // Zeros at the end are cut off anyhow.
    let precision = precision.min(ALL_DIGITS);
    let text = format!("{f:.*e}", precision - 1);
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let digits = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    // As many digits as the number has decide, if it is whole and has fewer than asked for.
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let mut limit = precision;
    if limit > count && i32::try_from(count).is_ok_and(|count| count > power) {
        limit = count;
    }
    if power < -4 || power >= i32::try_from(limit.max(1)).unwrap_or(i32::MAX) {
        return format!("{digits}e{}", exponent(power));
    }
    let decimals = usize::try_from(i32::try_from(precision).unwrap_or(i32::MAX) - 1 - power).unwrap_or(0);
    let text = format!("{f:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The mantissa as an integer, and the power of two it is multiplied with.
fn parts(f: f64) -> (u64, i32) {
    let bits = f.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let power = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    if power == 0 { (fraction, -1074) } else { (fraction | 1 << 52, power - 1075) }
}

/// `%x`: `0x1.8p+00`.
fn hexadecimal(f: f64, precision: Option<usize>) -> String {
    let sign = if f.is_sign_negative() { "-" } else { "" };
    let (mut mantissa, mut power) = parts(f);
    if mantissa == 0 {
        power = 0;
    } else {
        power += 52;
        while mantissa & 1 << 52 == 0 {
            mantissa <<= 1;
            power -= 1;
        }
    }
    // One bit before the point, sixty behind it.
    mantissa <<= 8;
    if let Some(digits) = precision.filter(|p| *p < 15) {
        let shift = 60 - digits * 4;
        let (kept, rest) = (mantissa >> shift, mantissa & ((1 << shift) - 1));
        let half = 1_u64 << (shift - 1);
        mantissa = (kept + u64::from(rest > half || (rest == half && kept & 1 == 1))) << shift;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            power += 1;
        }
    }
    let mut fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    match precision {
        None => fraction.truncate(fraction.trim_end_matches('0').len()),
        Some(p) if p < 15 => fraction.truncate(p),
        Some(p) => fraction.push_str(&"0".repeat(p - 15)),
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}0x{}{point}{fraction}p{}", mantissa >> 60, exponent(power))
}

/// `#`: always a point, and for `%g` all the digits asked for.
pub(super) fn with_point(body: &str, verb: char, precision: Option<usize>) -> String {
    let mut missing = match verb {
        'v' | 'g' | 'G' | 'x' => i64::try_from(precision.unwrap_or(6)).unwrap_or(i64::MAX),
        _ => 0,
    };
    let marks: &[char] = if matches!(verb, 'x' | 'X') { &['p', 'P'] } else { &['p', 'P', 'e', 'E'] };
    let (number, tail) = body.find(marks).map_or((body, ""), |at| body.split_at(at));
    let mut seen = false;
    for c in number.chars().filter(|c| *c != '.') {
        seen |= c != '0';
        missing -= i64::from(seen);
    }
    let mut out = number.to_owned();
    if !number.contains('.') {
        missing -= i64::from(number == "0");
        out.push('.');
    }
    out.push_str(&"0".repeat(usize::try_from(missing).unwrap_or(0)));
    out + tail
}
