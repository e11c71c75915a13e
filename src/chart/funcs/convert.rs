//! Conversion, comparison, kinds and defaults.

use super::Kind::{Any, Str};
use super::{Call, Function, empty, fixed, variadic};
use crate::chart::value::{Go, IntKind, deep_equal, equal, less, sprint};

pub(super) const ALL: &[Function] = &[
    fixed("int", &[Any], |c| Ok(Go::int(to_int(&c.any(0))))),
    fixed("int64", &[Any], |c| Ok(Go::int64(to_int(&c.any(0))))),
    fixed("atoi", &[Str], |c| Ok(Go::int(atoi(&c.str(0))))),
    fixed("float64", &[Any], |c| Ok(Go::Float(to_float(&c.any(0))))),
    fixed("toDecimal", &[Any], |c| Ok(Go::int64(i64::from_str_radix(&sprint(&[c.any(0)]), 8).unwrap_or(0)))),
    fixed("kindOf", &[Any], |c| Ok(c.any(0).kind().into())),
    fixed("kindIs", &[Str, Any], |c| Ok((*c.str(0) == *c.any(1).kind()).into())),
    fixed("typeOf", &[Any], |c| Ok(c.any(0).type_name().into())),
    fixed("typeIs", &[Str, Any], |c| Ok((*c.str(0) == *c.any(1).type_name()).into())),
    fixed("typeIsLike", &[Str, Any], |c| {
        let (wanted, value) = (c.str(0), c.any(1));
        Ok((*wanted == *value.type_name() || value.type_name().strip_prefix('*') == Some(&wanted)).into())
    }),
    fixed("deepEqual", &[Any, Any], |c| Ok(deep_equal(&c.any(0), &c.any(1))?.into())),
    variadic("eq", &[Any, Any], eq),
    fixed("ne", &[Any, Any], |c| Ok((!equal(&c.any(0), &c.any(1))?).into())),
    fixed("lt", &[Any, Any], |c| Ok(less(&c.any(0), &c.any(1))?.into())),
    fixed("le", &[Any, Any], |c| Ok((less(&c.any(0), &c.any(1))? || equal(&c.any(0), &c.any(1))?).into())),
    fixed("gt", &[Any, Any], |c| Ok((!less(&c.any(0), &c.any(1))? && !equal(&c.any(0), &c.any(1))?).into())),
    fixed("ge", &[Any, Any], |c| Ok((!less(&c.any(0), &c.any(1))?).into())),
    fixed("not", &[Any], |c| Ok((!c.any(0).truth()).into())),
    variadic("default", &[Any, Any], |c| Ok(if c.args.len() < 2 || empty(&c.any(1)) { c.any(0) } else { c.any(1) })),
    fixed("empty", &[Any], |c| Ok(empty(&c.any(0)).into())),
    variadic("coalesce", &[Any], |c| Ok(c.args.iter().find(|a| !empty(a)).cloned().unwrap_or(Go::Nil))),
    variadic("all", &[Any], |c| Ok(c.args.iter().all(|a| !empty(a)).into())),
    variadic("any", &[Any], |c| Ok(c.args.iter().any(|a| !empty(a)).into())),
];

fn eq(c: &mut Call<'_>) -> Result<Go, String> {
    if c.args.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &c.args[1..] {
        if equal(&c.args[0], other)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

/// `strconv.Atoi` without its error: beyond the range, the nearest there is.
pub(super) fn atoi(text: &str) -> i64 {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<i64>().unwrap_or_else(|error| match error.kind() {
        PosOverflow => i64::MAX,
        NegOverflow => i64::MIN,
        _ => 0,
    })
}

/// `cast.ToInt64` (spf13/cast v1.7): strings in Go's integer syntax, with nothing but zeros behind a point; everything else 0.
pub(super) fn to_int(value: &Go) -> i64 {
    match value {
        Go::Int(n, _) => *n,
        Go::Float(f) => truncate(*f),
        Go::Bool(b) => i64::from(*b),
        Go::Str(s) => crate::chart::gotmpl::integer(whole(s)).and_then(|n| i64::try_from(n).ok()).unwrap_or(0),
        _ => 0,
    }
}

/// What amd64 makes of a float: beyond the range, and without a number, it is the least integer.
pub(super) fn truncate(f: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f) { f as i64 } else { i64::MIN }
}

/// cast's `trimZeroDecimal`.
fn whole(text: &str) -> &str {
    let kept = text.trim_end_matches('0');
    match kept.strip_suffix('.') {
        Some(number) if kept.len() < text.len() => number,
        _ => text,
    }
}

/// `cast.ToFloat64`.
pub(super) fn to_float(value: &Go) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "Go converts likewise")]
        Go::Int(n, IntKind::Uint64) => *n as u64 as f64,
        #[expect(clippy::cast_precision_loss, reason = "Go converts likewise")]
        Go::Int(n, _) => *n as f64,
        Go::Float(f) => *f,
        Go::Bool(b) => f64::from(u8::from(*b)),
        Go::Str(s) => parse_float(s).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// `strconv.ParseFloat`; what is out of range is none.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = body.to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity" | "nan") {
        let f = if lower == "nan" { f64::NAN } else { f64::INFINITY };
        return Some(if text.starts_with('-') { -f } else { f });
    }
    let hexadecimal = lower.starts_with("0x");
    if hexadecimal != lower.contains('p') || !body.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        return None;
    }
    let bytes = lower.as_bytes();
    let digit = |b: u8| b.is_ascii_digit() || (hexadecimal && (b.is_ascii_hexdigit() || b == b'x'));
    let lonely = |(i, b): (usize, &u8)| *b == b'_' && !(i > 0 && digit(bytes[i - 1]) && bytes.get(i + 1).is_some_and(|b| digit(*b)));
    if bytes.iter().enumerate().any(lonely) {
        return None;
    }
    crate::chart::gotmpl::float(text).filter(|f| f.is_finite())
}
