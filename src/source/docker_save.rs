//! What `docker save` writes: a list in manifest.json, configs and layers, without manifests (moby, image/spec/v1.2.md).

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use serde::Deserialize;

use super::{SourceError, blobs::Blob, tar_index::not_an_archive};
use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, Reference, media_type};

const IMAGES_MAX: usize = 1000;
const LAYERS_MAX: usize = 1024;

/// An entry of manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// An image with the manifest that was made for it.
pub(super) struct Saved {
    pub(super) names: Vec<Reference>,
    pub(super) root: Descriptor,
    pub(super) documents: Vec<(Descriptor, Bytes)>,
    pub(super) layers: Vec<(Digest, Blob)>,
}

/// Reads the list and makes a manifest for each image. The same archive always gives the same manifests: nothing but content goes in.
pub(super) fn read(path: &Path, entries: &BTreeMap<String, Blob>, list: &Bytes) -> Result<Vec<Saved>, SourceError> {
    let list: Vec<Entry> = serde_json::from_slice(list).map_err(|e| not_an_archive(path, format!("manifest.json: {e}")))?;
    if list.is_empty() || list.len() > IMAGES_MAX {
        return Err(not_an_archive(path, format!("manifest.json lists {} images", list.len())));
    }
    let mut hashed = BTreeMap::new();
    list.iter().map(|entry| image(path, entries, entry, &mut hashed)).collect()
}

type Hashed = BTreeMap<String, (Digest, Vec<u8>)>;

fn image(path: &Path, entries: &BTreeMap<String, Blob>, entry: &Entry, hashed: &mut Hashed) -> Result<Saved, SourceError> {
    let find = |name: &str| entries.get(name).ok_or_else(|| not_an_archive(path, format!("{name}, which manifest.json lists, is not in it")));
    let config = find(&entry.config)?.read(path, &entry.config)?;
    let parsed: ImageConfig = serde_json::from_slice(&config).map_err(|e| not_an_archive(path, format!("{}: {e}", entry.config)))?;
    if entry.layers.len() != parsed.rootfs.diff_ids.len() || entry.layers.len() > LAYERS_MAX {
        return Err(not_an_archive(path, format!("{} layers are listed, {} are in the config", entry.layers.len(), parsed.rootfs.diff_ids.len())));
    }
    let (mut descriptors, mut layers) = (Vec::new(), Vec::new());
    for (name, diff_id) in entry.layers.iter().zip(&parsed.rootfs.diff_ids) {
        let blob = find(name)?;
        if !hashed.contains_key(name) {
            hashed.insert(name.clone(), blob.hash(path)?);
        }
        let (digest, head) = &hashed[name];
        let kind = layer_type(head);
        if kind == media_type::OCI_LAYER && digest != diff_id {
            return Err(SourceError::Digest { path: path.into(), entry: name.clone(), wanted: diff_id.clone(), found: digest.clone() });
        }
        descriptors.push(Descriptor::new(kind, digest.clone(), blob.size));
        layers.push((digest.clone(), blob.clone()));
    }
    let config_descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config: config_descriptor.clone(),
        layers: descriptors,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let bytes = Bytes::from(serde_json::to_vec(&manifest).expect("types of ours serialise"));
    let root = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
    let names = entry.repo_tags.iter().flatten().map(|name| name.parse());
    let names = names.collect::<Result<Vec<Reference>, _>>().map_err(|source| SourceError::Reference { path: path.into(), source })?;
    Ok(Saved { names, root: root.clone(), documents: vec![(root, bytes), (config_descriptor, config)], layers })
}

/// By the first bytes: docker writes plain tars, other tools compress.
fn layer_type(head: &[u8]) -> &'static str {
    match head {
        [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => media_type::OCI_LAYER_ZSTD,
        _ => media_type::OCI_LAYER,
    }
}
