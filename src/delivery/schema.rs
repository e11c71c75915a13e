//! The JSON schema of delivery.yaml, made from the types.

use std::sync::LazyLock;

use serde_json::Value;

use super::{lock::Lock, types::Document};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Document).to_value());

static LOCK_SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Lock).to_value());

/// The schema of delivery.lock.
pub(super) fn lock_schema() -> &'static Value {
    &LOCK_SCHEMA
}

/// The same as a file: `schemas/lock.schema.json` is exactly this.
pub fn lock_schema_json() -> String {
    format!("{:#}\n", lock_schema())
}

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
    fn the_schemas_in_the_repository_are_those_of_the_types() {
        for (name, text) in [("delivery", super::schema_json()), ("lock", super::lock_schema_json())] {
            let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let kept = std::fs::read_to_string(path).unwrap_or_default();
            assert!(kept == text, "schemas/{name}.schema.json is out of date; run `kubectl-offline schema {name} > schemas/{name}.schema.json`");
        }
    }
}
