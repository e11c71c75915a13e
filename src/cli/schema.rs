//! `schema`: the JSON schemas of delivery.yaml, of delivery.lock, of a list of volumes, and of what commands print.

use clap::ValueEnum;

use crate::{
    archive::volumes,
    delivery,
    failure::Failure,
    ops::{images, outdated, schemas},
    report::Printer,
};

/// Print the JSON schema of delivery.yaml, of delivery.lock, of NAME.volumes.json, or of what a command prints with `--format json`
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t = Which::Delivery)]
    which: Which,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Delivery,
    Lock,
    Diff,
    Extract,
    Images,
    Inspect,
    Outdated,
    Verify,
    Volumes,
}

impl SchemaArgs {
    pub(super) fn run(self, printer: &Printer) -> Result<(), Failure> {
        let text = match self.which {
            Which::Delivery => delivery::schema_json(),
            Which::Lock => delivery::lock_schema_json(),
            Which::Diff => schemas::diff(),
            Which::Extract => schemas::extract(),
            Which::Images => images::schema_json(),
            Which::Inspect => schemas::inspect(),
            Which::Outdated => outdated::schema_json(),
            Which::Verify => schemas::verify(),
            Which::Volumes => volumes::schema_json(),
        };
        printer.data(text.as_bytes())
    }
}
