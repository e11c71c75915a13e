//! Arithmetic as sprig does it (numeric.go): int64 with wrapping, decimals for floats.

use super::Kind::{Any, Float, Int};
use super::convert::{to_float, to_int};
use super::decimal::Decimal;
use super::{Call, Function, fixed, variadic};
use crate::chart::value::Go;

pub(super) const ALL: &[Function] = &[
    variadic("add", &[Any], |c| Ok(Go::int64(c.args.iter().fold(0, |n, a| i64::wrapping_add(n, to_int(a)))))),
    fixed("add1", &[Any], |c| Ok(Go::int64(to_int(&c.any(0)).wrapping_add(1)))),
    fixed("sub", &[Any, Any], |c| Ok(Go::int64(to_int(&c.any(0)).wrapping_sub(to_int(&c.any(1)))))),
    variadic("mul", &[Any, Any], |c| Ok(Go::int64(c.args.iter().fold(1, |n, a| i64::wrapping_mul(n, to_int(a)))))),
    fixed("div", &[Any, Any], |c| divide(c, i64::wrapping_div)),
    fixed("mod", &[Any, Any], |c| divide(c, i64::wrapping_rem)),
    variadic("max", &[Any, Any], |c| Ok(Go::int64(c.args.iter().map(to_int).max().unwrap_or(0)))),
    variadic("min", &[Any, Any], |c| Ok(Go::int64(c.args.iter().map(to_int).min().unwrap_or(0)))),
    variadic("biggest", &[Any, Any], |c| Ok(Go::int64(c.args.iter().map(to_int).max().unwrap_or(0)))),
    variadic("addf", &[Any], |c| decimals(&std::iter::once(Go::Float(0.0)).chain(c.args.iter().cloned()).collect::<Vec<_>>(), |a, b| Ok(a.add(b)))),
    fixed("add1f", &[Any], |c| decimals(&[c.any(0), Go::Float(1.0)], |a, b| Ok(a.add(b)))),
    variadic("mulf", &[Any, Any], |c| decimals(&c.args, |a, b| Ok(a.mul(b)))),
    variadic("subf", &[Any, Any], |c| decimals(&c.args, |a, b| Ok(a.sub(b)))),
    variadic("divf", &[Any, Any], |c| decimals(&c.args, Decimal::div)),
    variadic("maxf", &[Any, Any], |c| Ok(extreme(&c.args, f64::max))),
    variadic("minf", &[Any, Any], |c| Ok(extreme(&c.args, f64::min))),
    fixed("floor", &[Any], |c| Ok(Go::Float(to_float(&c.any(0)).floor()))),
    fixed("ceil", &[Any], |c| Ok(Go::Float(to_float(&c.any(0)).ceil()))),
    variadic("round", &[Any, Int, Float], |c| Ok(Go::Float(round(to_float(&c.any(0)), c.int(1), if c.args.len() > 2 { to_float(&c.any(2)) } else { 0.5 })))),
    fixed("until", &[Int], |c| {
        let count = c.int(0);
        Ok(Go::ints(sequence(c, 0, count, if count < 0 { -1 } else { 1 })?))
    }),
    fixed("untilStep", &[Int, Int, Int], |c| Ok(Go::ints(sequence(c, c.int(0), c.int(1), c.int(2))?))),
    variadic("seq", &[Int], seq),
    fixed("randInt", &[Int, Int], |c| {
        let (least, span) = (c.int(0), c.int(1).wrapping_sub(c.int(0)));
        if span <= 0 {
            return Err("invalid argument to Intn".to_owned());
        }
        Ok(Go::int(least.wrapping_add(super::random::below(span.unsigned_abs())?.cast_signed())))
    }),
];

fn divide(c: &Call<'_>, f: fn(i64, i64) -> i64) -> Result<Go, String> {
    match to_int(&c.any(1)) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        n => Ok(Go::int64(f(to_int(&c.any(0)), n))),
    }
}

/// `execDecimalOp`.
fn decimals(args: &[Go], f: impl Fn(&Decimal, &Decimal) -> Result<Decimal, String>) -> Result<Go, String> {
    // Digits without end are the point of decimals.
    crate::chart::meter::steps(args.len() as u64 * 100)?;
    let mut all = args.iter().map(|a| Decimal::new(to_float(a)));
    let mut result = all.next().unwrap_or_else(|| Decimal::new(0.0))?;
    for next in all {
        result = f(&result, &next?)?;
    }
    Ok(Go::Float(result.float()))
}

/// `math.Max` and `math.Min`: what is no number wins, unlike in Rust.
fn extreme(args: &[Go], f: fn(f64, f64) -> f64) -> Go {
    let pick = |a: f64, b: f64| match (a.is_nan() || b.is_nan(), a.is_infinite(), b.is_infinite()) {
        (true, true, _) if f(a, 0.0).is_infinite() => a,
        (true, _, true) if f(b, 0.0).is_infinite() => b,
        (true, ..) => f64::NAN,
        // Of two zeros, the sign decides.
        _ if a == 0.0 && b == 0.0 => f(a.signum(), b.signum()) * 0.0,
        _ => f(a, b),
    };
    Go::Float(args.iter().map(to_float).reduce(pick).unwrap_or(0.0))
}

fn round(value: f64, places: i64, on: f64) -> f64 {
    let power = 10_f64.powi(i32::try_from(places).unwrap_or(if places < 0 { i32::MIN } else { i32::MAX }));
    let digit = power * value;
    let rounded = if digit.fract() >= on { digit.ceil() } else { digit.floor() };
    rounded / power
}

/// `untilStep`.
fn sequence(c: &Call<'_>, from: i64, to: i64, step: i64) -> Result<Vec<i64>, String> {
    let mut items = Vec::new();
    let mut n = from;
    while (step > 0 && n < to) || (step < 0 && to < from && n > to) {
        c.run.reserve(32)?;
        items.push(n);
        n = n.saturating_add(step);
    }
    Ok(items)
}

fn seq(c: &mut Call<'_>) -> Result<Go, String> {
    let numbers: Vec<i64> = (0..c.args.len()).map(|i| c.int(i)).collect();
    let (from, step, to) = match numbers[..] {
        [to] => (1, if to < 1 { -1 } else { 1 }, to),
        [from, to] => (from, if to < from { -1 } else { 1 }, to),
        [from, step, to] if to < from && step > 0 => return Ok("".into()),
        [from, step, to] => (from, step, to),
        _ => return Ok("".into()),
    };
    let end = to.wrapping_add(if to < from { -1 } else { 1 });
    let items: Vec<String> = sequence(c, from, end, step)?.iter().map(i64::to_string).collect();
    Ok(items.join(" ").into())
}
