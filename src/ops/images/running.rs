//! `images --from-cluster`: what really runs, beside what discovery found.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::ImagesOutcome;
use crate::{
    cluster::{Cluster, running_images},
    failure::Failure,
    oci::{Digest, Reference},
    ops::install::cluster_failure,
};

/// What runs in a namespace, held against a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The namespace.
    pub namespace: String,
    /// Images that run, sorted.
    pub running: Vec<Running>,
    /// Images that discovery found and that do not run.
    #[schemars(with = "Vec<String>")]
    pub excess: Vec<Reference>,
}

/// An image that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its name, as the pod has it.
    pub image: String,
    /// Digest that the runtime tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub digest: Option<Digest>,
    /// Containers, as `POD/CONTAINER`.
    pub containers: Vec<String>,
    /// Whether discovery finds it: `proven`, `guess` or `missed`.
    pub found: Found,
}

/// What discovery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// It is proven.
    Proven,
    /// It is a guess.
    Guess,
    /// It is not found.
    Missed,
}

impl Comparison {
    /// Images that run and were not found.
    pub fn missed(&self) -> usize {
        self.running.iter().filter(|one| one.found == Found::Missed).count()
    }
}

/// Compares what runs in a namespace with what was found. `registry` is what images are called by on the other side, if they moved.
pub async fn compare(cluster: &Cluster, namespace: &str, found: &ImagesOutcome, registry: Option<&str>) -> Result<Comparison, Failure> {
    let pods = running_images(cluster.client(), namespace).await.map_err(cluster_failure)?;
    let mut running: Vec<Running> = Vec::new();
    let mut used: BTreeSet<&Reference> = BTreeSet::new();
    for one in pods {
        let name = one.image.parse::<Reference>().ok();
        let line = found.images.iter().find(|line| {
            let same = |reference: &Reference| Some(reference) == name.as_ref() || name.as_ref().is_some_and(|name| same_image(reference, name));
            same(&line.reference) || registry.and_then(|registry| line.reference.moved_to(registry).ok()).is_some_and(|moved| same(&moved))
        });
        let class = match line {
            Some(line) if line.guess => Found::Guess,
            Some(_) => Found::Proven,
            None => Found::Missed,
        };
        used.extend(line.map(|line| &line.reference));
        let container = format!("{}/{}", one.pod, one.container);
        match running.iter_mut().find(|known| known.image == one.image) {
            Some(known) => known.containers.push(container),
            None => running.push(Running { image: one.image, digest: one.digest, containers: vec![container], found: class }),
        }
    }
    running.sort_by(|a, b| a.image.cmp(&b.image));
    let excess = found.images.iter().map(|line| &line.reference).filter(|image| !used.contains(image)).cloned().collect();
    Ok(Comparison { namespace: namespace.to_owned(), running, excess })
}

/// A tag that stands beside a digest says nothing.
fn same_image(a: &Reference, b: &Reference) -> bool {
    a.name() == b.name() && a.digest().is_some() && a.digest() == b.digest()
}
