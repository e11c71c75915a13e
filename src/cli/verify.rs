//! `verify`: is the archive whole, and signed by whom it should be?

use std::path::PathBuf;

use super::args::{FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops,
    report::{Printer, text},
};

/// Check an archive's signature and every byte in it, without a cluster and without a network
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The archive
    archive: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl VerifyArgs {
    pub(super) fn run(self, _: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = ops::VerifyOptions { archive: self.archive, trust: self.trust.policy()? };
        let outcome = ops::verify(&options, &printer.reporter())?;
        printer.outcome(self.format.format, &outcome, |o| text::verified(o))
    }
}
