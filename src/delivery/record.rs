//! The record: what an archive says about itself. It is the config of the delivery artifact, so the signature covers it.
//!
//! delivery.yaml travels too, for people; programs read the record, in which everything is resolved: values are merged, charts and
//! images are digests, nothing refers to a file of the machine that exported.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Platform, Reference};

/// The format's version that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// What an archive delivers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of this format; a reader refuses newer ones.
    pub format: u32,
    /// `metadata.name` of the delivery.
    pub name: String,
    /// `metadata.version` of the delivery.
    pub version: String,
    /// Platforms whose images are in the archive.
    pub platforms: Vec<Platform>,
    /// `spec.registry`: host and path that images are named by on the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Apps in the order in which they are installed.
    pub apps: Vec<AppRecord>,
    /// Every image, sorted by reference.
    pub images: Vec<ImageRecord>,
    /// Extra files, by the title of their layer in the delivery artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRecord {
    /// Name of the app and of its release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Apps that must be ready before this one is installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// What is installed.
    pub source: AppSource,
    /// The user's values: files merged, `set` applied. Empty for manifests.
    #[serde(default)]
    pub values: serde_json::Map<String, serde_json::Value>,
    /// `registryKeys` of the app, where given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_keys: Option<Vec<String>>,
}

/// What an app is made of. Both are a gzip'd tar among the archive's blobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum AppSource {
    /// A Helm chart with its subcharts vendored.
    #[serde(rename_all = "camelCase")]
    Chart {
        /// `name` in Chart.yaml.
        name: String,
        /// `version` in Chart.yaml.
        version: String,
        /// The packaged chart (.tgz).
        digest: Digest,
        /// Where it came from; none for a chart that lay beside delivery.yaml and needed nothing from elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<ChartOrigin>,
    },
    /// Plain manifests, packaged as a chart whose templates are taken as they are: file names below `manifests/`.
    #[serde(rename_all = "camelCase")]
    Manifests {
        /// A .tgz with the files below `manifests/`.
        digest: Digest,
    },
}

/// Where a chart came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartOrigin {
    /// URL of the repository, or `oci://` and the chart's name; without credentials. None for a chart beside delivery.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The chart's manifest, in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Fingerprint of the key that signed the packaged chart; it was held against a keyring then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Dependencies that were downloaded into the chart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyRecord>,
}

/// A dependency that was downloaded into a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DependencyRecord {
    /// Its name.
    pub name: String,
    /// Where it came from, as Chart.yaml says.
    pub repository: String,
    /// The version that was found.
    pub version: String,
    /// The packaged chart (.tgz).
    pub digest: Digest,
    /// Its manifest, in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRecord {
    /// The name under which pods ask for it, normalised; with a digest where a pod names one.
    pub reference: Reference,
    /// Digest of its index or manifest, as in the registry.
    pub digest: Digest,
    /// Who named it.
    pub origins: Vec<Origin>,
}

/// How an image became known, in order of trust.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// delivery.yaml, or an image archive that it names.
    #[default]
    Delivery,
    /// A pod template.
    Pod,
    /// A field of a custom resource that is an image by its name and shape.
    Field,
    /// A field that a well-known operator reads.
    Operator,
    /// An annotation of Chart.yaml.
    Annotation,
    /// The chart's values.
    Values,
    /// A text: an argument, a variable, a setting.
    Text,
    /// A template's own text, in a branch that nothing rendered.
    Template,
}

/// A place that names an image. Fields that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// How it became known.
    #[serde(default)]
    pub source: Source,
    /// App in delivery.yaml; none for an entry under `spec.images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Profile in which it was rendered; none for the plain values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Cluster for which it was rendered, as in `Kubernetes 1.29`; none if any cluster will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Values that have to be set for it, as after `--set`; none if the delivery's own will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Template, as in Helm's `# Source:` line, or the manifest file, or the chart's file that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Object, as in `Deployment/shop/web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// JSON pointer in the object or in the template's file, or the place in delivery.yaml, as in `spec.images[0]`.
    pub path: String,
}

/// One extra file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// Path in delivery.yaml.
    pub path: String,
    /// The file's bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

impl Record {
    /// Labels that the program adds to what it makes in a cluster.
    pub fn labels(&self) -> BTreeMap<String, String> {
        [("offline.dev/delivery".to_owned(), self.name.clone()), ("offline.dev/version".to_owned(), self.version.clone())].into()
    }
}
