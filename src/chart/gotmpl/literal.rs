//! Go's literals: quoting, unquoting and numbers (strconv and parse/node.go).

use std::borrow::Cow;

use super::ast::Number;
use crate::goyaml::quote;

/// Go's `strconv.Unquote` of a literal with its quotes; `None` is a syntax error.
pub(crate) fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let mark = text.chars().next()?;
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if mark == '`' {
        return Some(if inner.contains('\r') { Cow::Owned(inner.replace('\r', "")) } else { Cow::Borrowed(inner) });
    }
    if !inner.contains(['\\', mark]) {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            if c == mark {
                return None;
            }
            out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        rest = escape(&rest[1..], mark, &mut out)?;
    }
    Some(Cow::Owned(crate::chart::value::text_from(&out)))
}

fn escape<'a>(rest: &'a str, mark: char, out: &mut Vec<u8>) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let tail = &rest[c.len_utf8()..];
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' => 92,
        '"' | '\'' if c == mark => u8::try_from(c).ok()?,
        'x' | 'u' | 'U' => {
            let width = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let n = u32::from_str_radix(tail.get(..width)?, 16).ok()?;
            if c == 'x' {
                out.push(u8::try_from(n).ok()?);
            } else {
                out.extend_from_slice(char::from_u32(n)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            return Some(&tail[width..]);
        }
        '0'..='7' => {
            out.push(u8::try_from(u32::from_str_radix(rest.get(..3)?, 8).ok()?).ok()?);
            return Some(&rest[3..]);
        }
        _ => return None,
    };
    out.push(simple);
    Some(tail)
}

/// Go's `newNumber` for a character constant, a complex or any other number; the error is Go's text.
pub(crate) fn number(text: &str, char_constant: bool) -> Result<Number, String> {
    let bad = || format!("bad number syntax: {}", quote(text));
    if char_constant {
        return rune(text);
    }
    if let Some(body) = text.strip_suffix('i') {
        let split = body.bytes().enumerate().skip(1).rfind(|(i, b)| matches!(b, b'+' | b'-') && !matches!(body.as_bytes()[i - 1], b'e' | b'E'));
        let (re, im) = match split {
            Some((i, _)) => (float(&body[..i]).ok_or_else(bad)?, float(&body[i..]).ok_or_else(bad)?),
            None => (0.0, float(body).ok_or_else(bad)?),
        };
        return Ok(Number::Complex(re, im));
    }
    match integer(text) {
        Some(n) => {
            if let Ok(n) = i64::try_from(n) {
                return Ok(Number::Int(n));
            }
            if let Ok(n) = u64::try_from(n) {
                return Ok(Number::Uint(n));
            }
            Err(format!("integer overflow: {}", quote(text)))
        }
        None if text.contains(['.', 'e', 'E', 'p', 'P']) => Ok(Number::Float(float(text).ok_or_else(bad)?)),
        None if text.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit()) && !text.trim_start_matches(['+', '-']).starts_with('0') => {
            Err(format!("integer overflow: {}", quote(text)))
        }
        None => Err(bad()),
    }
}

/// A character constant with its quotes (`strconv.UnquoteChar`, and no more than one character).
fn rune(text: &str) -> Result<Number, String> {
    let invalid = || "invalid syntax".to_owned();
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    let first = inner.chars().next().ok_or_else(invalid)?;
    let mut bytes = Vec::new();
    let rest = if first == '\\' { escape(&inner[1..], '\'', &mut bytes).ok_or_else(invalid)? } else { &inner[first.len_utf8()..] };
    if !rest.is_empty() {
        return Err(format!("malformed character constant: {text}"));
    }
    let value = match (first, &bytes[..]) {
        ('\\', [byte]) => u32::from(*byte),
        ('\\', bytes) => String::from_utf8_lossy(bytes).chars().next().map_or(0, u32::from),
        (c, _) => u32::from(c),
    };
    Ok(Number::Int(i64::from(value)))
}

fn underscores_ok(digits: &str, based: bool) -> bool {
    !digits.ends_with('_') && !digits.contains("__") && (based || !digits.starts_with('_'))
}

/// Go's `strconv.ParseInt(text, 0, …)`.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = if let Some(d) = lower.strip_prefix("0x") {
        (16, d)
    } else if let Some(d) = lower.strip_prefix("0o") {
        (8, d)
    } else if let Some(d) = lower.strip_prefix("0b") {
        (2, d)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !underscores_ok(digits, radix != 10) || digits.starts_with(['+', '-']) {
        return None;
    }
    let n = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -n } else { n })
}

/// Go's `strconv.ParseFloat` for the syntax of numbers, hexadecimal floats included.
pub(crate) fn float(text: &str) -> Option<f64> {
    let clean = text.replace('_', "");
    let body = clean.trim_start_matches(['+', '-']);
    if let Some(hex) = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        let (mantissa, exponent) = hex.split_once(['p', 'P'])?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut value = 0.0_f64;
        for c in whole.chars().chain(fraction.chars()) {
            value = value * 16.0 + f64::from(c.to_digit(16)?);
        }
        let shift = exponent.parse::<i32>().ok()? - 4 * i32::try_from(fraction.len()).ok()?;
        let value = value * 2.0_f64.powi(shift);
        return Some(if clean.starts_with('-') { -value } else { value });
    }
    clean.parse::<f64>().ok().filter(|f| f.is_finite())
}
