//! `schema`: the JSON schemas of delivery.yaml, of delivery.lock, of a list of volumes, and of what `images` and `outdated` print.

use clap::ValueEnum;

use crate::{
    archive::volumes,
    delivery,
    failure::Failure,
    ops::{images, outdated},
    report::Printer,
};

/// Print the JSON schema of delivery.yaml, of delivery.lock, of NAME.volumes.json, or of what images or outdated prints
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
    Images,
    Outdated,
    Volumes,
}

impl SchemaArgs {
    pub(super) fn run(self, printer: &Printer) -> Result<(), Failure> {
        let text = match self.which {
            Which::Delivery => delivery::schema_json(),
            Which::Lock => delivery::lock_schema_json(),
            Which::Images => images::schema_json(),
            Which::Outdated => outdated::schema_json(),
            Which::Volumes => volumes::schema_json(),
        };
        printer.data(text.as_bytes())
    }
}
