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
use super::value::{Go, Kind, Map, bytes_of, text_from};

pub(crate) use glob::Glob;

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
