//! Numbers as Go reads and prints them.

use serde_json::{Number, Value};

use super::resolve::Resolved;

/// `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
pub(super) fn parse_int(text: &str) -> Option<Resolved> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let signed = if negative { -number } else { number };
    if let Ok(number) = i64::try_from(signed) {
        return Some(Resolved::Int(number));
    }
    // ParseUint takes no sign.
    if text.starts_with('+') { None } else { u64::try_from(signed).ok().map(Resolved::Uint) }
}

/// A float that matches go-yaml's `yamlStyleFloat` and is finite.
pub(super) fn yaml_float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Mantissa and exponent of the shortest text that reads as the same number.
fn scientific(number: f64) -> (String, i32) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

fn with_exponent(mantissa: &str, exponent: i32, width: usize) -> String {
    format!("{mantissa}e{}{:0width$}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `strconv.FormatFloat(number, 'g', -1, 64)`: with an exponent below 1e-4 and from 1e+06.
pub fn float_general(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let (mantissa, exponent) = scientific(number);
    if (-4..GENERAL_LIMIT).contains(&exponent) { format!("{number}") } else { with_exponent(&mantissa, exponent, 2) }
}

/// "If precision was the shortest possible, use precision 6 for this decision" (strconv/ftoa.go).
const GENERAL_LIMIT: i32 = 6;

/// A float as `encoding/json` writes it.
pub fn float_json(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let (mantissa, exponent) = scientific(number);
        // encoding/json cleans e-09 to e-9, and only that.
        with_exponent(&mantissa, exponent, if exponent < 0 { 1 } else { 2 })
    } else {
        format!("{number}")
    }
}

/// Makes every number a float.
pub(super) fn all_floats(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().and_then(Number::from_f64) {
                *number = float;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(all_floats),
        Value::Object(map) => map.values_mut().for_each(all_floats),
        _ => {}
    }
}

/// A scalar where Go wants a string: numbers and truth values are spelled out (`convertToJSONableObject` of sigs.k8s.io/yaml).
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(float_32),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A float as Go prints it with the precision of 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "sigs.k8s.io/yaml formats such floats with 32 bits")]
pub(super) fn float_32(number: f64) -> String {
    let short = number as f32;
    if short.is_finite() { format!("{short}").parse().map_or_else(|_| float_general(number), float_general) } else { float_general(f64::from(short)) }
}
