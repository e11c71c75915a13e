//! `export`: makes the archive.

use std::{ffi::OsString, fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::args::{self, CacheArgs, FormatArgs, ReachArgs, StoreArgs};
use crate::{
    archive::VolumeSize,
    context::Context,
    failure::{Failure, Kind},
    oci::Platform,
    ops::{
        export::{self, ExportOutcome},
        reach::{self, Destination, Handed},
        read_delivery,
        sign::SigningKeys,
    },
    redact::SafeUrl,
    report::{Printer, text},
    transport::{Method, Place},
};

/// Render the charts, find and pull the images, write one signed archive
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The delivery
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE")]
    file: PathBuf,
    /// The archive: a file, or `oci://REGISTRY/REPOSITORY:TAG`; left out: NAME-VERSION.offline.tar
    #[arg(long, short, value_name = "FILE|OCI")]
    output: Option<PathBuf>,
    /// Private key to sign with: a file, `env://NAME`, or `exec:PROGRAM` that prints it. Its password is read from `COSIGN_PASSWORD`; may be given more than once
    #[arg(long, value_name = "KEY")]
    key: Vec<OsString>,
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
    /// Leave out the layers of images that this holds: an older archive, its delivery.lock, or an inventory (`nodes status --format json`)
    #[arg(long, value_name = "ARCHIVE")]
    base: Option<PathBuf>,
    /// Send the archive to this URL when it is complete; one that ends with a slash is a folder
    #[arg(long, value_name = "URL")]
    upload: Option<String>,
    /// How it is sent
    #[arg(long, value_enum, default_value = "auto", requires = "upload")]
    upload_method: UploadMethod,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum UploadMethod {
    /// By tus 1.0.0 where the server speaks it, else HTTP PUT
    Auto,
    /// By tus: the URL is where uploads are made; a transfer that breaks, or a run that is killed, goes on where it broke
    Tus,
    /// HTTP PUT
    Put,
    /// HTTP POST
    Post,
}

/// What was exported, and where it was handed to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    #[serde(flatten)]
    export: ExportOutcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    handed_to: Vec<Handed>,
}

impl ExportArgs {
    /// Where the archive goes when it is complete; and its file, where one is to stay.
    fn destinations(&self) -> Result<(Vec<Destination>, Option<PathBuf>), Failure> {
        let method = match self.upload_method {
            UploadMethod::Auto => Method::Auto,
            UploadMethod::Tus => Method::Tus,
            UploadMethod::Put => Method::Put,
            UploadMethod::Post => Method::Post,
        };
        let mut all: Vec<Destination> = self.upload.clone().map(|url| Destination::Web { url: SafeUrl::new(url), method }).into_iter().collect();
        let Some(output) = &self.output else { return Ok((all, None)) };
        match Place::parse(output).map_err(reach::transport_failure)? {
            Place::File(path) => Ok((all, Some(path))),
            Place::Registry(reference) => {
                all.push(Destination::Registry(reference));
                Ok((all, None))
            }
            Place::Web(_) => {
                let wrong = Failure::new(Kind::Usage, "-o takes a file or oci://REGISTRY/REPOSITORY:TAG");
                Err(wrong.hint("--upload URL sends the archive to a web server"))
            }
        }
    }

    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let delivery = read_delivery(&self.file)?;
        if self.key.is_empty() && !self.allow_unsigned && !self.dry_run {
            return Err(Failure::new(Kind::Usage, "an archive is signed: wanted --key KEY")
                .hint("`kubectl offline keygen` makes a key pair")
                .hint("--allow-unsigned writes an archive that install refuses unless it is told the same"));
        }
        let password = args::key_password(context);
        let signer = SigningKeys::read(&args::key_sources(context, &self.key), password.as_ref())?;
        let (destinations, file) = self.destinations()?;
        let access = self.reach.resolve(context);
        for to in &destinations {
            reach::check(to, self.volume_size.is_some(), &access)?;
        }
        // What goes to a registry only is made here and not kept.
        let only_registry = self.output.is_some() && file.is_none() && !self.dry_run;
        let scratch = if only_registry { Some(scratch()?) } else { None };
        let name = format!("{}-{}.offline.tar", delivery.name, delivery.version);
        let options = export::ExportOptions {
            delivery,
            output: file.or_else(|| scratch.as_ref().map(|folder| folder.path().join(name))),
            signer,
            platforms: (!self.platform.is_empty()).then_some(self.platform),
            access: self.store.put(self.cache.access(context), context),
            agents: crate::cluster::nodes::embedded(),
            dry_run: self.dry_run,
            locked: self.locked,
            ask: args::ask(printer),
        };
        let shape = export::Shape { volume: self.volume_size, base: self.base };
        let reporter = printer.reporter();
        let outcome = super::block_on(async {
            let mut export = export::run_shaped(options, shape, reporter.clone()).await?;
            let mut handed_to = Vec::new();
            if let Some(path) = export.path.clone() {
                for to in &destinations {
                    handed_to.push(reach::hand_on(&path, to, &access, &reporter).await?);
                }
                export.path = export.path.filter(|_| scratch.is_none());
            }
            Ok(Exported { export, handed_to })
        })?;
        printer.outcome(self.format.format, &outcome, show)
    }
}

fn show(outcome: &Exported) -> String {
    let o = &outcome.export;
    let signature = if o.signed { "signed" } else { "NOT signed" };
    let what = format!("{} apps, {} images, {}, {signature}", o.apps.len(), o.images.len(), text::bytes(o.size));
    let what = match &o.base {
        Some(base) => format!("{what}\nwithout {} layers, {}, of {}", base.blobs, text::bytes(base.left_out), base.base),
        None => what,
    };
    let mut out = match (&o.path, outcome.handed_to.is_empty()) {
        (Some(path), _) => format!("{}: {what}\n", path.display()),
        (None, true) => format!("nothing written (--dry-run): {what}\n"),
        (None, false) => format!("{what}\n"),
    };
    for handed in &outcome.handed_to {
        let _ = match handed {
            Handed::Web { url, volumes } if volumes.is_empty() => writeln!(out, "put to {url}"),
            Handed::Web { url, volumes } => writeln!(out, "put to {url}, with {} volumes", volumes.len()),
            Handed::Registry(pushed) => writeln!(out, "pushed to {}, {} parts, {}", pushed.reference, pushed.parts, pushed.digest),
        };
    }
    out
}

/// A folder among the working directory's files, gone when this ends: the disk on which the archive would be written anyway.
fn scratch() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new().prefix(".offline-export-").tempdir_in(".").map_err(|e| Failure::new(Kind::Other, e))
}
