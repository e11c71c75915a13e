//! `images`: every image, with where it came from.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{CacheArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::{images, read_delivery, verify},
    report::Printer,
};

/// List every image of a delivery or of an archive, and who named it
#[derive(Debug, clap::Args)]
pub(super) struct ImagesArgs {
    /// An archive; left out, the delivery is rendered
    archive: Option<PathBuf>,
    /// The delivery
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE", conflicts_with = "archive")]
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ImagesArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let outcome = if let Some(archive) = self.archive {
            let archive = verify::open(&archive, &self.trust.resolve(), &*printer.reporter())?;
            images::images_of_archive(&archive)
        } else {
            let (delivery, access) = (read_delivery(&self.file)?, self.cache.access(context));
            super::block_on(images::images_of_delivery(&delivery, &access))?
        };
        printer.outcome(self.format.format, &outcome, |o| {
            let mut out = String::new();
            for image in &o.images {
                let _ = writeln!(out, "{}", image.reference);
                for origin in &image.origins {
                    let parts = [&origin.app, &origin.profile, &origin.template, &origin.object];
                    let place: Vec<&str> = parts.into_iter().filter_map(Option::as_deref).collect();
                    let _ = writeln!(out, "    {} {}", place.join(" "), origin.path);
                }
            }
            out
        })
    }
}
