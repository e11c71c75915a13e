//! `nodes status`: what the nodes of a cluster hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use tokio::sync::watch;

use super::install;
use crate::{
    archive::Archive,
    cluster::Cluster,
    failure::Failure,
    oci::{Digest, Platform},
    progress::SharedReporter,
};

/// The version of the inventory's format.
pub const INVENTORY_FORMAT: u32 = 1;

/// What nodes hold: what `nodes status --format json` prints and `export --base` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Version of this format.
    #[serde(deserialize_with = "known_format")]
    pub format: u32,
    /// The nodes, by name.
    pub nodes: Vec<NodeInventory>,
}

/// What one node holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInventory {
    /// Its name.
    pub node: String,
    /// Its platform.
    pub platform: Platform,
    /// The images whose blobs it holds, by name; false: not all of them.
    pub images: BTreeMap<String, bool>,
    /// Blobs that it holds.
    pub blobs: BTreeSet<Digest>,
}

impl Inventory {
    /// What may be left out: what every node of some platform holds. Nodes of different platforms hold different layers, so those of each count.
    pub fn held(&self) -> BTreeSet<Digest> {
        let mut by_platform: BTreeMap<&Platform, BTreeSet<Digest>> = BTreeMap::new();
        for node in &self.nodes {
            by_platform.entry(&node.platform).and_modify(|held| held.retain(|digest| node.blobs.contains(digest))).or_insert_with(|| node.blobs.clone());
        }
        by_platform.into_values().flatten().collect()
    }
}

/// Asks all nodes which of an archive's images they hold.
pub async fn status(cluster: &Cluster, archive: &Archive, cancel: Option<watch::Receiver<bool>>, reporter: &SharedReporter) -> Result<Inventory, Failure> {
    install::inventory(cluster, archive, cancel, reporter).await
}

fn known_format<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let format = u32::deserialize(deserializer)?;
    if format == INVENTORY_FORMAT {
        Ok(format)
    } else {
        Err(serde::de::Error::custom(format!("it has format {format}; this program reads format {INVENTORY_FORMAT}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_nodes_of_a_platform_hold_may_be_left_out() {
        let node = |platform: &str, blobs: &[&str]| NodeInventory {
            node: "n".into(),
            platform: platform.parse().unwrap(),
            images: BTreeMap::new(),
            blobs: blobs.iter().map(|text| Digest::of(text.as_bytes())).collect(),
        };
        let inventory = Inventory { format: 1, nodes: vec![node("linux/amd64", &["a", "b"]), node("linux/amd64", &["b", "c"]), node("linux/arm64", &["d"])] };
        assert_eq!(inventory.held(), ["b", "d"].iter().map(|text| Digest::of(text.as_bytes())).collect());
        let text = serde_json::to_string(&inventory).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&text).unwrap(), inventory);
        let newer = serde_json::from_str::<Inventory>(&text.replace("\"format\":1", "\"format\":2")).unwrap_err().to_string();
        assert!(newer.contains("it has format 2; this program reads format 1"), "{newer}");
    }
}
