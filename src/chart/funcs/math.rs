//! Arithmetic as sprig does it: int64 with wrapping, or float64.

use super::Kind::Any;
use super::convert::{to_float, to_int};
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
    variadic("addf", &[Any], |c| Ok(Go::Float(c.args.iter().map(to_float).sum()))),
    fixed("add1f", &[Any], |c| Ok(Go::Float(to_float(&c.any(0)) + 1.0))),
    variadic("mulf", &[Any, Any], |c| Ok(Go::Float(c.args.iter().map(to_float).product()))),
    variadic("subf", &[Any, Any], |c| Ok(Go::Float(c.args.iter().map(to_float).reduce(|a, b| a - b).unwrap_or(0.0)))),
    variadic("divf", &[Any, Any], |c| Ok(Go::Float(c.args.iter().map(to_float).reduce(|a, b| a / b).unwrap_or(0.0)))),
    variadic("maxf", &[Any, Any], |c| Ok(Go::Float(c.args.iter().map(to_float).fold(f64::MIN, f64::max)))),
    variadic("minf", &[Any, Any], |c| Ok(Go::Float(c.args.iter().map(to_float).fold(f64::MAX, f64::min)))),
    fixed("floor", &[Any], |c| Ok(Go::Float(to_float(&c.any(0)).floor()))),
    fixed("ceil", &[Any], |c| Ok(Go::Float(to_float(&c.any(0)).ceil()))),
    variadic("round", &[Any, Any], |c| {
        let scale = 10f64.powi(i32::try_from(to_int(&c.any(1))).unwrap_or(0));
        Ok(Go::Float((to_float(&c.any(0)) * scale).round() / scale))
    }),
    variadic("until", &[Any], |c| {
        let n = to_int(&c.any(0));
        sequence(c, 0, n, if n < 0 { -1 } else { 1 })
    }),
    fixed("untilStep", &[Any, Any, Any], |c| sequence(c, to_int(&c.any(0)), to_int(&c.any(1)), to_int(&c.any(2)))),
    variadic("seq", &[Any], |c| {
        let n: Vec<i64> = c.args.iter().map(to_int).collect();
        let (from, step, to) = match n[..] {
            [to] => (1, if to < 1 { -1 } else { 1 }, to),
            [from, to] => (from, if to < from { -1 } else { 1 }, to),
            [from, step, to] => (from, step, to),
            _ => return Ok("".into()),
        };
        let Go::List(items) = sequence(c, from, to.saturating_add(step.signum()), step)? else { return Ok("".into()) };
        Ok(items.iter().map(super::text_of).collect::<Vec<_>>().join(" ").into())
    }),
];

fn divide(c: &Call<'_>, f: fn(i64, i64) -> i64) -> Result<Go, String> {
    match to_int(&c.any(1)) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        n => Ok(Go::int64(f(to_int(&c.any(0)), n))),
    }
}

fn sequence(c: &Call<'_>, from: i64, to: i64, step: i64) -> Result<Go, String> {
    let mut items = Vec::new();
    let mut n = from;
    while (step > 0 && n < to) || (step < 0 && n > to) {
        c.run.reserve(32)?;
        items.push(n);
        n = n.saturating_add(step);
    }
    Ok(Go::ints(items))
}
