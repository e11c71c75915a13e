//! What is wrong with a value, and how it is told (santhosh-tekuri/jsonschema, output.go and kind/kind.go).

use serde_json::Value;

use super::location::escape;
use crate::chart::log::{go_quoted, go_text};

/// What a problem is besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One thing.
    Plain,
    /// Several things in one place.
    Group,
    /// What a reference led to; not told if it is one thing.
    Reference,
}

/// Something wrong.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: Vec<String>,
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) causes: Vec<Problem>,
}

impl Problem {
    /// All that is wrong with a value, as one text.
    pub(super) fn report(self, schema: &str) -> String {
        let causes = if self.role == Role::Group { self.causes } else { vec![self] };
        let mut text = format!("jsonschema validation failed with {}", quote(schema));
        for cause in &causes {
            cause.display(&mut text, 1);
        }
        text
    }

    fn display(&self, text: &mut String, indent: usize) {
        let mut inner = indent;
        if self.role != Role::Reference || self.causes.len() != 1 {
            text.push('\n');
            text.push_str(&"  ".repeat(indent - 1));
            let pointer: String = self.at.iter().flat_map(|part| ["/".to_owned(), escape(part)]).collect();
            text.push_str("- at ");
            text.push_str(&quote(&pointer));
            text.push_str(": ");
            text.push_str(&self.text);
            inner += 1;
        }
        for cause in &self.causes {
            cause.display(text, inner);
        }
    }
}

/// A text between single quotes: made of Go's double quotes as the library makes it, so that a backslash at the end loses its escape.
pub(super) fn quote(text: &str) -> String {
    let quoted = go_quoted(text).replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{}'", &quoted[1..quoted.len() - 1])
}

/// Names between quotes, with commas.
pub(super) fn quotes(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// A value of the schema, or of the values.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(_) | Value::Object(_) => "value".to_owned(),
        other => go_text(other),
    }
}
