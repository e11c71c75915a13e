//! Go's fmt: `%v` and its relatives, flags, widths, and the `%!verb(type=value)` of mistakes (fmt/print.go, fmt/format.go).

mod float;
mod printer;
mod scan;

use std::cell::Cell;

use super::{Go, MAX_NESTING};
use crate::chart::meter;
use printer::Printer;

pub(crate) use scan::sprintf;

/// A float as Go's `%v` prints it.
pub(crate) fn float_shortest(f: f64) -> String {
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if f.is_nan() { "NaN".to_owned() } else { crate::goyaml::float_general(f) }
}

/// Whether an operand is a string to `Sprint`, which puts no space beside those.
fn is_string(arg: &Go) -> bool {
    arg.kind() == "string"
}

/// Go's `fmt.Sprint`: spaces between operands when neither is a string.
pub(crate) fn sprint(args: &[Go]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && !is_string(arg) && !is_string(&args[i - 1]) {
            out.push(' ');
        }
        Printer::new(&mut out).print(arg, 'v');
    }
    out
}

/// Go's `fmt.Sprintln`.
pub(crate) fn println(args: &[Go]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        Printer::new(&mut out).print(arg, 'v');
    }
    out.push('\n');
    out
}

/// What `{{ value }}` prints: nil apart, lists and maps as `%v`.
pub(crate) fn print(arg: &Go, out: &mut String) {
    match arg {
        Go::Nil => out.push_str("<no value>"),
        Go::Str(s) => out.push_str(s),
        Go::Host(host) if host.printed().is_some() => out.push_str(&host.printed().unwrap_or_default()),
        other => {
            let mut printer = Printer::new(out);
            printer.indirect = true;
            printer.print(other, 'v');
        }
    }
}

/// What one call may print.
const MAX_PRINTED: u64 = 256 << 20;

thread_local! {
    /// Set where printing was cut short; Go would have printed on until its stack or memory ended. Printing itself has no way
    /// to fail, so whoever asked for it has to look here.
    static OVERFLOW: Cell<bool> = const { Cell::new(false) };
}

/// Whether anything printed by this thread since the last call was cut short, as an error.
pub(crate) fn take_overflow() -> Result<(), String> {
    if OVERFLOW.take() {
        return Err(format!("a value is nested more than {MAX_NESTING} deep, or prints as more than {MAX_PRINTED} bytes"));
    }
    Ok(())
}

/// Whether printing may go on at this depth.
fn fits(depth: usize, out: &str) -> bool {
    // Once it is cut short nothing more is printed: a map that holds itself twice would go on almost for ever.
    if OVERFLOW.get() {
        return false;
    }
    // A text that grows takes up to three times its length on the way to a value.
    if out.len() as u64 > (meter::room() / 3).min(MAX_PRINTED) {
        let _ = meter::bytes(out.len() as u64 * 3);
        OVERFLOW.set(true);
    }
    if depth > MAX_NESTING || meter::steps(1).is_err() {
        OVERFLOW.set(true);
    }
    !OVERFLOW.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::engine::Budget;
    use crate::chart::value::IntKind;

    #[test]
    fn bytes_print_as_the_list_of_their_numbers() {
        for bytes in [vec![], vec![7], (0..=255).chain([0, 9, 10, 99, 100]).collect()] {
            let list = Go::list(bytes.iter().map(|b| Go::Int(i64::from(*b), IntKind::Uint8)).collect());
            assert_eq!(sprint(&[Go::Bytes(bytes.into())]), sprint(&[list]));
        }
    }

    /// bitnami/envoy-gateway has `dict "value" .Values.annotations .Values.commonAnnotations "context" $` five times, which makes a key of all that the
    /// chart holds, its definitions of three megabytes as well.
    #[test]
    fn a_chart_that_prints_its_own_files_is_not_refused() {
        let _account = meter::open(&Budget::default());
        let file = Go::Bytes(vec![100; 3 << 20].into());
        for _ in 0..5 {
            assert_eq!(sprint(std::slice::from_ref(&file)).len(), (12 << 20) + 1);
        }
        assert_eq!((take_overflow(), meter::used_up()), (Ok(()), None));
    }
}
