//! `export`: makes the archive.

use std::path::PathBuf;

use super::args::{self, CacheArgs, FormatArgs};
use crate::{
    archive::VolumeSize,
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
    /// Write volumes NAME.001, NAME.002 … of this size and NAME.volumes.json: 700MB, 4.7GB, 4GiB-1 (FAT32) or a number of bytes
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<VolumeSize>,
    /// Leave out the layers of images that this holds: an older archive, or an inventory (`nodes status --format json`)
    #[arg(long, value_name = "ARCHIVE")]
    base: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
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
            access: self.cache.access(context),
            agents: crate::cluster::nodes::embedded(),
            dry_run: self.dry_run,
            locked: self.locked,
            ask: args::ask(printer),
        };
        let shape = export::Shape { volume: self.volume_size, base: self.base };
        let outcome = super::block_on(export::run_shaped(options, shape, printer.reporter()))?;
        printer.outcome(self.format.format, &outcome, |o| {
            let signature = if o.signed { "signed" } else { "NOT signed" };
            let what = format!("{} apps, {} images, {}, {signature}", o.apps.len(), o.images.len(), text::bytes(o.size));
            let what = match &o.base {
                Some(base) => format!("{what}\nwithout {} layers, {}, of {}", base.blobs, text::bytes(base.left_out), base.base),
                None => what,
            };
            match &o.path {
                Some(path) => format!("{}: {what}\n", path.display()),
                None => format!("nothing written (--dry-run): {what}\n"),
            }
        })
    }
}
