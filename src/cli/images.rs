//! `images`: every image, with where it came from.

use std::path::PathBuf;

use super::args::{self, CacheArgs, ClusterArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::{images, read_delivery, verify},
    report::{Printer, evidence},
};

/// List every image of a delivery or of an archive, and who named it
#[derive(Debug, clap::Args)]
pub(super) struct ImagesArgs {
    /// An archive; left out, the delivery is rendered
    archive: Option<PathBuf>,
    /// The delivery
    #[arg(long, short, default_value = "delivery.yaml", value_name = "FILE", conflicts_with = "archive")]
    file: PathBuf,
    /// Ask the registries for digests, platforms and sizes; what may be an image is confirmed or dropped
    #[arg(long, conflicts_with = "archive")]
    resolve: bool,
    /// Also turn every switch of the charts' values, one at a time, and tell which images only appear then
    #[arg(long, conflicts_with = "archive")]
    explore: bool,
    /// Show the very lines that name an image; part of its name will do, `*` stands for any characters
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["archive", "resolve", "explore"])]
    why: Option<String>,
    /// List what the pods of a namespace run, and what was missed or is in excess
    #[arg(long, conflicts_with_all = ["why", "explore", "resolve"])]
    from_cluster: bool,
    /// The namespace to look at; left out, that of the kubeconfig's context
    #[arg(long, short, value_name = "NAME", requires = "from_cluster")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl ImagesArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let format = self.format.format;
        if let Some(archive) = self.archive {
            let archive = verify::open(&archive, &self.trust.resolve(context), &*printer.reporter())?;
            let (outcome, registry) = (images::images_of_archive(&archive), archive.record().registry.clone());
            if self.from_cluster {
                return from_cluster(context, printer, self.cluster, self.namespace, format, outcome, registry);
            }
            return printer.outcome(format, &outcome, evidence::images);
        }
        let (delivery, access) = (read_delivery(&self.file)?, self.cache.access(context));
        if let Some(wanted) = &self.why {
            let outcome = super::block_on(images::why(&delivery, &access, wanted, printer.reporter()))?;
            return printer.outcome(format, &outcome, evidence::why);
        }
        let options = images::ImagesOptions { resolve: self.resolve, explore: self.explore };
        let outcome = super::block_on(images::run(&delivery, &access, options, printer.reporter()))?;
        if self.from_cluster {
            return from_cluster(context, printer, self.cluster, self.namespace, format, outcome, delivery.spec.registry);
        }
        printer.outcome(format, &outcome, evidence::images)
    }
}

fn from_cluster(
    context: &Context,
    printer: &Printer,
    cluster: ClusterArgs,
    namespace: Option<String>,
    format: crate::report::Format,
    found: images::ImagesOutcome,
    registry: Option<String>,
) -> Result<(), Failure> {
    let options = cluster.resolve(context);
    let outcome = super::block_on(async move {
        let cluster = args::connect(&options).await?;
        let namespace = namespace.unwrap_or_else(|| cluster.namespace().to_owned());
        images::compare(&cluster, &namespace, &found, registry.as_deref()).await
    })?;
    printer.outcome(format, &outcome, evidence::comparison)
}
