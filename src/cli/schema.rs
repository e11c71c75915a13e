//! `schema`: the JSON schema of delivery.yaml.

use crate::{failure::Failure, report::Printer};

/// Print the JSON schema of delivery.yaml
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {}

impl SchemaArgs {
    #[expect(clippy::unused_self, reason = "every command runs on its arguments")]
    pub(super) fn run(self, printer: &Printer) -> Result<(), Failure> {
        printer.data(crate::delivery::schema_json().as_bytes())
    }
}
