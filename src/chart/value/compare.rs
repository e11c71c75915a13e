//! `eq`, `lt` and reflect.DeepEqual.

use std::sync::Arc;

use super::{Go, MAX_NESTING};

#[derive(PartialEq, Clone, Copy)]
enum Basic {
    Bool,
    Int,
    Float,
    Complex,
    Str,
}

const BAD_TYPES: &str = "incompatible types for comparison";

fn describe(a: &Go, b: &Go) -> String {
    format!("{BAD_TYPES}: {} and {}", a.type_name(), b.type_name())
}

fn basic(value: &Go) -> Option<Basic> {
    Some(match value {
        Go::Bool(_) => Basic::Bool,
        // Go compares integers of either sign.
        Go::Int(..) => Basic::Int,
        Go::Float(_) => Basic::Float,
        Go::Str(_) => Basic::Str,
        Go::Host(host) if host.kind() == "complex128" => Basic::Complex,
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
    let (left, right) = (basic(a), basic(b));
    if left != right {
        return Err(describe(a, b));
    }
    match (a, b) {
        (Go::Host(x), Go::Host(y)) if left == Some(Basic::Complex) => Ok(x.text() == y.text()),
        _ if a.kind() != b.kind() => {
            let text = |verb: &str, value: &Go| super::sprintf(verb, std::slice::from_ref(value));
            Err(format!("non-comparable types {}: {}, {}: {}", text("%s", a), a.type_name(), b.type_name(), text("%v", b)))
        }
        (Go::Host(x), Go::Host(y)) if a.kind() == "ptr" => Ok(Arc::ptr_eq(x, y)),
        (Go::Host(x), Go::Host(y)) if a.kind() == "struct" => Ok(x.type_name() == y.type_name() && x.text() == y.text()),
        _ => Err(format!("non-comparable type {}: {}", super::sprintf("%s", std::slice::from_ref(b)), b.type_name())),
    }
}

/// Go's template `lt`.
pub(crate) fn less(a: &Go, b: &Go) -> Result<bool, String> {
    match (a, b) {
        (Go::Int(x, _), Go::Int(y, _)) => Ok(x < y),
        (Go::Float(x), Go::Float(y)) => Ok(x < y),
        (Go::Str(x), Go::Str(y)) => Ok(x < y),
        _ => match (basic(a), basic(b)) {
            (Some(x), Some(y)) if x != y => Err(describe(a, b)),
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
        (Go::Map(x), Go::Map(y)) if x.len() != y.len() || x.map_type() != y.map_type() => false,
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
