//! `sign`: signs an archive anew; nothing but the signature changes.

use std::path::PathBuf;

use super::args::{self, FormatArgs};
use crate::{context::Context, failure::Failure, ops::sign, report::Printer};

/// Sign an archive, in the place of the signature it has
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The archive
    archive: PathBuf,
    /// Private key; its password is read from `COSIGN_PASSWORD`
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

impl SignArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = sign::SignOptions { archive: self.archive, key: self.key, password: args::key_password(context) };
        let outcome = sign::run(&options, &*printer.reporter())?;
        printer.outcome(self.format.format, &outcome, |o| format!("{}: signed by {}\n", o.archive.display(), o.fingerprint))
    }
}
