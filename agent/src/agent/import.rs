//! Blobs in the store become images that the kubelet finds: labels, snapshots, names.
//!
//! An import may begin before the blobs are there; it waits for each. So unpacking, which takes most of the time, goes on while the rest
//! is still on its way.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use offline_agent::{Image, LinkedDescriptor};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OnceCell, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    containerd::{Containerd, Descriptor},
    error::{Error, Result},
};

/// How often the store is asked although nobody said that something arrived.
const POLL: Duration = Duration::from_secs(2);

/// The blobs that arrived by other streams of this run.
#[derive(Clone)]
pub(crate) struct Arrivals {
    seen: Arc<watch::Sender<HashSet<String>>>,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self { seen: Arc::new(watch::Sender::new(HashSet::new())) }
    }

    /// These are in the store now.
    pub(crate) fn add(&self, digests: impl IntoIterator<Item = String>) {
        self.seen.send_modify(|seen| seen.extend(digests));
    }

    /// Waits until a blob is in the store. There is no limit: when the other side is gone, so is this process.
    async fn wait(&self, containerd: &Containerd, digest: &str) -> Result<()> {
        let mut seen = self.seen.subscribe();
        while containerd.size(digest).await?.is_none() {
            // A lost word costs one poll; a closed channel cannot be, since we hold its sender.
            if timeout(POLL, seen.wait_for(|seen| seen.contains(digest))).await.is_ok() && containerd.size(digest).await?.is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

/// The parts of manifests, indexes and configs that matter here (image-spec).
#[derive(Deserialize)]
struct Manifest {
    config: Linked,
    layers: Vec<Linked>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Linked>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Linked {
    media_type: String,
    digest: String,
    size: u64,
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest.to_owned(), size: i64::try_from(size).unwrap_or(i64::MAX) }
}

/// The name of a stack of layers (image-spec, config.md, "Layer `ChainID`").
fn chain_id(parent: &str, diff_id: &str) -> String {
    if parent.is_empty() {
        return diff_id.to_owned();
    }
    let hash = Sha256::digest(format!("{parent} {diff_id}").as_bytes());
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is told about an import as it goes on.
#[derive(Default)]
pub(crate) struct Meter {
    /// Compressed bytes of the layers that are unpacked.
    pub(crate) done: AtomicU64,
    /// Compressed bytes of all layers that are known of.
    pub(crate) total: AtomicU64,
    unpacked: AtomicU64,
    recorded: AtomicU64,
}

impl Meter {
    /// Layers unpacked and records written.
    pub(crate) fn outcome(&self) -> (u64, u64) {
        (self.unpacked.load(Ordering::Relaxed), self.recorded.load(Ordering::Relaxed))
    }
}

/// One import.
pub(crate) struct Importer {
    containerd: Containerd,
    snapshotter: String,
    arrivals: Arrivals,
    slots: Semaphore,
    chains: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    pub(crate) meter: Arc<Meter>,
}

impl Importer {
    /// `containerd` is under the run's lease.
    pub(crate) fn new(containerd: Containerd, snapshotter: String, arrivals: Arrivals, parallel: usize, meter: Arc<Meter>) -> Arc<Self> {
        let slots = Semaphore::new(parallel.clamp(1, 64));
        Arc::new(Self { containerd, snapshotter, arrivals, slots, chains: Mutex::default(), meter })
    }

    /// Imports images side by side; the first failure ends it.
    pub(crate) async fn run(self: &Arc<Self>, images: Vec<Image>) -> Result<()> {
        let mut tasks = JoinSet::new();
        for image in images {
            let importer = Arc::clone(self);
            tasks.spawn(async move { importer.image(&image).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|e| Error::unusable(format!("an import task died: {e}")))??;
        }
        Ok(())
    }

    async fn image(&self, image: &Image) -> Result<()> {
        let Some(leaf) = image.path.last() else { return Err(Error::protocol("an image without a manifest")) };
        for pair in image.path.windows(2) {
            self.link(&pair[0], &pair[1]).await?;
        }
        let manifest: Manifest = self.read(&leaf.digest, "manifest").await?;
        self.label_children(leaf, &manifest).await?;
        let config: Config = self.read(&manifest.config.digest, "config").await?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            return Err(Error::content(format!(
                "manifest {} has {} layers, its config {} has {}",
                leaf.digest,
                manifest.layers.len(),
                manifest.config.digest,
                diff_ids.len()
            )));
        }
        let mut parent = String::new();
        for (layer, diff_id) in manifest.layers.iter().zip(&diff_ids) {
            parent = self.layer(layer, &parent, diff_id).await?;
        }
        if !parent.is_empty() {
            let label = (format!("containerd.io/gc.ref.snapshot.{}", self.snapshotter), parent);
            self.containerd.label(&manifest.config.digest, [label].into()).await?;
        }
        for record in &image.records {
            let target = descriptor(&record.target.media_type, &record.target.digest, record.target.size);
            if self.containerd.record(&record.name, &target).await? {
                self.meter.recorded.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, digest: &str, what: &str) -> Result<T> {
        self.arrivals.wait(&self.containerd, digest).await?;
        let bytes = self.containerd.document(digest).await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::content(format!("{digest} is no {what}: {e}")))
    }

    /// Keeps a child of an index. Only that of this node's platform: the others are not here (containerd's CRI asks for no more).
    async fn link(&self, parent: &LinkedDescriptor, child: &LinkedDescriptor) -> Result<()> {
        let index: Index = self.read(&parent.digest, "index").await?;
        let at = index.manifests.iter().position(|m| m.digest == child.digest);
        let at = at.ok_or_else(|| Error::content(format!("index {} does not name {}", parent.digest, child.digest)))?;
        self.containerd.label(&parent.digest, [(format!("containerd.io/gc.ref.content.m.{at}"), child.digest.clone())].into()).await
    }

    async fn label_children(&self, leaf: &LinkedDescriptor, manifest: &Manifest) -> Result<()> {
        let mut labels = HashMap::from([("containerd.io/gc.ref.content.config".to_owned(), manifest.config.digest.clone())]);
        for (i, layer) in manifest.layers.iter().enumerate() {
            labels.insert(format!("containerd.io/gc.ref.content.l.{i}"), layer.digest.clone());
        }
        self.containerd.label(&leaf.digest, labels).await
    }

    /// Makes one layer of a stack, once for all images that share it. Returns the stack's name.
    async fn layer(&self, layer: &Linked, parent: &str, diff_id: &str) -> Result<String> {
        let id = chain_id(parent, diff_id);
        let cell = self.chains.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone();
        cell.get_or_try_init(|| self.make_layer(layer, parent, diff_id, &id)).await?;
        Ok(id)
    }

    async fn make_layer(&self, layer: &Linked, parent: &str, diff_id: &str, id: &str) -> Result<()> {
        self.meter.total.fetch_add(layer.size, Ordering::Relaxed);
        self.arrivals.wait(&self.containerd, &layer.digest).await?;
        if !self.containerd.has_snapshot(&self.snapshotter, id).await? {
            // Never closed, so this cannot fail.
            let _slot = self.slots.acquire().await;
            let layer = descriptor(&layer.media_type, &layer.digest, layer.size);
            self.containerd.unpack(&self.snapshotter, &layer, parent, diff_id, id).await?;
            self.meter.unpacked.fetch_add(1, Ordering::Relaxed);
        }
        self.containerd.label(&layer.digest, [("containerd.io/uncompressed".to_owned(), diff_id.to_owned())].into()).await?;
        self.meter.done.fetch_add(layer.size, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        // printf 'sha256:a sha256:b' | sha256sum
        let want = "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8";
        assert_eq!(chain_id("", "sha256:a"), "sha256:a");
        assert_eq!(chain_id("sha256:a", "sha256:b"), want);
    }

    #[test]
    fn docker_and_oci_documents_are_read_alike() {
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"c","digest":"sha256:c","size":1},
            "layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"sha256:l","size":2,"urls":[]}]}"#;
        let manifest: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!((manifest.config.digest.as_str(), manifest.layers[0].size), ("sha256:c", 2));
    }
}
