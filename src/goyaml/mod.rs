//! YAML as Go's sigs.k8s.io/yaml reads and writes it, with positions.
//!
//! Helm and Kubernetes read YAML 1.1 through go-yaml v2 and turn it into JSON; no YAML crate for Rust follows those rules
//! (`yes` is a boolean, `0777` is 511, the last of two equal keys wins, lines fold at 80 columns). libyaml-safer gives the events,
//! everything above them is here: [`Node`] with positions, the resolver, the conversion to JSON, and both emitters.

mod compose;
mod convert;
mod direct;
mod emit;
mod error;
mod node;
mod number;
mod printable;
mod quick;
mod quote;
mod resolve;
mod sort;
mod syntax;

use serde_json::Value;

pub use error::YamlError;
pub use node::{Entries, Node, NodeKind, ScalarStyle, Span};
pub use number::{float_general, float_json, scalar_text};
pub use printable::is_printable;
pub use quote::{quote, quote_ascii};

/// The first document of a text as JSON; integers stay integers. An empty text is null.
pub fn parse(text: &str) -> Result<Value, YamlError> {
    parse_fields(text, &[])
}

/// As [`parse`], but what a mapping has beside the entries of these names, in whatever case, may be left out.
pub fn parse_fields(text: &str, wanted: &[&str]) -> Result<Value, YamlError> {
    match quick::value(text, wanted).or_else(|| direct::value(text, wanted)) {
        Some(value) => Ok(value),
        None => convert::to_json(&parse_nodes(text)?),
    }
}

/// As [`parse`], but every number becomes a float, as it does in Helm's values (decoded by `encoding/json` into `interface{}`).
pub fn parse_values(text: &str) -> Result<Value, YamlError> {
    let mut value = parse(text)?;
    number::all_floats(&mut value);
    Ok(value)
}

/// The first document of a text with positions. An empty text is a null scalar.
pub fn parse_nodes(text: &str) -> Result<Node, YamlError> {
    compose::first(text)
}

/// All documents of a stream as JSON, those that are empty left out.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut values = Vec::new();
    for node in compose::all(text)? {
        let value = convert::to_json(&node)?;
        if !value.is_null() {
            values.push(value);
        }
    }
    Ok(values)
}

/// What sigs.k8s.io/yaml's `Marshal` writes: JSON first, then go-yaml v2. Ends with a newline.
pub fn emit(value: &Value) -> Result<String, YamlError> {
    emit::emit(value, emit::Dialect::V2)
}

/// What `toYamlPretty` writes: go-yaml v3 with an indent of two. Ends with a newline.
pub fn emit_pretty(value: &Value) -> Result<String, YamlError> {
    emit::emit(value, emit::Dialect::V3)
}

#[cfg(test)]
mod tests;
