//! `eq`, `lt` and reflect.DeepEqual.

use std::sync::Arc;

use super::{Go, IntKind, MAX_NESTING, bytes_of};
use crate::chart::meter;

#[derive(PartialEq, Clone, Copy)]
enum Basic {
    Bool,
    Int,
    Float,
    Complex,
    Str,
}

const BAD_TYPE: &str = "invalid type for comparison";

fn incompatible(a: &Go, b: &Go) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// `basicKind`.
fn basic(value: &Go) -> Option<Basic> {
    Some(match value {
        Go::Bool(_) => Basic::Bool,
        // Go compares integers of either sign.
        Go::Int(..) => Basic::Int,
        Go::Float(_) => Basic::Float,
        Go::Str(_) => Basic::Str,
        Go::Host(host) if host.kind() == "complex128" => Basic::Complex,
        Go::Host(host) if host.number().is_some() => Basic::Int,
        _ => return None,
    })
}

/// An integer of either sign.
fn wide(value: &Go) -> Option<i128> {
    match value {
        #[expect(clippy::cast_sign_loss, reason = "the bits of an unsigned number")]
        Go::Int(n, IntKind::Uint64) => Some(i128::from(*n as u64)),
        Go::Int(n, _) => Some(i128::from(*n)),
        Go::Host(host) => host.number().map(i128::from),
        _ => None,
    }
}

/// Go's template `eq` for one pair; the error is Go's text.
pub(crate) fn equal(a: &Go, b: &Go) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (wide(a), wide(b)) {
        return Ok(a == b);
    }
    if basic(a) != basic(b) {
        return if matches!(a, Go::Nil) || matches!(b, Go::Nil) { Ok(false) } else { Err(incompatible(a, b)) };
    }
    match (a, b) {
        (Go::Bool(x), Go::Bool(y)) => Ok(x == y),
        #[expect(clippy::float_cmp, reason = "Go compares exactly")]
        (Go::Float(x), Go::Float(y)) => Ok(x == y),
        (Go::Str(x), Go::Str(y)) => Ok(x == y),
        (Go::Nil, other) | (other, Go::Nil) => Ok(is_nil(other)),
        (Go::Host(x), Go::Host(y)) if basic(a) == Some(Basic::Complex) => Ok(x.text() == y.text()),
        _ if a.kind() != b.kind() => {
            let shown = |verb: &str, value: &Go| super::sprintf(verb, std::slice::from_ref(value));
            Err(format!("non-comparable types {}: {}, {}: {}", shown("%s", a), a.type_name(), b.type_name(), shown("%v", b)))
        }
        _ if is_nil(a) || is_nil(b) => Ok(is_nil(a) == is_nil(b)),
        (Go::Host(x), Go::Host(y)) => Ok(Arc::ptr_eq(x, y) || (x.kind() == "struct" && x.type_name() == y.type_name() && x.text() == y.text())),
        _ => Err(format!("non-comparable type {}: {}", super::sprintf("%s", std::slice::from_ref(b)), b.type_name())),
    }
}

fn is_nil(value: &Go) -> bool {
    match value {
        Go::Nil => true,
        Go::List(list) => list.is_nil(),
        Go::Map(map) => map.is_nil(),
        _ => false,
    }
}

/// Go's template `lt`.
pub(crate) fn less(a: &Go, b: &Go) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (wide(a), wide(b)) {
        return Ok(a < b);
    }
    match (a, b) {
        (Go::Float(x), Go::Float(y)) => Ok(x < y),
        (Go::Str(x), Go::Str(y)) => Ok(bytes_of(x) < bytes_of(y)),
        _ => match (basic(a), basic(b)) {
            (Some(x), Some(y)) if x != y => Err(incompatible(a, b)),
            _ => Err(BAD_TYPE.to_owned()),
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
    meter::steps(1)?;
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
        (Go::List(x), Go::List(y)) if x.len() != y.len() || x.element() != y.element() => false,
        (Go::List(x), Go::List(y)) => {
            for (x, y) in x.iter().zip(y.iter()) {
                if !same(x, y, depth + 1, compared)? {
                    return Ok(false);
                }
            }
            true
        }
        (Go::Map(x), Go::Map(y)) if Arc::ptr_eq(x, y) => true,
        (Go::Map(x), Go::Map(y)) if x.len() != y.len() || x.map_type() != y.map_type() || x.is_nil() != y.is_nil() => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_another_type_is_another_value() {
        let (strings, list) = (Go::strings(["a"]), Go::list(vec!["a".into()]));
        assert_eq!(deep_equal(&strings, &list), Ok(false));
        assert_eq!(deep_equal(&list, &Go::list(vec!["a".into()])), Ok(true));
        assert_eq!(deep_equal(&strings, &Go::strings(["a"])), Ok(true));
    }
}
