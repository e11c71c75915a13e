//! values.schema.json: checked for a chart and each of its subcharts, as `chartutil.ValidateAgainstSchema` does.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;

/// Checks values against a schema and adds what is wrong to a report, in Helm's layout.
pub(in crate::chart) fn check(report: &mut String, chart: &str, schema: &Bytes, values: &Value) {
    let mut problems = Vec::new();
    match serde_json::from_slice::<Value>(schema) {
        Err(error) => problems.push(format!("values.schema.json is not JSON: {error}")),
        Ok(schema) => match jsonschema::options().should_validate_formats(asserts_formats(&schema)).build(&schema) {
            Err(error) => problems.push(format!("values.schema.json is not a schema: {error}")),
            Ok(validator) => problems.extend(validator.iter_errors(values).map(|error| {
                let at = error.instance_path().to_string();
                format!("- at '{at}': {error}")
            })),
        },
    }
    if !problems.is_empty() {
        let text = write!(report, "{chart}:\n{}\n", problems.join("\n"));
        text.expect("writing to a String cannot fail");
    }
}

/// `format` is only an assertion in drafts before 2019-09.
fn asserts_formats(schema: &Value) -> bool {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    draft.contains("draft-04") || draft.contains("draft-06") || draft.contains("draft-07")
}
