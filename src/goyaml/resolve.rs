//! What a plain scalar means: go-yaml v2's `resolve` (resolve.go), which is YAML 1.1 with exceptions.

use super::number::{parse_int, yaml_float};

/// What a scalar turned out to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Resolved {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond `i64`.
    Uint(u64),
    /// A float; may be infinite or not a number.
    Float(f64),
    /// A date; go-yaml gives the text back.
    Timestamp,
    /// Just text.
    Str,
}

/// Resolves an untagged plain scalar.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Resolved::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => match text.as_bytes()[0] {
            b'.' => yaml_float(text).map_or(Resolved::Str, Resolved::Float),
            b'0'..=b'9' | b'+' | b'-' => number(text),
            _ => Resolved::Str,
        },
    }
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain = text.replace('_', "");
    parse_int(&plain).or_else(|| yaml_float(&plain).map(Resolved::Float)).unwrap_or(Resolved::Str)
}

/// `parseTimestamp`: `2001-1-2`, optionally with a time as RFC 3339 writes it, or after a space and without a zone.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 6 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let year: u32 = text[..4].parse().unwrap_or(0);
    let Some((month, rest)) = field(&text[5..], 1) else { return false };
    let Some(rest) = rest.strip_prefix('-') else { return false };
    let Some((day, rest)) = field(rest, 1) else { return false };
    if !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
        return false;
    }
    match rest.as_bytes().first() {
        None => true,
        Some(b' ') => clock(&rest[1..]) == Some(""),
        Some(b'T' | b't') => clock(&rest[1..]).is_some_and(is_zone),
        Some(_) => false,
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A number of `least` to two digits.
fn field(text: &str, least: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits < least { None } else { Some((text[..digits].parse().ok()?, &text[digits..])) }
}

/// What follows `15:4:5.999`, if that is a time of day.
fn clock(text: &str) -> Option<&str> {
    let (hour, rest) = field(text, 1)?;
    let (minute, rest) = field(rest.strip_prefix(':')?, 1)?;
    let (second, rest) = field(rest.strip_prefix(':')?, 1)?;
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 { rest } else { &fraction[digits..] }
        }
        None => rest,
    };
    (hour < 24 && minute < 60 && second < 60).then_some(rest)
}

/// `Z`, or `+hh:mm`.
fn is_zone(text: &str) -> bool {
    let Some(offset) = text.strip_prefix(['+', '-']) else { return text == "Z" };
    let Some((hours, rest)) = field(offset, 2) else { return false };
    let Some((minutes, "")) = rest.strip_prefix(':').and_then(|rest| field(rest, 2)) else { return false };
    hours <= 24 && minutes < 60
}

/// Whether text reads as a base 60 number, which go-yaml quotes for other readers' sake.
pub(super) fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !body.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let mut parts = body.split(':');
    let head = parts.next().unwrap_or_default();
    if !head.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let minute = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|part| minute(part)) && minute(whole) && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}
