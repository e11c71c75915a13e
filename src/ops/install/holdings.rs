//! What the nodes hold already of an archive's images, asked before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::{InstallError, images, run::cancelled};
use crate::{
    archive::Archive,
    cluster::{
        Cluster,
        nodes::{self, Holdings, ImportOptions, NodeImage},
    },
    failure::{Failure, Kind},
    oci::Digest,
    ops::{
        missing::hint,
        nodes::{INVENTORY_FORMAT, Inventory, NodeInventory},
    },
    progress::SharedReporter,
    rewrite::Plan,
};

/// How many blobs are named that a node lacks; it is one base that lacks them all.
const NAMED: usize = 8;

/// What the archive leaves out, no base was given for, and some nodes have to take from others: those that lack it from those that have it. Refuses
/// to go on if a node lacks a layer that no other has either.
pub(super) async fn to_pass_on(
    cluster: &Cluster,
    archive: &Archive,
    images: &[NodeImage],
    options: &ImportOptions,
    cancel: Option<watch::Receiver<bool>>,
    reporter: &SharedReporter,
) -> Result<BTreeSet<Digest>, Failure> {
    let missing = archive.missing();
    let Some(base) = archive.base().filter(|_| !missing.is_empty()) else { return Ok(BTreeSet::new()) };
    reporter.step(format!("asking the nodes for {} layers of {base}", missing.len()));
    let holdings = ask(cluster, images, options, cancel, reporter).await?;
    let held: BTreeSet<&Digest> = holdings.iter().flat_map(|node| &node.held).collect();
    let lacks = lacking(archive, &missing, &holdings, &held);
    if lacks.is_empty() {
        let passed_on: BTreeSet<Digest> = left_out(&missing, &holdings).map(|(_, digest)| digest.clone()).collect();
        if !passed_on.is_empty() {
            reporter.note(format!("{} layers of {base} are on some nodes only; the others take them from those", passed_on.len()));
        }
        return Ok(passed_on);
    }
    Err(Failure::new(Kind::Cluster, InstallError::NotOnNodes { base: base.to_string(), lacks }).hint(hint(archive)))
}

/// What nobody gives and is not on a node.
fn left_out<'a>(missing: &BTreeMap<Digest, u64>, holdings: &'a [Holdings]) -> impl Iterator<Item = (&'a String, &'a Digest)> {
    let lacking = holdings.iter().flat_map(|node| node.lacking.iter().map(move |digest| (&node.node, digest)));
    lacking.filter(|(_, digest)| missing.contains_key(*digest))
}

/// What nobody gives and is on no node, in words.
fn lacking(archive: &Archive, missing: &BTreeMap<Digest, u64>, holdings: &[Holdings], held: &BTreeSet<&Digest>) -> Vec<String> {
    let mut lacks: Vec<String> = left_out(missing, holdings)
        .filter(|(_, digest)| !held.contains(digest))
        .map(|(node, digest)| {
            let images: Vec<String> = archive.images_with(digest).iter().map(ToString::to_string).collect();
            let lacks = format!("node `{node}` lacks {digest} of {}", images.join(", "));
            [&[lacks], archive.tried(digest)].concat().join(", ")
        })
        .collect();
    let more = lacks.len().saturating_sub(NAMED);
    lacks.truncate(NAMED);
    lacks.extend((more > 0).then(|| format!("and {more} more")));
    lacks
}

/// What each node holds. Stopped, it takes back what it made in the cluster.
async fn ask(
    cluster: &Cluster,
    images: &[NodeImage],
    options: &ImportOptions,
    cancel: Option<watch::Receiver<bool>>,
    reporter: &SharedReporter,
) -> Result<Vec<Holdings>, Failure> {
    let options = options.for_holdings();
    tokio::select! {
        holdings = nodes::holdings(cluster.client(), images, &options, reporter.clone()) => holdings.map_err(|error| Failure::new(Kind::Cluster, error)),
        () = cancelled(cancel) => {
            reporter.step("stopping: removing what was made in the cluster to ask the nodes");
            nodes::cleanup(cluster.client(), &options).await.map_err(|error| Failure::new(Kind::Partial, error))?;
            Err(Failure::new(Kind::Other, InstallError::Interrupted { app: "(asking the nodes)".to_owned() }))
        }
    }
}

/// The inventory of the nodes, as far as an archive's images go.
pub(crate) async fn inventory(
    cluster: &Cluster,
    archive: &Archive,
    cancel: Option<watch::Receiver<bool>>,
    reporter: &SharedReporter,
) -> Result<Inventory, Failure> {
    let record = archive.record();
    let plan = Plan::new(&record.images, record.registry.as_deref()).map_err(|error| Failure::new(Kind::Usage, error))?;
    let agents = images::agents(archive).map_err(|error| Failure::new(Kind::Untrusted, error))?;
    let node_images = images::node_images(archive, &plan);
    let options = ImportOptions { agents, ..ImportOptions::default() };
    reporter.step("asking the nodes");
    let holdings = ask(cluster, &node_images, &options, cancel, reporter).await?;
    Ok(Inventory { format: INVENTORY_FORMAT, nodes: holdings.into_iter().map(|node| of_node(archive, node)).collect() })
}

fn of_node(archive: &Archive, node: Holdings) -> NodeInventory {
    let mut images = BTreeMap::new();
    for (reference, image) in archive.images() {
        let Some(content) = archive.children(image, &node.platform) else { continue };
        let parts = content.indexes.iter().chain([&content.manifest, &content.config]).chain(&content.layers);
        let complete = parts.map(|part| &part.digest).all(|digest| node.held.contains(digest));
        images.insert(reference.to_string(), complete);
    }
    NodeInventory { node: node.node, platform: node.platform, images, blobs: node.held }
}
