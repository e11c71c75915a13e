//! `extract`: what is in an archive, for other tools.

use std::{fmt::Write as _, path::PathBuf};

use super::args::{BlobsArgs, ElsewhereArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::{Failure, Kind},
    oci::{Platform, Reference},
    ops::extract::{self, ExtractOptions, ExtractOutcome, ImageFormat, Parts, Written},
    report::{Printer, text},
};

/// Take out of an archive what is in it: charts, values, images, files
///
/// The archive is verified first. Without a choice everything is written. What is there already is never overwritten.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub(super) struct ExtractArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    /// Folder to write to, which is made if it is not there; left out: NAME-VERSION of the delivery
    #[arg(long, short, value_name = "DIR", visible_alias = "destination")]
    output: Option<PathBuf>,
    /// Charts, as `helm pull` names them, and the files of apps that are plain manifests
    #[arg(long)]
    charts: bool,
    /// The values of each app, merged
    #[arg(long)]
    values: bool,
    /// Images: `docker-archive` (images.tar, for `docker load`, `podman load`, `ctr images import`), `oci-archive` (images.tar), or `oci` (a folder)
    #[arg(long, value_name = "FORMAT")]
    images: Option<FormatArg>,
    /// delivery.yaml, the lock, values files and further files
    #[arg(long)]
    files: bool,
    /// All of it, with an install.sh that needs only helm and ctr
    #[arg(long, conflicts_with_all = ["charts", "values", "images", "files"])]
    plain: bool,
    /// Only this app, and the images that it names; may be given more than once
    #[arg(long, value_name = "NAME")]
    app: Vec<String>,
    /// Only this image; may be given more than once
    #[arg(long, value_name = "REF")]
    image: Vec<Reference>,
    /// Only what this platform needs of the images
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    blobs: BlobsArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    DockerArchive,
    OciArchive,
    #[value(alias = "oci-dir")]
    Oci,
}

impl From<FormatArg> for ImageFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::DockerArchive => Self::DockerArchive,
            FormatArg::OciArchive => Self::OciArchive,
            FormatArg::Oci => Self::Oci,
        }
    }
}

impl ExtractArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let options = ExtractOptions {
            archive: self.archive,
            trust: self.trust.resolve(context),
            folder: self.output,
            parts: Parts { charts: self.charts, values: self.values, images: self.images.map(Into::into), files: self.files, plain: self.plain },
            apps: self.app,
            images: self.image,
            platform: self.platform,
        };
        let reporter = printer.reporter();
        let ready = extract::prepare(&options, &self.blobs.put(self.elsewhere.resolve()), &*reporter)?;
        let outcome = super::run_to_end(async move |stop| {
            let written = tokio::task::spawn_blocking(move || ready.write(&stop, &reporter));
            written.await.map_err(|error| Failure::new(Kind::Other, error))?
        })?;
        printer.outcome(self.format.format, &outcome, show)
    }
}

fn show(o: &ExtractOutcome) -> String {
    let mut out = format!("{}: {} {}, {}\n", o.folder.display(), o.name, o.version, text::standing(&o.signature));
    let of = |written: &Written| match written.of.as_slice() {
        [] => "-".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    let rows: Vec<Vec<String>> = o.written.iter().map(|w| vec![w.path.clone(), text::bytes(w.size), of(w)]).collect();
    let _ = write!(out, "\n{}", text::table(&["PATH", "SIZE", "OF"], &rows));
    out
}
