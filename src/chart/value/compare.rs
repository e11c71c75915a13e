//! `eq`, `lt` and reflect.DeepEqual.

use std::sync::Arc;

use super::{Go, IntKind, MAX_NESTING};

#[derive(PartialEq, Clone, Copy)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    Str,
}

const BAD_TYPES: &str = "incompatible types for comparison";

fn describe(a: &Go, b: &Go) -> String {
    format!("{BAD_TYPES}: {} and {}", a.type_name(), b.type_name())
}

fn basic(value: &Go) -> Option<Basic> {
    Some(match value {
        Go::Bool(_) => Basic::Bool,
        Go::Int(_, IntKind::Uint8) => Basic::Uint,
        Go::Int(..) => Basic::Int,
        Go::Float(_) => Basic::Float,
        Go::Str(_) => Basic::Str,
        _ => return None,
    })
}

/// Go's template `eq` for one pair; the error is Go's text.
pub(crate) fn equal(a: &Go, b: &Go) -> Result<bool, String> {
    match (a, b) {
        (Go::Nil, other) | (other, Go::Nil) => return Ok(matches!(other, Go::Nil)),
        (Go::Bool(x), Go::Bool(y)) => return Ok(x == y),
        (Go::Int(x, _), Go::Int(y, _)) => return Ok(x == y),
        #[expect(clippy::float_cmp, reason = "Go compares exactly")]
        (Go::Float(x), Go::Float(y)) => return Ok(x == y),
        (Go::Str(x), Go::Str(y)) => return Ok(x == y),
        _ => {}
    }
    match (basic(a), basic(b)) {
        (Some(_), Some(_)) => Err(describe(a, b)),
        (None, _) if matches!(a, Go::Map(_) | Go::List(_) | Go::Bytes(_)) => {
            Err(format!("non-comparable type {}: {}", super::sprintf("%s", std::slice::from_ref(a)), a.type_name()))
        }
        (_, None) if matches!(b, Go::Map(_) | Go::List(_) | Go::Bytes(_)) => {
            Err(format!("non-comparable type {}: {}", super::sprintf("%s", std::slice::from_ref(b)), b.type_name()))
        }
        _ => Ok(false),
    }
}

/// Go's template `lt`.
pub(crate) fn less(a: &Go, b: &Go) -> Result<bool, String> {
    match (a, b) {
        (Go::Int(x, _), Go::Int(y, _)) => Ok(x < y),
        (Go::Float(x), Go::Float(y)) => Ok(x < y),
        (Go::Str(x), Go::Str(y)) => Ok(x < y),
        (Go::Nil, _) | (_, Go::Nil) => Err("invalid type for comparison".to_owned()),
        _ => match (basic(a), basic(b)) {
            (Some(x), Some(y)) if x == y => Err("invalid type for comparison".to_owned()),
            (Some(_), Some(_)) => Err(describe(a, b)),
            _ => Err("invalid type for comparison".to_owned()),
        },
    }
}

/// Comparisons of more elements are refused.
const MAX_COMPARED: usize = 10_000_000;

/// `reflect.DeepEqual`.
pub(crate) fn deep_equal(a: &Go, b: &Go) -> Result<bool, String> {
    same(a, b, 0, &mut 0)
}

#[expect(clippy::many_single_char_names, reason = "the two values, and their two sides")]
fn same(a: &Go, b: &Go, depth: usize, compared: &mut usize) -> Result<bool, String> {
    *compared += 1;
    if depth > MAX_NESTING || *compared > MAX_COMPARED {
        return Err(format!("values are nested more than {MAX_NESTING} deep, or have more than {MAX_COMPARED} elements"));
    }
    Ok(match (a, b) {
        (Go::Nil, Go::Nil) => true,
        (Go::Bool(x), Go::Bool(y)) => x == y,
        (Go::Int(x, k), Go::Int(y, l)) => x == y && k == l,
        #[expect(clippy::float_cmp, reason = "Go compares exactly")]
        (Go::Float(x), Go::Float(y)) => x == y,
        (Go::Str(x), Go::Str(y)) => x == y,
        (Go::Bytes(x), Go::Bytes(y)) => x == y,
        (Go::List(x), Go::List(y)) if Arc::ptr_eq(x, y) => true,
        (Go::List(x), Go::List(y)) if x.len() != y.len() => false,
        (Go::List(x), Go::List(y)) => {
            for (x, y) in x.iter().zip(y.iter()) {
                if !same(x, y, depth + 1, compared)? {
                    return Ok(false);
                }
            }
            true
        }
        (Go::Map(x), Go::Map(y)) if Arc::ptr_eq(x, y) => true,
        (Go::Map(x), Go::Map(y)) if x.len() != y.len() => false,
        (Go::Map(x), Go::Map(y)) => {
            let other = y.snapshot();
            for (key, value) in x.snapshot() {
                match other.get(&key) {
                    Some(found) if same(&value, found, depth + 1, compared)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Go::Host(x), Go::Host(y)) => x.type_name() == y.type_name() && x.text() == y.text(),
        _ => false,
    })
}
