//! values.schema.json: checked for a chart and each of its subcharts, as `chartutil.ValidateAgainstSchema` does.

use std::{collections::BTreeMap, fmt::Write as _};

use bytes::Bytes;
use jsonschema::{
    PatternOptions, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

/// Checks values against a schema and adds what is wrong to a report, in Helm's words.
pub(in crate::chart) fn check(report: &mut String, chart: &str, schema: &Bytes, values: &Value) {
    let problems = match serde_json::from_slice::<Value>(schema) {
        Err(error) => vec![format!("values.schema.json is not JSON: {error}")],
        Ok(schema) => {
            // Patterns come from the chart: only the engine with linear time is let near them, which is RE2's kind anyway.
            let options = jsonschema::options().should_validate_formats(asserts_formats(&schema)).with_pattern_options(PatternOptions::regex());
            match options.build(&schema) {
                Err(error) => vec![format!("values.schema.json is not a schema: {error}")],
                Ok(validator) => problems(validator.iter_errors(values)),
            }
        }
    };
    if !problems.is_empty() {
        let written = write!(report, "{chart}:\n{}\n", problems.join("\n"));
        written.expect("writing to a String cannot fail");
    }
}

/// `format` is only an assertion in drafts before 2019-09.
fn asserts_formats(schema: &Value) -> bool {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    ["draft-04", "draft-06", "draft-07"].iter().any(|old| draft.contains(old))
}

/// One line for each problem; properties that one place lacks share a line.
fn problems<'a>(errors: impl Iterator<Item = ValidationError<'a>>) -> Vec<String> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lines = Vec::new();
    for error in errors {
        let at = error.instance_path().to_string();
        if let Kind::Required { property } = error.kind() {
            missing.entry(at).or_default().push(shown(property));
        } else {
            lines.push(format!("- at '{at}': {}", message(&error)));
        }
    }
    lines.extend(missing.into_iter().map(|(at, names)| {
        let noun = if names.len() == 1 { "property" } else { "properties" };
        format!("- at '{at}': missing {noun} {}", names.join(", "))
    }));
    lines.sort();
    lines
}

/// The words of santhosh-tekuri/jsonschema v6 (kind/kind.go).
fn message(error: &ValidationError<'_>) -> String {
    let found = error.instance();
    let length = || found.as_str().map_or(0, |text| text.chars().count());
    let items = || found.as_array().map_or(0, Vec::len);
    match error.kind() {
        Kind::Type { kind } => format!("got {}, want {}", type_of(found), wanted(kind)),
        Kind::Enum { options } => match options.as_array().map(Vec::as_slice) {
            Some([only]) => format!("value must be {}", shown(only)),
            Some(options) => format!("value must be one of {}", options.iter().map(shown).collect::<Vec<_>>().join(", ")),
            None => "enum failed".to_owned(),
        },
        Kind::Constant { expected_value } => format!("value must be {}", shown(expected_value)),
        Kind::Pattern { pattern } => format!("{} does not match pattern '{pattern}'", shown(found)),
        Kind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("'{name}'")).collect();
            format!("additional properties {} not allowed", names.join(", "))
        }
        Kind::Minimum { limit } => format!("minimum: got {found}, want {limit}"),
        Kind::Maximum { limit } => format!("maximum: got {found}, want {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("exclusiveMinimum: got {found}, want {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("exclusiveMaximum: got {found}, want {limit}"),
        Kind::MinLength { limit } => format!("minLength: got {}, want {limit}", length()),
        Kind::MaxLength { limit } => format!("maxLength: got {}, want {limit}", length()),
        Kind::MinItems { limit } => format!("minItems: got {}, want {limit}", items()),
        Kind::MaxItems { limit } => format!("maxItems: got {}, want {limit}", items()),
        Kind::AnyOf { .. } => "'anyOf' failed".to_owned(),
        Kind::OneOfNotValid { .. } => "'oneOf' failed, none matched".to_owned(),
        Kind::Not { .. } => "'not' failed".to_owned(),
        Kind::FalseSchema => "false schema".to_owned(),
        _ => error.to_string(),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("'{text}'"))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        other => crate::chart::metadata::kind(other),
    }
}

fn wanted(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => kind.to_string(),
        TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_told_in_helms_words() {
        let schema = json!({
            "required": ["need", "also"], "additionalProperties": false,
            "properties": {"n": {"type": "integer"}, "s": {"type": ["string", "null"]}, "e": {"enum": ["a", 1]}, "c": {"const": "k"}, "p": {"pattern": "^a+$"}},
        });
        let mut report = String::new();
        check(&mut report, "sch", &Bytes::from(schema.to_string()), &json!({"n": "x", "s": 4, "e": "z", "c": "j", "p": "b", "extra": 1}));
        let want = "sch:\n- at '': additional properties 'extra' not allowed\n- at '': missing properties 'need', 'also'\n- at '/c': value must be 'k'\n- at '/e': value must be one of 'a', 1\n- at '/n': got string, want integer\n- at '/p': 'b' does not match pattern '^a+$'\n- at '/s': got number, want null or string\n";
        assert_eq!(report, want);
    }

    #[test]
    fn schemas_that_are_none_are_told() {
        let mut report = String::new();
        check(&mut report, "c", &Bytes::from_static(b"{"), &json!({}));
        check(&mut report, "d", &Bytes::from_static(b"{\"type\": 5}"), &json!({}));
        assert_eq!(report.lines().filter(|line| line.contains("values.schema.json is not")).count(), 2);
    }
}
