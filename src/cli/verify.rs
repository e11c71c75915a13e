//! `verify`: is the archive whole, and signed by whom it should be?

use std::{fmt::Write as _, path::PathBuf};

use super::args::{BlobsArgs, ElsewhereArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::verify,
    report::{Printer, text},
};

/// Check an archive's signature and every byte in it, without a cluster and without a network
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`; `-` reads
    /// it from standard input, in one pass
    archive: PathBuf,
    /// Unpack every layer as well, and hold it against the diff IDs of its images
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    blobs: BlobsArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl VerifyArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = verify::VerifyOptions { archive: self.archive, trust: self.trust.resolve(context), deep: self.deep };
        let outcome = verify::run_with(&options, &self.blobs.put(self.elsewhere.resolve()), &*printer.reporter())?;
        printer.outcome(self.format.format, &outcome, |o| {
            let what = format!("{} apps, {} images, {}", o.apps, o.images, text::bytes(o.size));
            let whole = if o.base.is_some() { "sound" } else { "whole" };
            let mut out = format!("{}: {} {}, {whole}, {}\n{what}\n", o.archive.display(), o.name, o.version, text::standing(&o.signature));
            if let Some(deep) = &o.deep {
                let _ = writeln!(out, "{} layers unpacked to {} as their images say", deep.layers, text::bytes(deep.unpacked));
                let _ = writeln!(out, "{} manifests of other platforms were left out of indexes", deep.left_out.len());
                for one in &deep.without {
                    let _ = writeln!(out, "{} has nothing for {}", one.image, one.platform);
                }
            }
            out.push_str(&o.base.as_ref().map(text::base).unwrap_or_default());
            out
        })
    }
}
