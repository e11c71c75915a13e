//! Complex numbers: templates can write them, and print them.

use std::sync::Arc;

use super::{Go, Host, float_shortest};

/// `complex128`.
#[derive(Debug)]
struct Complex {
    re: f64,
    im: f64,
}

/// A complex number.
pub(crate) fn complex(re: f64, im: f64) -> Go {
    Go::Host(Arc::new(Complex { re, im }))
}

impl Host for Complex {
    fn type_name(&self) -> &'static str {
        "complex128"
    }

    fn kind(&self) -> &'static str {
        "complex128"
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    /// As `fmtComplex` in Go's fmt: both parts as `%g`, the second one with its sign.
    fn text(&self) -> String {
        let im = float_shortest(self.im);
        let sign = if im.starts_with(['-', '+']) { "" } else { "+" };
        format!("({}{sign}{im}i)", float_shortest(self.re))
    }

    /// encoding/json refuses complex numbers, and those who ask for text get none.
    fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn truth(&self) -> Option<bool> {
        Some(self.re != 0.0 || self.im != 0.0)
    }
}
