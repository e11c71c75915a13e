//! Numbers as the schema library compares and prints them: exactly, and in English (golang.org/x/text/message).

use std::cmp::Ordering;

use serde_json::Value;

/// A decimal number: `digits` times ten to the `exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
    float: f64,
}

impl Decimal {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        let float = number.as_f64()?;
        if let Some(integer) = number.as_i128() {
            return Some(Self { digits: integer, exponent: 0, float });
        }
        let text = format!("{float:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        Some(Self { digits: format!("{whole}{fraction}").parse().ok()?, exponent, float })
    }

    pub(super) fn is_integer(&self) -> bool {
        self.exponent >= 0 || self.float.fract() == 0.0
    }

    /// The number as a count.
    pub(super) fn whole(&self) -> Option<usize> {
        if !self.is_integer() {
            return None;
        }
        format!("{:.0}", self.float).parse().ok()
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match aligned(self, other) {
            Some((own, its)) => own.cmp(&its),
            None => self.float.total_cmp(&other.float),
        }
    }

    pub(super) fn is_multiple_of(&self, other: &Self) -> bool {
        match aligned(self, other) {
            Some((_, 0)) => true,
            Some((own, its)) => own % its == 0,
            None => (self.float / other.float).fract() == 0.0,
        }
    }

    /// `%v` in English: thousands are grouped, small and large ones are powers of ten.
    pub(super) fn english(&self) -> String {
        if self.float == 0.0 {
            return "0".to_owned();
        }
        let text = format!("{:e}", self.float);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        // "use precision 6 for this decision" (printer.fmtVariableFloat).
        if (-4..6).contains(&exponent) {
            return grouped(&format!("{}", self.float));
        }
        let sign = if exponent < 0 { "⁻" } else { "" };
        let raised: String = format!("{:02}", exponent.abs()).chars().map(|c| SUPER[c.to_digit(10).unwrap_or(0) as usize]).collect();
        format!("{mantissa}×10{sign}{raised}")
    }
}

const SUPER: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

/// `%d` in English.
pub(super) fn count(number: usize) -> String {
    grouped(&number.to_string())
}

fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, String::new()), |(whole, fraction)| (whole, format!(".{fraction}")));
    let mut shown = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    format!("{sign}{shown}{fraction}")
}

/// Both with the same exponent.
fn aligned(left: &Decimal, right: &Decimal) -> Option<(i128, i128)> {
    let exponent = left.exponent.min(right.exponent);
    let scale = |number: &Decimal| {
        let up = u32::try_from(number.exponent - exponent).ok()?;
        number.digits.checked_mul(10_i128.checked_pow(up)?)
    };
    Some((scale(left)?, scale(right)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: impl Into<Value>) -> Decimal {
        Decimal::of(&value.into()).unwrap()
    }

    #[test]
    fn numbers_are_english() {
        for (value, want) in [
            (json!(70000.0), "70,000"),
            (json!(1_234_567.891), "1.234567891×10⁰⁶"),
            (json!(1e-7), "1×10⁻⁰⁷"),
            (json!(999_999.5), "999,999.5"),
            (json!(1e21), "1×10²¹"),
            (json!(-70000), "-70,000"),
            (json!(0.1), "0.1"),
            (json!(0), "0"),
        ] {
            assert_eq!(number(value).english(), want);
        }
        assert_eq!((count(1_234_567), count(12)), ("1,234,567".to_owned(), "12".to_owned()));
    }

    #[test]
    fn decimals_are_exact() {
        assert!(number(json!(0.3)).is_multiple_of(&number(json!(0.1))));
        assert!(!number(json!(0.35)).is_multiple_of(&number(json!(0.1))));
        assert!(number(json!(5.0)).is_integer() && number(json!(1e20)).is_integer() && !number(json!(1.5)).is_integer());
        assert_eq!(number(json!(1)).compare(&number(json!(1.0))), Ordering::Equal);
        assert_eq!(number(json!(3.0)).whole(), Some(3));
    }
}
