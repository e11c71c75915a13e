//! Go's values as templates see them, and what Go does with them: truth, printing, comparing, JSON.

mod bytes;
mod compare;
mod complex;
mod format;
mod json;
mod kind;
mod nested;
mod structs;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use bytes::{byte as stands_for, bytes_of, forget_stand_ins, lossy, quote, text_from};
pub(crate) use compare::{deep_equal, equal, less};
pub(crate) use complex::complex;
pub(crate) use format::{float_shortest, print, println, sprint, sprintf, take_overflow};
pub(crate) use json::{JsonStyle, from_json, json_text, to_json};
pub(crate) use kind::Kind;
pub(crate) use nested::{Element, List, Map, MapType};
pub(crate) use structs::{Member, Struct, Tag, flattened, json_object};

/// Values nested deeper than this are refused by whatever walks through them: maps may contain themselves.
pub(crate) const MAX_NESTING: usize = 500;

/// Which of Go's integer types a number has; it shows in `%T`, `kindOf` and comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntKind {
    /// `int`: literals, `len`, indices.
    Int,
    /// `int64`: sprig's arithmetic and `--set`.
    Int64,
    /// `uint8`: a byte of a string.
    Uint8,
    /// `uint64`: the numbers of a semver. The bits are kept in the `i64`.
    Uint64,
}

/// A Go value. Maps are shared: whoever holds one sees what `set` does to it.
#[derive(Debug, Clone)]
pub(crate) enum Go {
    /// `nil`.
    Nil,
    /// `bool`.
    Bool(bool),
    /// An integer.
    Int(i64, IntKind),
    /// `float64`.
    Float(f64),
    /// `string`; what is no UTF-8 has stand-ins (see `bytes`).
    Str(Arc<str>),
    /// `[]byte`.
    Bytes(Arc<[u8]>),
    /// A slice.
    List(Arc<List>),
    /// `map[string]interface{}`.
    Map(Arc<Map>),
    /// A value with methods or fixed fields.
    Host(Arc<dyn Host>),
}

/// A Go value with methods (`.Files`, `.Capabilities`, times).
pub(crate) trait Host: fmt::Debug + Send + Sync + std::any::Any {
    /// Go's `%T`.
    fn type_name(&self) -> &'static str;
    /// Go's reflect kind.
    fn kind(&self) -> &'static str {
        "struct"
    }
    /// A field or map entry; `None` if there is none.
    fn field(&self, name: &str) -> Option<Go>;
    /// What a method takes; `None` if nothing is known of it, and its arguments go unchecked.
    fn parameters(&self, _method: &str) -> Option<&'static [Kind]> {
        None
    }
    /// A method; `None` if there is none. `Err` is the error the method returns.
    fn call(&self, _name: &str, _args: &[Go]) -> Option<Result<Go, String>> {
        None
    }
    /// What Go says of a method that templates cannot call.
    fn unfit(&self, _method: &str) -> Option<&'static str> {
        None
    }
    /// The number in it, if its kind is one of the integers.
    fn number(&self) -> Option<i64> {
        None
    }
    /// The fields of a struct, in Go's order.
    fn members(&self) -> Option<Vec<Member>> {
        None
    }
    /// Whether it has Go's `String` method; without, fmt prints what it is made of.
    fn stringer(&self) -> bool {
        true
    }
    /// How a template prints it, where that differs from `%v`.
    fn printed(&self) -> Option<String> {
        None
    }
    /// `%#v`, where it has a method for that.
    fn source_text(&self) -> Option<String> {
        None
    }
    /// How it prints with `%v`.
    fn text(&self) -> String;
    /// As JSON.
    fn json(&self) -> serde_json::Value;
    /// What `range` iterates over.
    fn entries(&self) -> Option<Go> {
        None
    }
    /// Whether it is true, where its kind does not tell.
    fn truth(&self) -> Option<bool> {
        None
    }
    /// Whether Go's `map` missing keys rule applies (missing is nil) instead of the struct's (an error).
    fn missing_is_nil(&self) -> bool {
        false
    }
}

impl From<&str> for Go {
    fn from(text: &str) -> Self {
        Go::Str(Arc::from(text))
    }
}

impl From<String> for Go {
    fn from(text: String) -> Self {
        Go::Str(Arc::from(text))
    }
}

impl From<bool> for Go {
    fn from(b: bool) -> Self {
        Go::Bool(b)
    }
}

impl Go {
    pub(crate) fn int(n: impl TryInto<i64>) -> Self {
        Go::Int(n.try_into().unwrap_or(i64::MAX), IntKind::Int)
    }

    pub(crate) fn int64(n: i64) -> Self {
        Go::Int(n, IntKind::Int64)
    }

    pub(crate) fn list(items: Vec<Go>) -> Self {
        Go::List(Arc::new(List::new(items)))
    }

    /// A `[]string`.
    pub(crate) fn strings<S: Into<Go>>(items: impl IntoIterator<Item = S>) -> Self {
        Go::List(Arc::new(List::of(Element::Str, items.into_iter().map(Into::into).collect())))
    }

    /// A `[]int`.
    pub(crate) fn ints(items: impl IntoIterator<Item = i64>) -> Self {
        Go::List(Arc::new(List::of(Element::Int, items.into_iter().map(Go::int).collect())))
    }

    pub(crate) fn map(entries: BTreeMap<Arc<str>, Go>) -> Self {
        Go::Map(Arc::new(Map::new(entries)))
    }

    pub(crate) fn dict<const N: usize>(entries: [(&str, Go); N]) -> Self {
        Go::map(entries.into_iter().map(|(k, v)| (Arc::from(k), v)).collect())
    }

    /// A string from bytes, which need not be UTF-8.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        text_from(bytes).into()
    }

    /// Go's `template.IsTrue`.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Go::Nil => false,
            Go::Bool(b) => *b,
            Go::Int(n, _) => *n != 0,
            Go::Float(f) => *f != 0.0,
            Go::Str(s) => !s.is_empty(),
            Go::Bytes(b) => !b.is_empty(),
            Go::List(l) => !l.is_empty(),
            Go::Map(m) => m.len() > 0,
            Go::Host(h) if h.truth().is_some() => h.truth() == Some(true),
            Go::Host(h) => h.kind() == "struct" || h.kind() == "ptr" || h.entries().is_some_and(|e| e.truth()),
        }
    }

    /// Go's `%T`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Go::Nil => "<nil>",
            Go::Bool(_) => "bool",
            Go::Int(_, IntKind::Int) => "int",
            Go::Int(_, IntKind::Int64) => "int64",
            Go::Int(_, IntKind::Uint8) => "uint8",
            Go::Int(_, IntKind::Uint64) => "uint64",
            Go::Float(_) => "float64",
            Go::Str(_) => "string",
            Go::Bytes(_) => "[]uint8",
            Go::List(list) => list.type_name(),
            Go::Map(map) => map.type_name(),
            Go::Host(h) => h.type_name(),
        }
    }

    /// Go's reflect kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Go::Nil => "invalid",
            Go::Bytes(_) | Go::List(_) => "slice",
            Go::Map(_) => "map",
            Go::Host(h) => h.kind(),
            other => other.type_name(),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Go::Str(s) => Some(s),
            _ => None,
        }
    }
}
