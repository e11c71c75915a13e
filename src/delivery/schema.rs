//! The JSON schema of delivery.yaml, made from the types.

use std::sync::LazyLock;

use serde_json::Value;

use super::types::Document;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Document).to_value());

/// The schema as a value.
pub(super) fn schema() -> &'static Value {
    &SCHEMA
}

/// The schema as a file: indented, with a final newline. `schemas/delivery.schema.json` is exactly this.
pub fn schema_json() -> String {
    format!("{:#}\n", schema())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_in_the_repository_is_the_one_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/delivery.schema.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == super::schema_json(), "schemas/delivery.schema.json is out of date; run `kubectl-offline schema > schemas/delivery.schema.json`");
    }
}
