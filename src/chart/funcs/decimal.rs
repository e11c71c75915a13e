//! shopspring/decimal v1.4, as far as sprig's float arithmetic uses it: floats are taken as the decimals they print as.

use num_bigint_dig::{BigInt, Sign};

/// `decimal.DivisionPrecision`.
const PRECISION: i32 = 16;

/// `value * 10^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    value: BigInt,
    exponent: i32,
}

fn ten_to(power: i32) -> BigInt {
    power_of(&BigInt::from(10), u32::try_from(power).unwrap_or(0))
}

fn power_of(base: &BigInt, mut power: u32) -> BigInt {
    let (mut result, mut square) = (BigInt::from(1), base.clone());
    while power > 0 {
        if power & 1 == 1 {
            result *= &square;
        }
        power >>= 1;
        if power > 0 {
            square = &square * &square;
        }
    }
    result
}

impl Decimal {
    /// `decimal.NewFromFloat`: the shortest decimal that reads back as this float.
    pub(super) fn new(f: f64) -> Result<Self, String> {
        if !f.is_finite() {
            return Err(format!("Cannot create a Decimal from {}", crate::chart::value::float_shortest(f)));
        }
        let text = format!("{f:e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let value = format!("{whole}{fraction}").parse().unwrap_or_default();
        let exponent = power.parse::<i32>().unwrap_or(0) - i32::try_from(fraction.len()).unwrap_or(0);
        Ok(Decimal { value, exponent })
    }

    /// The value at a smaller exponent.
    fn scaled(&self, exponent: i32) -> BigInt {
        &self.value * ten_to(self.exponent - exponent)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Decimal { value: self.scaled(exponent) + other.scaled(exponent), exponent }
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Decimal { value: self.scaled(exponent) - other.scaled(exponent), exponent }
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        Decimal { value: &self.value * &other.value, exponent: self.exponent + other.exponent }
    }

    /// `DivRound` to sixteen places, halves away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, String> {
        if other.value.sign() == Sign::NoSign {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent - other.exponent + PRECISION;
        let (above, below) = if shift < 0 { (self.value.clone(), &other.value * ten_to(-shift)) } else { (&self.value * ten_to(shift), other.value.clone()) };
        let quotient = &above / &below;
        let rest = &above - &quotient * &below;
        let size = |n: &BigInt| if n.sign() == Sign::Minus { -n } else { n.clone() };
        let value = if size(&rest) * 2 < size(&below) {
            quotient
        } else if (above.sign() == Sign::Minus) == (below.sign() == Sign::Minus) {
            quotient + 1
        } else {
            quotient - 1
        };
        Ok(Decimal { value, exponent: -PRECISION })
    }

    /// The nearest float.
    pub(super) fn float(&self) -> f64 {
        format!("{}e{}", self.value, self.exponent).parse().unwrap_or(0.0)
    }
}
