//! The functions of templates: Go's builtins, sprig's and Helm's, by theme.
//!
//! `env` and `expandenv` are not there, as in Helm.

mod cases;
mod certificates;
mod codec;
mod convert;
mod decimal;
mod dicts;
mod encoding;
mod glob;
mod gojson;
mod helm;
mod lists;
mod math;
mod random;
pub(in crate::chart) mod regexp;
mod secrets;
mod semver;
mod strings;
mod times;
mod toml;
mod urls;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::engine::Run;
use super::value::{Element, Go, List, Map, MapType, bytes_of, text_from};

pub(crate) use glob::Glob;

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
        use super::value::IntKind;
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

/// A call in progress.
pub(crate) struct Call<'a> {
    pub args: Vec<Go>,
    pub run: &'a Run,
}

impl Call<'_> {
    fn any(&self, i: usize) -> Go {
        self.args.get(i).cloned().unwrap_or(Go::Nil)
    }

    fn last(&self) -> Go {
        self.args.last().cloned().unwrap_or(Go::Nil)
    }

    fn str(&self, i: usize) -> Arc<str> {
        match self.args.get(i) {
            Some(Go::Str(s)) => Arc::clone(s),
            _ => Arc::from(""),
        }
    }

    /// A string's bytes, which need not be UTF-8.
    fn bytes(&self, i: usize) -> Vec<u8> {
        match self.args.get(i) {
            Some(Go::Str(s)) => bytes_of(s).into_owned(),
            _ => Vec::new(),
        }
    }

    fn int(&self, i: usize) -> i64 {
        match self.args.get(i) {
            Some(Go::Int(n, _)) => *n,
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole; Go converts literals")]
            Some(Go::Float(f)) => *f as i64,
            _ => 0,
        }
    }

    fn map(&self, i: usize) -> Result<Arc<Map>, String> {
        match self.args.get(i) {
            Some(Go::Map(m)) if !m.is_nil() => Ok(Arc::clone(m)),
            _ => Err("assignment to entry in nil map".to_owned()),
        }
    }
}

type Body = fn(&mut Call<'_>) -> Result<Go, String>;

/// A function of templates.
pub(crate) struct Function {
    pub name: &'static str,
    pub params: &'static [Kind],
    pub variadic: bool,
    pub call: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn fixed(name: &'static str, params: &'static [Kind], call: Body) -> Function {
    Function { name, params, variadic: false, call }
}

const fn variadic(name: &'static str, params: &'static [Kind], call: Body) -> Function {
    Function { name, params, variadic: true, call }
}

fn table() -> &'static HashMap<&'static str, &'static Function> {
    static TABLE: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let themes: [&'static [Function]; 15] = [
            certificates::ALL,
            convert::ALL,
            dicts::ALL,
            encoding::ALL,
            helm::ALL,
            lists::ALL,
            math::ALL,
            random::ALL,
            regexp::ALL,
            secrets::ALL,
            semver::ALL,
            strings::ALL,
            times::ALL,
            toml::ALL,
            urls::ALL,
        ];
        themes.into_iter().flatten().map(|f| (f.name, f)).collect()
    })
}

/// The function of a name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    table().get(name).copied()
}

/// Whether there is one; `and`, `or` and `call` are the engine's.
pub(crate) fn exists(name: &str) -> bool {
    matches!(name, "and" | "or" | "call") || table().contains_key(name)
}

/// sprig's `strval`.
fn text_of(value: &Go) -> String {
    match value {
        Go::Str(s) => s.to_string(),
        Go::Bytes(b) => text_from(b),
        other => super::value::sprint(std::slice::from_ref(other)),
    }
}

/// sprig's `strslice`.
fn texts_of(value: &Go) -> Vec<String> {
    match value {
        Go::List(items) => items.iter().filter(|i| !matches!(i, Go::Nil)).map(text_of).collect(),
        Go::Nil => Vec::new(),
        Go::Host(host) if host.kind() == "slice" && host.entries().is_some() => texts_of(&host.entries().unwrap_or(Go::Nil)),
        other => vec![text_of(other)],
    }
}

/// sprig's `empty`.
fn empty(value: &Go) -> bool {
    !value.truth()
}

#[cfg(test)]
mod tests;
