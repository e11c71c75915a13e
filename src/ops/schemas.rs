//! JSON schemas of what commands print with `--format json`: what is written, so members that are always there are required.

use schemars::{JsonSchema, generate::SchemaSettings};

use super::{diff::DiffOutcome, extract::ExtractOutcome, inspect::InspectOutcome, verify::VerifyOutcome};

/// Of what `diff` prints: `schemas/diff.schema.json` is exactly this.
pub fn diff() -> String {
    of::<DiffOutcome>()
}

/// Of what `extract` prints: `schemas/extract.schema.json` is exactly this.
pub fn extract() -> String {
    of::<ExtractOutcome>()
}

/// Of what `inspect` prints: `schemas/inspect.schema.json` is exactly this.
pub fn inspect() -> String {
    of::<InspectOutcome>()
}

/// Of what `verify` prints: `schemas/verify.schema.json` is exactly this.
pub fn verify() -> String {
    of::<VerifyOutcome>()
}

fn of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schemas_in_the_repository_are_those_of_the_types() {
        for (name, schema) in [("diff", super::diff()), ("extract", super::extract()), ("inspect", super::inspect()), ("verify", super::verify())] {
            let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let kept = std::fs::read_to_string(path).unwrap_or_default();
            assert!(kept == schema, "run `kubectl-offline schema {name} > schemas/{name}.schema.json`");
        }
    }
}
