//! Makes the artifacts that stand beside the images: the delivery itself, charts, manifests, agents.
//!
//! None of them carries an image's name, or `ctr` would take it for an image and fail. Their name is in an annotation of ours.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    delivery::record::Record,
    oci::{Descriptor, Digest, Manifest, Platform, Reference, annotation, media_type},
};

/// Artifact type of an app's plain manifests. Ours.
pub const MANIFESTS: &str = "application/vnd.offline.manifests.v1";
/// The packaged manifests. Ours.
pub const MANIFESTS_LAYER: &str = "application/vnd.offline.manifests.v1.tar+gzip";

/// What the names of attachments begin with.
pub(crate) const ATTACHMENTS: &str = "attachments/";

/// An artifact and all its blobs, its manifest included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What goes into index.json, named.
    pub root: Descriptor,
    /// Everything that it consists of.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

/// The descriptor of an image as index.json names it.
pub fn image_root(descriptor: &Descriptor, reference: &Reference) -> Descriptor {
    let mut root = Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    root.platform.clone_from(&descriptor.platform);
    let name = reference.to_string();
    root.with_annotation(annotation::REF_NAME, name.clone()).with_annotation(annotation::CONTAINERD_NAME, name)
}

/// The descriptor of an attachment as index.json names it: by where it came from, in an annotation of ours. `name` has its digest.
pub fn attachment_root(descriptor: &Descriptor, name: &Reference, subject: &Digest) -> Descriptor {
    // Its own type is a registry's word, and must not pass for one of ours.
    let mut root = Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    root.artifact_type = Some(media_type::ATTACHMENT.to_owned());
    root.with_annotation(annotation::NAME, format!("{ATTACHMENTS}{name}")).with_annotation(annotation::SUBJECT, subject.to_string())
}

/// The delivery: the record as config, and files by their path (delivery.yaml, lock, values, `spec.files`).
pub fn delivery_artifact(record: &Record, files: &[(String, Bytes)]) -> Artifact {
    let config = json(record);
    let layers = files.iter().map(|(path, bytes)| {
        let layer = Descriptor::of(media_type::DELIVERY_FILE, bytes).with_annotation(annotation::TITLE, path.clone());
        (layer, bytes.clone())
    });
    artifact("delivery", media_type::DELIVERY, (media_type::DELIVERY, config), layers.collect())
}

/// A Helm chart as `helm push` makes it: Chart.yaml as JSON is the config, the .tgz is the layer (helm, pkg/registry/client.go, `Push`).
pub fn chart_artifact(name: &str, version: &str, metadata_json: Bytes, tgz: Bytes) -> Artifact {
    let layer = Descriptor::of(media_type::HELM_CHART, &tgz);
    let mut made = artifact(&format!("charts/{name}-{version}"), media_type::HELM_CONFIG, (media_type::HELM_CONFIG, metadata_json), vec![(layer, tgz)]);
    made.root = made.root.with_annotation(annotation::VERSION, version);
    made
}

/// The plain manifests of an app: a .tgz with the files below `manifests/`.
pub fn manifests_artifact(app: &str, tgz: Bytes) -> Artifact {
    let layer = Descriptor::of(MANIFESTS_LAYER, &tgz);
    artifact(&format!("manifests/{app}"), MANIFESTS, (media_type::OCI_EMPTY, Bytes::from_static(b"{}")), vec![(layer, tgz)])
}

/// The programs that run on nodes of one platform.
pub fn agent_artifact(platform: &Platform, loader: Bytes, agent: Bytes) -> Artifact {
    let layers = vec![(Descriptor::of(media_type::LOADER, &loader), loader), (Descriptor::of(media_type::AGENT, &agent), agent)];
    let mut made = artifact(&format!("agents/{platform}"), media_type::AGENT, (media_type::OCI_EMPTY, Bytes::from_static(b"{}")), layers);
    made.root.platform = Some(platform.clone());
    made
}

fn artifact(name: &str, kind: &str, (config_type, config): (&str, Bytes), layers: Vec<(Descriptor, Bytes)>) -> Artifact {
    let config_descriptor = Descriptor::of(config_type, &config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.into()),
        artifact_type: Some(kind.into()),
        config: config_descriptor.clone(),
        layers: layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    };
    let bytes = json(&manifest);
    let descriptor = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
    let mut root = descriptor.clone().with_annotation(annotation::NAME, name);
    root.artifact_type = Some(kind.into());
    let mut blobs = vec![(descriptor, bytes), (config_descriptor, config)];
    blobs.extend(layers);
    Artifact { root, blobs }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("types of ours serialise").into()
}
