//! `export`: makes the archive.

use std::path::PathBuf;

use super::args::{self, CacheArgs, FormatArgs, StoreArgs};
use crate::{
    context::Context,
    failure::{Failure, Kind},
    oci::Platform,
    ops::{export, read_delivery, sign},
    report::{Printer, text},
};

/// Render the charts, find and pull the images, write one signed archive
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The delivery
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE")]
    file: PathBuf,
    /// The archive; left out: NAME-VERSION.offline.tar
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Private key to sign with; its password is read from `COSIGN_PASSWORD`
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,
    /// Write an archive that nobody signed
    #[arg(long, conflicts_with = "key")]
    allow_unsigned: bool,
    /// Platform to take instead of the delivery's; may be given more than once
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Resolve everything and tell what would be written, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take exactly what delivery.lock says, and fail where it does not fit the delivery
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ExportArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let delivery = read_delivery(&self.file)?;
        if self.key.is_none() && !self.allow_unsigned && !self.dry_run {
            return Err(Failure::new(Kind::Usage, "an archive is signed: wanted --key KEY")
                .hint("`kubectl offline keygen` makes a key pair")
                .hint("--allow-unsigned writes an archive that install refuses unless it is told the same"));
        }
        let password = args::key_password(context);
        let signer = self.key.as_deref().map(|key| sign::private_key(key, password.as_ref())).transpose()?;
        let options = export::ExportOptions {
            delivery,
            output: self.output,
            signer,
            platforms: (!self.platform.is_empty()).then_some(self.platform),
            access: self.store.put(self.cache.access(context), context),
            agents: crate::cluster::nodes::embedded(),
            dry_run: self.dry_run,
            locked: self.locked,
            ask: args::ask(printer),
        };
        let outcome = super::block_on(export::run(options, printer.reporter()))?;
        printer.outcome(self.format.format, &outcome, |o| {
            let signature = if o.signed { "signed" } else { "NOT signed" };
            let what = format!("{} apps, {} images, {}, {signature}", o.apps.len(), o.images.len(), text::bytes(o.size));
            match &o.path {
                Some(path) => format!("{}: {what}\n", path.display()),
                None => format!("nothing written (--dry-run): {what}\n"),
            }
        })
    }
}
