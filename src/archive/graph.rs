//! Follows index.json to everything that it leads to. The writer and the reader use this same walk, so that an archive
//! holds what it refers to, nothing else, and in the one order that follows from it.

use std::{cmp::Reverse, collections::BTreeMap};

use bytes::Bytes;

use super::{Fault, Flaw, names};
use crate::oci::{Descriptor, Digest, ImageConfig, Index, Manifest, ManifestKind, Platform, annotation, media_type};

/// Layers of a manifest, manifests of an index. The kernel mounts 500 layers at most (overlayfs), containerd 127.
const CHILDREN_MAX: usize = 10_000;

/// Where the walk gets documents from.
pub(crate) trait Blobs {
    /// The size of a blob that is there.
    fn size(&self, digest: &Digest) -> Option<u64>;
    /// A document, checked against its digest.
    fn read(&self, digest: &Digest) -> Result<Bytes, Fault>;
    /// Whether layers of images may be in a base instead.
    fn have_base(&self) -> bool {
        false
    }
}

/// All that index.json leads to.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// The indexes that are in the archive.
    pub(crate) indexes: BTreeMap<Digest, Index>,
    /// The manifests that are in the archive.
    pub(crate) manifests: BTreeMap<Digest, Manifest>,
    /// What a manifest's config says it runs on.
    platforms: BTreeMap<Digest, Platform>,
    /// When a manifest's config says it was made.
    created: BTreeMap<Digest, String>,
    documents: BTreeMap<Digest, u64>,
    layers: BTreeMap<Digest, u64>,
    /// Layers of images that are not there, but in a base.
    pub(crate) left_out: BTreeMap<Digest, u64>,
    /// Whether the walk is below an image, and not below an artifact of ours: nodes have no use for the latter, and so never hold it.
    in_image: bool,
    media_types: BTreeMap<Digest, String>,
}

impl Graph {
    /// Walks from the descriptors of index.json.
    pub(crate) fn walk(roots: &[Descriptor], blobs: &dyn Blobs, depth: usize) -> Result<Self, Flaw> {
        let mut graph = Self::default();
        for root in roots {
            graph.in_image = root.annotation(annotation::REF_NAME).is_some();
            graph.document(root, names::INDEX, blobs, depth)?;
        }
        let Self { documents, layers, .. } = &mut graph;
        // What is a config here and a layer there is read early, so it stands with the documents.
        layers.retain(|digest, _| !documents.contains_key(digest));
        Ok(graph)
    }

    /// All blobs in the order in which they stand in the archive: documents by digest, then layers, the largest first.
    pub(crate) fn order(&self) -> Vec<(&Digest, u64)> {
        let mut layers: Vec<_> = self.layers.iter().map(|(d, &s)| (d, s)).collect();
        layers.sort_by_key(|&(digest, size)| (Reverse(size), digest));
        self.documents.iter().map(|(d, &s)| (d, s)).chain(layers).collect()
    }

    /// What a manifest that is in the archive runs on: what its index says, else its config. Nothing for artifacts, and for
    /// attestations, which buildkit marks as `unknown/unknown` (buildkit, docs/attestations/attestation-storage.md).
    pub(crate) fn platform<'a>(&'a self, manifest: &'a Descriptor) -> Option<&'a Platform> {
        let parsed = self.manifests.get(&manifest.digest)?;
        let platform = manifest.platform.as_ref().or_else(|| self.platforms.get(&manifest.digest));
        platform.filter(|platform| is_image_config(&parsed.config.media_type) && platform.os != "unknown")
    }

    /// When an image's manifest was made, as its config says.
    pub(crate) fn created(&self, manifest: &Digest) -> Option<&str> {
        self.created.get(manifest).map(String::as_str)
    }

    /// Whether it is an index, a manifest or a config.
    pub(crate) fn is_document(&self, digest: &Digest) -> bool {
        self.documents.contains_key(digest)
    }

    fn document(&mut self, descriptor: &Descriptor, by: &str, blobs: &dyn Blobs, depth: usize) -> Result<(), Flaw> {
        let entry = names::blob(&descriptor.digest);
        let flaw = |fault| Flaw::new(entry.clone(), fault);
        check_size(descriptor, by, blobs)?;
        if let Some(also) = self.media_types.get(&descriptor.digest) {
            return if *also == descriptor.media_type {
                Ok(())
            } else {
                Err(flaw(Fault::MediaType { said: descriptor.media_type.clone(), also: also.clone() }))
            };
        }
        self.media_types.insert(descriptor.digest.clone(), descriptor.media_type.clone());
        self.documents.insert(descriptor.digest.clone(), descriptor.size);
        let bytes = blobs.read(&descriptor.digest).map_err(flaw)?;
        let kind = ManifestKind::parse(&bytes, Some(&descriptor.media_type)).map_err(|e| flaw(Fault::Manifest(e)))?;
        // A document that can be read as two things is an attack (CVE-2021-41190): it must be what it is called.
        let own = match &kind {
            ManifestKind::Manifest(m) => m.media_type.as_deref(),
            ManifestKind::Index(i) => i.media_type.as_deref(),
        };
        if let Some(own) = own.filter(|&own| own != descriptor.media_type) {
            return Err(flaw(Fault::MediaType { said: descriptor.media_type.clone(), also: own.to_owned() }));
        }
        match kind {
            ManifestKind::Index(index) => self.index(&descriptor.digest, index, blobs, depth),
            ManifestKind::Manifest(manifest) => self.manifest(&descriptor.digest, manifest, blobs),
        }
    }

    /// Only some of an index's manifests need to be there: those of the platforms that were asked for.
    fn index(&mut self, digest: &Digest, index: Index, blobs: &dyn Blobs, depth: usize) -> Result<(), Flaw> {
        let entry = names::blob(digest);
        check_children(&entry, index.manifests.len())?;
        let Some(below) = depth.checked_sub(1) else { return Err(Flaw::new(entry, Fault::Depth(0))) };
        let mut found = false;
        for child in index.manifests.iter().filter(|child| blobs.size(&child.digest).is_some()) {
            found = true;
            self.document(child, &entry, blobs, below)?;
        }
        if !found {
            let listed = index.manifests.iter().take(8).map(|child| names::blob(&child.digest)).collect();
            return Err(Flaw::new(entry, Fault::NoChild { listed }));
        }
        self.indexes.insert(digest.clone(), index);
        Ok(())
    }

    fn manifest(&mut self, digest: &Digest, manifest: Manifest, blobs: &dyn Blobs) -> Result<(), Flaw> {
        let entry = names::blob(digest);
        check_children(&entry, manifest.layers.len())?;
        let config = &manifest.config;
        check_size(config, &entry, blobs)?;
        self.documents.insert(config.digest.clone(), config.size);
        let flaw = |fault| Flaw::new(names::blob(&config.digest), fault);
        let bytes = blobs.read(&config.digest).map_err(flaw)?;
        if is_image_config(&config.media_type) {
            let parsed: ImageConfig = serde_json::from_slice(&bytes).map_err(|e| flaw(Fault::Json(e)))?;
            if !parsed.os.is_empty() && !parsed.architecture.is_empty() {
                let platform = Platform { architecture: parsed.architecture, os: parsed.os, variant: parsed.variant, os_version: None };
                self.platforms.insert(digest.clone(), platform);
                self.created.extend(parsed.created.map(|created| (digest.clone(), created)));
            }
        }
        for layer in &manifest.layers {
            if self.in_image && blobs.have_base() && blobs.size(&layer.digest).is_none() {
                let known = *self.left_out.entry(layer.digest.clone()).or_insert(layer.size);
                if known != layer.size {
                    return Err(Flaw::new(names::blob(&layer.digest), Fault::Size { by: entry, wanted: layer.size, found: known }));
                }
                continue;
            }
            check_size(layer, &entry, blobs)?;
            self.layers.insert(layer.digest.clone(), layer.size);
        }
        self.manifests.insert(digest.clone(), manifest);
        Ok(())
    }
}

/// Whether a config is that of an image that can run.
pub(crate) fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG)
}

fn check_children(entry: &str, children: usize) -> Result<(), Flaw> {
    if children > CHILDREN_MAX {
        Err(Flaw::new(entry, Fault::Format(format!("it refers to {children} others; at most {CHILDREN_MAX} are accepted"))))
    } else {
        Ok(())
    }
}

fn check_size(descriptor: &Descriptor, by: &str, blobs: &dyn Blobs) -> Result<(), Flaw> {
    let fault = match blobs.size(&descriptor.digest) {
        None => Fault::Missing { by: by.to_owned() },
        Some(found) if found != descriptor.size => Fault::Size { by: by.to_owned(), wanted: descriptor.size, found },
        Some(_) => return Ok(()),
    };
    Err(Flaw::new(names::blob(&descriptor.digest), fault))
}
