//! Conversion, comparison, kinds and defaults.

use super::Kind::{Any, Str};
use super::{Call, Function, empty, fixed, text_of, variadic};
use crate::chart::value::{Go, deep_equal, equal, less};

pub(super) const ALL: &[Function] = &[
    fixed("int", &[Any], |c| Ok(Go::int(to_int(&c.any(0))))),
    fixed("int64", &[Any], |c| Ok(Go::int64(to_int(&c.any(0))))),
    fixed("atoi", &[Str], |c| Ok(Go::int(c.str(0).parse::<i64>().unwrap_or(0)))),
    fixed("float64", &[Any], |c| Ok(Go::Float(to_float(&c.any(0))))),
    fixed("toDecimal", &[Any], |c| Ok(Go::int64(i64::from_str_radix(&text_of(&c.any(0)), 8).unwrap_or(0)))),
    fixed("kindOf", &[Any], |c| Ok(c.any(0).kind().into())),
    fixed("kindIs", &[Str, Any], |c| Ok((*c.str(0) == *c.any(1).kind()).into())),
    fixed("typeOf", &[Any], |c| Ok(c.any(0).type_name().into())),
    fixed("typeIs", &[Str, Any], |c| Ok((*c.str(0) == *c.any(1).type_name()).into())),
    fixed("typeIsLike", &[Str, Any], |c| Ok((*c.str(0) == *c.any(1).type_name().trim_start_matches('*')).into())),
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

/// cast.ToInt64: strings in Go's integer syntax, everything else 0.
pub(super) fn to_int(value: &Go) -> i64 {
    match value {
        Go::Int(n, _) => *n,
        // What does not fit becomes the smallest number, as on the processors that Helm runs on.
        Go::Float(f) if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(f) => i64::MIN,
        #[expect(clippy::cast_possible_truncation, reason = "Go truncates")]
        Go::Float(f) => *f as i64,
        Go::Bool(b) => i64::from(*b),
        Go::Str(s) => crate::chart::gotmpl::integer(s).and_then(|n| i64::try_from(n).ok()).unwrap_or(0),
        _ => 0,
    }
}

/// cast.ToFloat64.
pub(super) fn to_float(value: &Go) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "Go converts likewise")]
        Go::Int(n, _) => *n as f64,
        Go::Float(f) => *f,
        Go::Bool(b) => f64::from(u8::from(*b)),
        Go::Str(s) => s.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}
