//! The functions of templates: Go's builtins, sprig's and Helm's, by theme.
//!
//! Not there (a template that names one fails to parse, as with any unknown name in Go: `function "x" not defined`):
//! certificates and keys (`genPrivateKey`, `genCA`, `genCAWithKey`, `genSelfSignedCert`, `genSelfSignedCertWithKey`, `genSignedCert`,
//! `genSignedCertWithKey`, `buildCustomCert`), `derivePassword`, `encryptAES`, `decryptAES`, `randBytes`, `randInt`, `shuffle`, `sha1sum`,
//! `b32enc`, `b32dec`, `urlJoin`, `wrapWith`, `toToml` and `fromToml`. `env` and `expandenv` are missing in Helm too.

mod convert;
mod dates;
mod dicts;
mod encoding;
mod glob;
mod helm;
mod layout;
mod lists;
mod math;
mod regexp;
mod secrets;
mod semver;
mod strings;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::engine::Run;
use super::value::{Go, Map};

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
}

impl Kind {
    /// Whether Go would assign this value; literals are converted.
    pub(crate) fn accepts(self, value: &Go, literal: bool) -> bool {
        use super::value::IntKind;
        match (self, value) {
            (Kind::Any, _)
            | (Kind::Str, Go::Str(_) | Go::Bytes(_))
            | (Kind::Bool, Go::Bool(_))
            | (Kind::Int, Go::Int(_, IntKind::Int))
            | (Kind::Dict, Go::Map(_) | Go::Nil) => true,
            (Kind::Int, Go::Float(f)) => literal && f.fract() == 0.0,
            _ => false,
        }
    }

    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Kind::Any => "interface {}",
            Kind::Str => "string",
            Kind::Int => "int",
            Kind::Bool => "bool",
            Kind::Dict => "map[string]interface {}",
        }
    }

    /// Go's words for a literal of the wrong kind.
    pub(crate) fn literal_error(self, text: &str) -> String {
        match self {
            Kind::Str => format!("expected string; found {text}"),
            Kind::Int => format!("expected integer; found {text}"),
            Kind::Bool => format!("expected bool; found {text}"),
            Kind::Any | Kind::Dict => format!("can't handle {text} for arg of type {}", self.type_name()),
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
            Some(Go::Bytes(b)) => Arc::from(String::from_utf8_lossy(b)),
            _ => Arc::from(""),
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
            Some(Go::Map(m)) => Ok(Arc::clone(m)),
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
        let themes: [&'static [Function]; 10] =
            [convert::ALL, dates::ALL, dicts::ALL, encoding::ALL, helm::ALL, lists::ALL, math::ALL, secrets::ALL, semver::ALL, strings::ALL];
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
        Go::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        Go::Nil => String::new(),
        other => super::value::sprint(std::slice::from_ref(other)),
    }
}

/// sprig's `strslice`.
fn texts_of(value: &Go) -> Vec<String> {
    match value {
        Go::List(items) => items.iter().filter(|i| !matches!(i, Go::Nil)).map(text_of).collect(),
        Go::Nil => Vec::new(),
        other => vec![text_of(other)],
    }
}

/// sprig's `empty`.
fn empty(value: &Go) -> bool {
    !value.truth()
}
