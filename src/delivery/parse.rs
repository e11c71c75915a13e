//! Reading delivery.yaml: YAML with positions, then the schema, then what the schema cannot say. All mistakes are reported at once.

use std::{fmt::Write as _, ops::Range, path::Path};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::{
    diagnostic::{DeliveryError, Diagnostic},
    model::Delivery,
    schema::schema,
    types::Document,
    validate::{Checker, escape, nearest},
};
use crate::goyaml::{self, Node, NodeKind};

/// The largest delivery.yaml that is read, in bytes.
pub const TEXT_MAX: usize = 1 << 20;

/// Reads and checks a delivery. `path` is for messages, and the base of the delivery's relative paths.
pub fn parse(path: &Path, text: &str) -> Result<Delivery, DeliveryError> {
    let fail = |mut diagnostics: Vec<Diagnostic>| {
        diagnostics.sort_by_key(|d| (d.start, d.end));
        diagnostics.dedup();
        DeliveryError { path: path.to_owned(), text: text.to_owned(), diagnostics }
    };
    if text.len() > TEXT_MAX {
        return Err(fail(vec![Diagnostic::at(text, 0..0, format!("the file has {} bytes; at most {TEXT_MAX} are read", text.len()), None)]));
    }
    let node = goyaml::parse_nodes(text).map_err(|error| fail(vec![yaml_error(text, &error)]))?;
    let mut value = node.to_value().map_err(|error| fail(vec![yaml_error(text, &error)]))?;
    words_stay_words(&node, &mut value);

    if value.is_null() {
        return Err(fail(vec![Diagnostic::at(text, 0..0, "the file is empty".into(), Some("`kubectl offline schema` shows what belongs in it".into()))]));
    }
    let mut diagnostics = duplicate_keys(text, &node);
    diagnostics.extend(against_schema(schema(), text, &node, &value));
    if !diagnostics.is_empty() {
        // Still tell what else is wrong, where the document is whole enough to see it.
        if let Ok(document) = serde_json::from_value::<Document>(value) {
            let mut checker = Checker::default();
            checker.spec(document.spec);
            diagnostics.extend(located(text, &node, checker));
        }
        return Err(fail(diagnostics));
    }
    let document: Document = serde_json::from_value(value).map_err(|error| fail(vec![Diagnostic::at(text, 0..0, error.to_string(), None)]))?;
    let mut checker = Checker::default();
    let spec = checker.spec(document.spec);
    let diagnostics = located(text, &node, checker);
    if !diagnostics.is_empty() {
        return Err(fail(diagnostics));
    }
    Ok(Delivery { name: document.metadata.name, version: document.metadata.version, spec, text: text.to_owned(), path: path.to_owned() })
}

/// `namespace: n` is a name here. YAML 1.1 makes booleans of y, n, yes, no, on and off, and Helm's values files keep it so; in
/// delivery.yaml only `true` and `false` are (YAML 1.2, core schema), except under `set`, which holds Helm's values.
fn words_stay_words(node: &Node, value: &mut Value) {
    match value {
        Value::Bool(_) => {
            if let Some(word) = node.text()
                && !matches!(word, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
            {
                *value = Value::String(word.to_owned());
            }
        }
        Value::Array(items) => items.iter_mut().zip(node.items()).for_each(|(item, node)| words_stay_words(node, item)),
        Value::Object(map) => {
            for (key, item) in map.iter_mut().filter(|(key, _)| *key != "set") {
                if let Some(node) = node.get(key) {
                    words_stay_words(node, item);
                }
            }
        }
        _ => {}
    }
}

fn located(text: &str, node: &Node, checker: Checker) -> Vec<Diagnostic> {
    checker.findings.into_iter().map(|f| Diagnostic::at(text, find(node, &f.pointer), f.message, f.help)).collect()
}

pub(super) fn yaml_error(text: &str, error: &goyaml::YamlError) -> Diagnostic {
    let start = error.line.map_or(0, |line| line_start(text, usize::try_from(line).unwrap_or(usize::MAX)));
    let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    Diagnostic::at(text, start..end, error.to_string(), None)
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

/// Where the value at a JSON pointer stands; where it is not there, its nearest parent.
pub(super) fn find(node: &Node, pointer: &str) -> Range<usize> {
    let mut at = node;
    let mut span = None;
    for token in pointer.split('/').skip(1) {
        let next = match &at.target().kind {
            NodeKind::Mapping { entries, .. } => entries.iter().rev().find(|(key, _)| key.text().is_some_and(|k| escape(k) == token)).map(|(key, value)| {
                // A whole mapping or list underlined says nothing: its key does.
                span = value.text().is_none().then(|| range(key));
                value
            }),
            NodeKind::Sequence { items, .. } => token.parse::<usize>().ok().and_then(|i| items.get(i)).inspect(|_| span = None),
            _ => None,
        };
        let Some(next) = next else { break };
        at = next;
    }
    span.unwrap_or_else(|| first_line(at))
}

/// A mapping without a key of its own (an item of a list) is shown by its first key.
fn first_line(node: &Node) -> Range<usize> {
    match node.entries().first() {
        Some((key, _)) => range(key),
        None => range(node),
    }
}

fn range(node: &Node) -> Range<usize> {
    node.span.start..node.span.end
}

/// Helm's YAML lets the last of equal keys win; in a file that people keep, that is a mistake.
pub(super) fn duplicate_keys(text: &str, node: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut queue = vec![node];
    while let Some(node) = queue.pop() {
        match &node.kind {
            NodeKind::Mapping { entries, .. } => {
                let mut seen = std::collections::BTreeSet::new();
                for (key, value) in entries {
                    if let Some(name) = key.text()
                        && name != "<<"
                        && !seen.insert(name)
                    {
                        found.push(Diagnostic::at(text, range(key), format!("key `{name}` is there twice"), None));
                    }
                    queue.push(value.as_ref());
                }
            }
            NodeKind::Sequence { items, .. } => queue.extend(items.iter().map(AsRef::as_ref)),
            _ => {}
        }
    }
    found
}

pub(super) fn against_schema(schema: &Value, text: &str, node: &Node, value: &Value) -> Vec<Diagnostic> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return vec![Diagnostic::at(text, 0..0, format!("the schema of this program is broken: {error}"), None)],
    };
    validator.iter_errors(value).flat_map(|error| schema_error(schema, text, node, &error)).collect()
}

fn schema_error(schema: &Value, text: &str, node: &Node, error: &jsonschema::ValidationError<'_>) -> Vec<Diagnostic> {
    let pointer = error.instance_path().as_str();
    let here = || find(node, pointer);
    let field = dotted(pointer);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.iter().map(|key| unknown_key(schema, text, node, pointer, key, error)).collect(),
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let place = if field.is_empty() { "the document".to_owned() } else { format!("`{field}`") };
            vec![Diagnostic::at(text, here(), format!("{place} needs `{property}`"), None)]
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => type_name(&one.to_string()).to_owned(),
                TypeKind::Multiple(many) => many.iter().map(|one| type_name(&one.to_string()).to_owned()).collect::<Vec<_>>().join(" or "),
            };
            let found = error.instance();
            let help = (wanted == "a string" && (found.is_number() || found.is_boolean())).then(|| "put it in quotes".to_owned());
            vec![Diagnostic::at(text, here(), format!("`{field}` is {}; wanted {wanted}", described(found)), help)]
        }
        ValidationErrorKind::Enum { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            let options = options(error.kind());
            let help = error.instance().as_str().and_then(|word| nearest(word, options.iter().map(String::as_str)));
            vec![Diagnostic::at(text, here(), format!("`{field}` is {}; wanted {}", error.instance(), options.join(" or ")), help)]
        }
        ValidationErrorKind::Constant { expected_value } => {
            vec![Diagnostic::at(text, here(), format!("`{field}` is {}; wanted {expected_value}", error.instance()), None)]
        }
        ValidationErrorKind::Pattern { pattern } => {
            vec![Diagnostic::at(text, here(), format!("`{field}` is {}, which does not match {pattern}", error.instance()), None)]
        }
        ValidationErrorKind::MinItems { .. } => vec![Diagnostic::at(text, here(), format!("`{field}` is empty; leave it out instead"), None)],
        _ => vec![Diagnostic::at(text, here(), format!("`{field}`: {error}"), None)],
    }
}

/// The words that may stand there; an enum of which each word has a description is a choice of constants.
fn options(kind: &ValidationErrorKind) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match kind {
        ValidationErrorKind::Enum { options } => options.as_array().into_iter().flatten().map(word).collect(),
        ValidationErrorKind::OneOfNotValid { context } => {
            let constants = context.iter().flatten().filter_map(|error| match error.kind() {
                ValidationErrorKind::Constant { expected_value } => Some(word(expected_value)),
                _ => None,
            });
            constants.collect()
        }
        _ => Vec::new(),
    }
}

fn unknown_key(schema: &Value, text: &str, node: &Node, parent: &str, key: &str, error: &jsonschema::ValidationError<'_>) -> Diagnostic {
    let at = key_span(node, parent, key).unwrap_or_else(|| find(node, parent));
    let place = dotted(parent);
    let place = if place.is_empty() { "the document".to_owned() } else { format!("`{place}`") };
    let known = known_keys(schema, error.schema_path().as_str());
    let help = nearest(key, known.iter().map(String::as_str)).or_else(|| (!known.is_empty()).then(|| format!("known here: {}", known.join(", "))));
    Diagnostic::at(text, at, format!("{place} has no key `{key}`"), help)
}

fn key_span(node: &Node, parent: &str, key: &str) -> Option<Range<usize>> {
    node.at(parent)?.entries().iter().find(|(k, _)| k.text() == Some(key)).map(|(k, _)| range(k))
}

/// The keys that the schema knows where the failed `additionalProperties` stands.
fn known_keys(schema: &Value, schema_path: &str) -> Vec<String> {
    let mut at = schema;
    for token in schema_path.split('/').skip(1) {
        if token == "additionalProperties" {
            break;
        }
        let followed = match token {
            "$ref" => at.get("$ref").and_then(Value::as_str).and_then(|r| schema.pointer(r.trim_start_matches('#'))),
            token => at.get(token).or_else(|| at.get(token.parse::<usize>().ok()?)),
        };
        let Some(next) = followed else { return Vec::new() };
        at = next;
    }
    at.get("properties").and_then(Value::as_object).map(|p| p.keys().cloned().collect()).unwrap_or_default()
}

/// `/spec/apps/0/name` as people write it: `spec.apps[0].name`.
fn dotted(pointer: &str) -> String {
    let mut out = String::new();
    for token in pointer.split('/').skip(1) {
        if token.parse::<usize>().is_ok() {
            let _ = write!(out, "[{token}]");
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

fn type_name(json: &str) -> &str {
    match json.trim_matches('"') {
        "string" => "a string",
        "object" => "a mapping",
        "array" => "a list",
        "boolean" => "true or false",
        "integer" | "number" => "a number",
        other => other,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(b) => format!("the truth value {b}"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => format!("the string {s:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
