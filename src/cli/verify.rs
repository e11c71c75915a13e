//! `verify`: is the archive whole, and signed by whom it should be?

use std::path::PathBuf;

use super::args::{ElsewhereArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::verify,
    report::{Printer, text},
};

/// Check an archive's signature and every byte in it, without a cluster and without a network
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl VerifyArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = verify::VerifyOptions { archive: self.archive, trust: self.trust.resolve(context) };
        let outcome = verify::run_with(&options, &self.elsewhere.resolve(), &*printer.reporter())?;
        printer.outcome(self.format.format, &outcome, |o| {
            let what = format!("{} apps, {} images, {}", o.apps, o.images, text::bytes(o.size));
            let base = o.base.as_ref().map(text::base);
            let whole = if base.is_some() { "sound" } else { "whole" };
            format!("{}: {} {}, {whole}, {}\n{what}\n{}", o.archive.display(), o.name, o.version, text::standing(&o.signature), base.unwrap_or_default())
        })
    }
}
