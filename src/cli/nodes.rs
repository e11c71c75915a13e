//! `nodes`: what the nodes of a cluster hold.

use std::{fmt::Write as _, path::PathBuf};

use clap::Subcommand;
use tokio::sync::watch;

use super::args::{self, ClusterArgs, ElsewhereArgs, FormatArgs, TrustArgs};
use crate::{
    context::Context,
    failure::Failure,
    ops::{
        nodes::{self, Inventory},
        verify,
    },
    report::{Printer, text},
};

/// Tell what the nodes of a cluster hold
#[derive(Debug, clap::Args)]
pub(super) struct NodesArgs {
    #[command(subcommand)]
    command: NodesCommand,
}

#[derive(Debug, Subcommand)]
enum NodesCommand {
    Status(StatusArgs),
}

/// Ask every node which images and layers of an archive it holds
///
/// Nothing is sent. With --format json it is an inventory, which `export --base` takes: layers that all nodes hold need not travel again.
#[derive(Debug, clap::Args)]
struct StatusArgs {
    /// The archive: a file (of one in volumes NAME, NAME.volumes.json or NAME.001), `https://HOST/PATH`, or `oci://REGISTRY/REPOSITORY:TAG`
    archive: PathBuf,
    #[command(flatten)]
    elsewhere: ElsewhereArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    format: FormatArgs,
}

impl NodesArgs {
    pub(super) fn run(self, context: &Context, printer: &Printer) -> Result<(), Failure> {
        let NodesCommand::Status(args) = self.command;
        let reporter = printer.reporter();
        let archive = verify::open_with(&args.archive, &args.elsewhere.resolve(), &args.trust.resolve(context), &*reporter)?;
        let connect = args.cluster.resolve(context);
        let outcome = super::run_to_end(async move |stop: watch::Receiver<bool>| {
            let cluster = args::connect(&connect).await?;
            nodes::status(&cluster, &archive, Some(stop), &reporter).await
        })?;
        printer.outcome(args.format.format, &outcome, show)
    }
}

fn show(inventory: &Inventory) -> String {
    let rows: Vec<Vec<String>> = inventory
        .nodes
        .iter()
        .map(|node| {
            let complete = node.images.values().filter(|complete| **complete).count();
            vec![node.node.clone(), node.platform.to_string(), format!("{complete} of {}", node.images.len()), node.blobs.len().to_string()]
        })
        .collect();
    let mut out = text::table(&["NODE", "PLATFORM", "IMAGES", "BLOBS"], &rows);
    for node in &inventory.nodes {
        for (image, _) in node.images.iter().filter(|(_, complete)| !**complete) {
            let _ = writeln!(out, "{}: {image} is not complete", node.node);
        }
    }
    out
}
