//! Go's `time.Month`, `time.Weekday` and `time.Duration`: numbers with a text.

use std::sync::Arc;

use super::super::Kind;
use super::{duration, layout};
use crate::chart::value::{Go, Host};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Type {
    Month,
    Weekday,
    Duration,
}

/// A number of a type of its own.
#[derive(Debug)]
pub(super) struct Number {
    of: Type,
    number: i64,
}

/// The number in a duration or an integer.
pub(super) fn plain(value: &Go) -> i64 {
    match value {
        Go::Int(n, _) => *n,
        Go::Host(host) => host.number().unwrap_or(0),
        _ => 0,
    }
}

impl Number {
    fn wrap(of: Type, number: i64) -> Go {
        Go::Host(Arc::new(Number { of, number }))
    }

    /// From 1.
    pub(super) fn month(number: i64) -> Go {
        Number::wrap(Type::Month, number)
    }

    /// From 0.
    pub(super) fn weekday(number: i64) -> Go {
        Number::wrap(Type::Weekday, number)
    }

    pub(super) fn duration(nanoseconds: i64) -> Go {
        Number::wrap(Type::Duration, nanoseconds)
    }

    /// What is over a multiple of the argument is cut off, or rounded away from zero.
    fn rounded(&self, unit: i64, up: bool) -> Go {
        if unit <= 0 {
            return Number::duration(self.number);
        }
        let rest = self.number % unit;
        let low = self.number - rest;
        let far = up && rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs();
        Number::duration(if far { low.saturating_add(unit * rest.signum()) } else { low })
    }
}

impl Host for Number {
    fn type_name(&self) -> &'static str {
        match self.of {
            Type::Month => "time.Month",
            Type::Weekday => "time.Weekday",
            Type::Duration => "time.Duration",
        }
    }

    fn kind(&self) -> &'static str {
        if self.of == Type::Duration { "int64" } else { "int" }
    }

    fn number(&self) -> Option<i64> {
        Some(self.number)
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        match (method, self.of) {
            ("String", _) | ("Hours" | "Minutes" | "Seconds" | "Milliseconds" | "Microseconds" | "Nanoseconds" | "Abs", Type::Duration) => Some(&[]),
            ("Round" | "Truncate", Type::Duration) => Some(&[Kind::Duration]),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        /// Whole units, and the rest of one.
        #[expect(clippy::cast_precision_loss, reason = "Go computes it so")]
        fn float(number: i64, unit: i64) -> Go {
            Go::Float((number / unit) as f64 + (number % unit) as f64 / unit as f64)
        }
        let (number, unit) = (self.number, args.first().map_or(0, plain));
        Some(Ok(match name {
            "String" => self.text().into(),
            "Hours" => float(number, 3_600_000_000_000),
            "Minutes" => float(number, 60_000_000_000),
            "Seconds" => float(number, 1_000_000_000),
            "Milliseconds" => Go::int64(number / 1_000_000),
            "Microseconds" => Go::int64(number / 1_000),
            "Nanoseconds" => Go::int64(number),
            "Abs" => Number::duration(number.saturating_abs()),
            "Round" => self.rounded(unit, true),
            "Truncate" => self.rounded(unit, false),
            _ => return None,
        }))
    }

    fn text(&self) -> String {
        let name = |names: &[&str], number: i64, of: &str| match usize::try_from(number).ok().and_then(|at| names.get(at)) {
            Some(name) => (*name).to_owned(),
            None => format!("%!{of}({number})"),
        };
        match self.of {
            Type::Month => name(&layout::MONTHS, self.number - 1, "Month"),
            Type::Weekday => name(&layout::DAYS, self.number, "Weekday"),
            Type::Duration => duration::text(self.number),
        }
    }

    fn json(&self) -> serde_json::Value {
        self.number.into()
    }

    fn truth(&self) -> Option<bool> {
        Some(self.number != 0)
    }
}
