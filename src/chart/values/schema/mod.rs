//! values.schema.json: checked for a chart and each of its subcharts, as `chartutil.ValidateAgainstSchema` does.
//!
//! Helm uses santhosh-tekuri/jsonschema v6; what is here does what that library does, drafts 4 to 2020-12, and says what it says.
//! Where the library goes through a map of Go's, its order is by chance; here it is that of the names.

mod compile;
mod document;
mod format;
mod json;
mod location;
mod number;
mod problem;
mod validate;

use bytes::Bytes;
use serde_json::Value;

use crate::chart::{engine::Dialect, log::Log};

/// The address that Helm gives a chart's schema.
const URL: &str = "file:///values.schema.json";

/// Where the documents are that schemas refer to by `http:` and `https:`; a chart is rendered without a network of its own.
pub trait RemoteSchemas: Send + Sync {
    /// What stands at a URL, or why it cannot be had.
    fn get(&self, url: &str) -> Result<Bytes, String>;
}

/// None are to be had.
pub(in crate::chart) struct NoRemoteSchemas;

impl RemoteSchemas for NoRemoteSchemas {
    fn get(&self, _: &str) -> Result<Bytes, String> {
        Err("schemas are not fetched from the network".to_owned())
    }
}

/// Checks values against a schema and adds what is wrong to a report, in Helm's words.
pub(in crate::chart) fn check(report: &mut String, chart: &str, schema: &Bytes, values: &Value, remote: &dyn RemoteSchemas, log: &mut Log) {
    if let Err(problem) = validate_single(schema, values, remote, log) {
        report.push_str(chart);
        report.push_str(":\n");
        report.push_str(&problem);
    }
}

/// `ValidateAgainstSingleSchema`.
fn validate_single(schema: &Bytes, values: &Value, remote: &dyn RemoteSchemas, log: &mut Log) -> Result<(), String> {
    let compiled = compile::compile(URL, Some(json::parse(schema)?), remote)?;
    for urn in &compiled.urns {
        log.urn(urn);
    }
    match validate::problem(&compiled, values) {
        None => Ok(()),
        Some(problem) => {
            let text = problem.report(&compiled.schemas[compiled.root].location);
            let text = text.strip_prefix("jsonschema validation failed with 'file:///values.schema.json#'\n").unwrap_or(&text);
            Err(format!("{text}\n"))
        }
    }
}

impl Log {
    fn urn(&mut self, urn: &str) {
        let text = "unresolved URN reference ignored; using permissive schema";
        match self.dialect() {
            Dialect::Helm3 => self.print("jsonschema.go:192", &format!("WARNING: {text}: {urn}")),
            Dialect::Helm4 => self.slog("WARN", text, &[("urn", urn)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents by URL.
    struct Documents(Value);

    impl RemoteSchemas for Documents {
        fn get(&self, url: &str) -> Result<Bytes, String> {
            match self.0[url].as_str() {
                Some(text) => Ok(Bytes::from(text.to_owned())),
                None => Err(format!("HTTP request to {url} returned status 404 (Not Found)")),
            }
        }
    }

    /// tests/fixtures/remote-schemas.json: documents on a web server, schemas that refer to them, and what helm 3.22 and 4.3 said.
    #[test]
    fn schemas_refer_to_documents_elsewhere() {
        let fixture: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/remote-schemas.json")).unwrap();
        let remote = Documents(fixture["documents"].clone());
        for row in fixture["rows"].as_array().unwrap() {
            let mut report = String::new();
            let schema = Bytes::from(row["schema"].as_str().unwrap().to_owned());
            check(&mut report, row["chart"].as_str().unwrap(), &schema, &row["values"], &remote, &mut Log::default());
            assert_eq!(report, row["helm"].as_str().unwrap(), "{}", row["chart"]);
        }
        assert!(fixture["rows"].as_array().unwrap().len() > 15);
    }

    /// tests/fixtures/schemas.json: schemas, values, and what helm 3.22 said.
    #[test]
    fn problems_are_told_as_helm_tells_them() {
        let rows: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/fixtures/schemas.json")).unwrap();
        let mut wrong = Vec::new();
        for row in &rows {
            let mut report = String::new();
            check(&mut report, "c", &Bytes::from(row["schema"].as_str().unwrap().to_owned()), &row["values"], &NoRemoteSchemas, &mut Log::default());
            if report != row["helm"].as_str().unwrap() {
                wrong.push(format!("{}\n  values {}\n--- ours\n{report}\n--- helm\n{}", row["schema"], row["values"], row["helm"].as_str().unwrap()));
            }
        }
        assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), rows.len(), wrong.join("\n\n"));
    }
}
