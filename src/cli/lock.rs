//! `lock`: pins charts and images by digest.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{self, CacheArgs, FormatArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::{lock, read_delivery},
    report::Printer,
};

/// Resolve charts and images to digests, and write them into delivery.lock
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {
    /// The delivery; the lock is written beside it
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE")]
    file: PathBuf,
    /// Write nothing, and fail if the lock would change
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl LockArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options =
            lock::LockOptions { delivery: read_delivery(&self.file)?, access: self.cache.access(context), check: self.check, ask: args::ask(printer) };
        let outcome = super::block_on(lock::run(options, printer.reporter()))?;
        printer.outcome(self.format.format, &outcome, |o| {
            let state = if o.changed { "written" } else { "unchanged" };
            let mut out = format!("{}: {state}, {} charts, {} images\n", o.path.display(), o.charts, o.images);
            for guess in &o.left {
                let _ = writeln!(out, "  left: {} ({})", guess.reference, guess.reason);
            }
            for guess in &o.dropped {
                let _ = writeln!(out, "  dropped: {} ({})", guess.reference, guess.reason);
            }
            for change in o.changes.iter().filter(|_| o.changed) {
                let _ = writeln!(out, "  {change}");
            }
            out
        })
    }
}
