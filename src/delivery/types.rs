//! delivery.yaml as it is written: the one definition from which both the JSON schema and the reading are made.
//!
//! Field names are part of a contract with the people who keep these files; docs in this file become the schema's descriptions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A delivery: apps, and all that they need, for a cluster that cannot reach the internet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Delivery")]
pub(crate) struct Document {
    /// Version of this format.
    #[expect(dead_code, reason = "the schema admits one value only")]
    pub(crate) api_version: ApiVersion,
    /// Kind of this document.
    #[expect(dead_code, reason = "the schema admits one value only")]
    pub(crate) kind: DocumentKind,
    /// What the delivery is called.
    pub(crate) metadata: Metadata,
    /// What is delivered.
    pub(crate) spec: Spec,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum ApiVersion {
    #[serde(rename = "offline/v1")]
    V1,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum DocumentKind {
    Delivery,
}

/// What the delivery is called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    /// Name: lower-case letters, digits and `-`, at most 53 characters.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$"))]
    pub(crate) name: String,
    /// Version: letters, digits, `.`, `-`, `_` and `+`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$"))]
    pub(crate) version: String,
}

/// What is delivered.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Spec {
    /// Platforms whose images travel, as in `linux/arm64`. Left out: linux/amd64.
    #[serde(default)]
    #[schemars(length(min = 1))]
    #[schemars(with = "Vec<String>")]
    pub(crate) platforms: Option<Vec<String>>,
    /// Host and path that images are called by on the other side. Left out, names stay as they are.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) registry: Option<String>,
    /// How to reach registries while exporting, by host. Never travels.
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, SourceOptions>,
    /// The clusters that this is for. Left out: those that Helm assumes.
    #[serde(default)]
    pub(crate) install: Install,
    /// Apps; each becomes a Helm release.
    #[serde(default)]
    pub(crate) apps: Vec<App>,
    /// Images that no app names.
    #[serde(default)]
    pub(crate) images: Vec<ImageEntry>,
    /// Whether signatures, attestations and SBOMs that are attached to images in their registries travel along. Left out: they do.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(crate) attachments: Option<bool>,
    /// Files that travel along.
    #[serde(default)]
    pub(crate) files: Vec<FileEntry>,
}

/// How to reach one registry.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SourceOptions {
    /// Host and path to ask instead.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) mirror: Option<String>,
    /// PEM file with certificate authorities to trust besides the system's.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) ca_file: Option<String>,
    /// Speak HTTP without TLS. Loopback hosts may do so without being told.
    #[serde(default, rename = "plainHTTP")]
    pub(crate) plain_http: bool,
    /// PEM file with the certificate by which this machine proves to the server who it is; goes with `clientKey`.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) client_certificate: Option<String>,
    /// PEM file with the private key of `clientCertificate`.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) client_key: Option<String>,
    /// Who must have signed every image that is called by this host, as `cosign sign --key` does it.
    #[serde(default)]
    #[schemars(with = "Verify")]
    pub(crate) verify: Option<Verify>,
}

/// Who must have signed images.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    /// PEM file with the public key.
    pub(crate) key: String,
}

/// One app: a chart or plain manifests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct App {
    /// Name of the app and of its release: lower-case letters, digits, `-` and `.`, at most 53 characters.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,51}[a-z0-9])?$"))]
    pub(crate) name: String,
    /// Namespace of the release. Left out: `default`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    #[schemars(with = "String")]
    pub(crate) namespace: Option<String>,
    /// Apps that must be ready first.
    #[serde(default)]
    pub(crate) depends_on: Vec<String>,
    /// The chart.
    #[serde(default)]
    #[schemars(with = "ChartSource")]
    pub(crate) chart: Option<ChartSource>,
    /// Manifest files and folders, delivered as a release as well.
    #[serde(default)]
    #[schemars(length(min = 1))]
    #[schemars(with = "Vec<String>")]
    pub(crate) manifests: Option<Vec<String>>,
    /// Values files, later ones win.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// Single values by path, as after `--set`; they win over files.
    #[serde(default)]
    pub(crate) set: serde_json::Map<String, serde_json::Value>,
    /// Other values under which the chart may be installed; their images travel too.
    #[serde(default)]
    pub(crate) profiles: Vec<Profile>,
    /// Values paths that hold the chart's registry. Found by trial if left out.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) registry_keys: Option<Vec<String>>,
    /// Images to add or to leave out.
    #[serde(default)]
    pub(crate) images: ImageSelection,
}

/// Where a chart comes from: `path`, or `oci`, or `repo` with `name`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ChartSource {
    /// Folder or .tgz, relative to this file.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) path: Option<String>,
    /// Chart in a registry, as in `oci://registry.example/charts/web`; a tag or a digest may follow.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) oci: Option<String>,
    /// URL of a chart repository, or `@NAME` for one that was added to helm. Credentials come from helm or docker, never from this file.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) repo: Option<String>,
    /// Name of the chart in the repository.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) name: Option<String>,
    /// Version or constraint of a chart in a repository or registry, as in `~15.2`. Left out: the newest that is no prerelease.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) version: Option<String>,
    /// Chooses the version among those of the repository or registry, in place of `version`.
    #[serde(default)]
    #[schemars(with = "TagPolicy")]
    pub(crate) tag_policy: Option<TagPolicy>,
    /// File with public keys, as `gpg --export` writes it: one of them must have signed the packaged chart, which has a provenance file (.prov)
    /// then. Never travels.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) keyring: Option<String>,
}

/// Values under which an app may be installed, besides its plain ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Name, for messages and origins.
    pub(crate) name: String,
    /// Values files on top of the app's.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// Single values on top of the app's.
    #[serde(default)]
    pub(crate) set: serde_json::Map<String, serde_json::Value>,
}

/// Images to add or to leave out of what an app names.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageSelection {
    /// References to add.
    #[serde(default)]
    pub(crate) include: Vec<String>,
    /// Patterns to leave out, `*` for anything.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
    /// What to do with what may be an image and is one in its registry. Left out: whoever runs the command is asked, and where nobody is
    /// there it fails.
    #[serde(default)]
    #[schemars(with = "Guesses")]
    pub(crate) guesses: Option<Guesses>,
}

/// What to do with what may be an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Guesses {
    /// It travels.
    Take,
    /// It stays behind.
    Leave,
    /// Nothing is done until somebody has decided.
    Fail,
}

/// The clusters that a delivery is for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Install {
    /// Versions of Kubernetes, as in `1.29`. Charts are rendered for each, and the images of all travel.
    #[serde(default)]
    pub(crate) kubernetes_versions: Vec<String>,
    /// API versions that the clusters have besides Kubernetes' own, as in `monitoring.coreos.com/v1`. Charts are rendered with and without.
    #[serde(default)]
    pub(crate) api_versions: Vec<String>,
}

/// An image that no app names: `ref`, `archive`, `docker` or `containerd`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ImageEntry {
    /// Reference in a registry.
    #[serde(default, rename = "ref")]
    #[schemars(with = "String")]
    pub(crate) reference: Option<String>,
    /// `docker save` archive or OCI layout; gzip and zstd are read too.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) archive: Option<String>,
    /// Name and tag of an image that a docker running on this machine has.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) docker: Option<String>,
    /// Name of an image that a containerd running on this machine has, with a tag or a digest.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) containerd: Option<String>,
    /// Chooses the tag among those of the repository that `ref` names; `ref` has no tag then.
    #[serde(default)]
    #[schemars(with = "TagPolicy")]
    pub(crate) tag_policy: Option<TagPolicy>,
}

/// Chooses a tag among those of a repository, or a version among those of a chart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TagPolicy {
    /// Regular expression that the whole tag must match, as in `v5.*`.
    pub regex: String,
    /// Which of those that match.
    #[serde(default)]
    pub pick: Pick,
    /// Regular expression that the whole tag must not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub not: Option<String>,
}

impl TagPolicy {
    /// In words, for messages.
    pub(crate) fn described(&self) -> String {
        let pick = match self.pick {
            Pick::Semver => "highest version",
            Pick::Newest => "newest",
            Pick::Lexical => "last",
        };
        let not = self.not.as_ref().map_or_else(String::new, |not| format!(" without `{not}`"));
        format!("the {pick} of `{}`{not}", self.regex)
    }
}

/// Which tag of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The highest by semantic versioning; prereleases only where the expression has a `-` of its own.
    #[default]
    Semver,
    /// The one that was made last, as its configuration says.
    Newest,
    /// The last in the order of characters.
    Lexical,
}

/// A file that travels along.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Path, relative to this file.
    pub(crate) path: String,
}
