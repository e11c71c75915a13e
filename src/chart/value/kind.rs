//! The types of parameters: what Go assigns to them, and what it says of what it does not.

use std::sync::Arc;

use super::{Element, Go, IntKind, List, Map, MapType};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `interface{}`.
    Any,
    /// `string`.
    Str,
    /// `int`.
    Int,
    /// `bool`.
    Bool,
    /// `map[string]interface{}`.
    Dict,
    /// `float64`.
    Float,
    /// `uint32`.
    Uint32,
    /// `[]interface{}`.
    List,
    /// `time.Time`.
    Time,
    /// `sprig.certificate`.
    Certificate,
    /// `time.Duration`.
    Duration,
    /// `[]byte`.
    Bytes,
    /// `*semver.Version`.
    Version,
}

impl Kind {
    /// Whether Go would assign this value; literals are converted.
    pub(crate) fn accepts(self, value: &Go, literal: bool) -> bool {
        match (self, value) {
            (Kind::Any, _)
            | (Kind::Str, Go::Str(_))
            | (Kind::Bytes, Go::Bytes(_) | Go::Nil)
            | (Kind::Bool, Go::Bool(_))
            | (Kind::Int, Go::Int(_, IntKind::Int))
            | (Kind::Float, Go::Float(_))
            | (Kind::Dict | Kind::List | Kind::Version, Go::Nil) => true,
            (Kind::Dict, Go::Map(map)) => map.type_name() != "map[string]string",
            (Kind::List, Go::List(list)) => list.type_name() == "[]interface {}",
            (Kind::Time | Kind::Certificate | Kind::Duration | Kind::Version, Go::Host(host)) => host.type_name() == self.type_name(),
            (Kind::Int, Go::Float(f)) => literal && f.fract() == 0.0,
            (Kind::Float, Go::Int(..)) => literal,
            (Kind::Uint32, Go::Int(n, IntKind::Int)) => literal && *n >= 0,
            (Kind::Uint32, Go::Float(f)) => literal && *f >= 0.0 && f.fract() == 0.0,
            _ => false,
        }
    }

    /// What `nil` is to it.
    pub(crate) fn nil(self) -> Go {
        match self {
            Kind::Dict => Map::nil(MapType::Any),
            Kind::List => Go::List(Arc::new(List::of(Element::Nil, Vec::new()))),
            _ => Go::Nil,
        }
    }

    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Kind::Any => "interface {}",
            Kind::Str => "string",
            Kind::Int => "int",
            Kind::Bool => "bool",
            Kind::Dict => "map[string]interface {}",
            Kind::Float => "float64",
            Kind::Uint32 => "uint32",
            Kind::List => "[]interface {}",
            Kind::Time => "time.Time",
            Kind::Certificate => "sprig.certificate",
            Kind::Duration => "time.Duration",
            Kind::Bytes => "[]uint8",
            Kind::Version => "*semver.Version",
        }
    }

    /// Go's words for a literal of the wrong kind.
    pub(crate) fn literal_error(self, text: &str) -> String {
        match self {
            Kind::Str => format!("expected string; found {text}"),
            Kind::Int | Kind::Duration => format!("expected integer; found {text}"),
            Kind::Bool => format!("expected bool; found {text}"),
            Kind::Float => format!("expected float; found {text}"),
            Kind::Uint32 => format!("expected unsigned integer; found {text}"),
            Kind::Any | Kind::Dict | Kind::List | Kind::Time | Kind::Certificate | Kind::Bytes | Kind::Version => {
                format!("can't handle {text} for arg of type {}", self.type_name())
            }
        }
    }
}
