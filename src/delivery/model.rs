//! A delivery that has been checked: what the rest of the program works with.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::Guesses;
use crate::{
    io,
    oci::{Platform, Reference},
    tag_policy::TagPolicy,
};

/// A checked delivery.yaml.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.version`.
    pub version: String,
    /// What is delivered.
    pub spec: Spec,
    /// The file's text; it travels in the archive, for people.
    pub text: String,
    /// Where the file is.
    pub path: PathBuf,
}

/// What is delivered. Paths are as written: relative to the delivery's folder, see [`Delivery::resolve`].
#[derive(Debug, Clone)]
pub struct Spec {
    /// Platforms whose images travel; never empty.
    pub platforms: Vec<Platform>,
    /// What images are called on the other side: host, and path if any.
    pub registry: Option<String>,
    /// How to reach registries, by host.
    pub sources: BTreeMap<String, SourceOptions>,
    /// The clusters that it is for.
    pub install: Install,
    /// Apps as written; [`Delivery::install_order`] sorts them.
    pub apps: Vec<App>,
    /// Images that no app names.
    pub images: Vec<ImageEntry>,
    /// Whether what is attached to images travels along.
    pub attachments: bool,
    /// Files that travel along.
    pub files: Vec<PathBuf>,
}

/// How to reach one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Host and path to ask instead.
    pub mirror: Option<String>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// No TLS.
    pub plain_http: bool,
    /// PEM files with the certificate and the private key by which we say who we are.
    pub client: Option<(PathBuf, PathBuf)>,
    /// PEM file with the key that must have signed the images.
    pub verify: Option<PathBuf>,
}

/// The clusters that a delivery is for; empty where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    /// Versions of Kubernetes.
    pub kubernetes_versions: Vec<String>,
    /// API versions besides Kubernetes' own.
    pub api_versions: Vec<String>,
}

/// One app.
#[derive(Debug, Clone)]
pub struct App {
    /// Name of the app and its release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Apps that must be ready first; all exist, no cycles.
    pub depends_on: Vec<String>,
    /// What is installed.
    pub source: AppSource,
    /// Chooses the chart's version, where it has no other.
    pub tag_policy: Option<TagPolicy>,
    /// Keys one of which must have signed the packaged chart.
    pub keyring: Option<PathBuf>,
    /// Values files, later ones win.
    pub values: Vec<PathBuf>,
    /// Single values by path in `--set` notation.
    pub set: serde_json::Map<String, serde_json::Value>,
    /// Other values under which images are looked for.
    pub profiles: Vec<Profile>,
    /// Values paths that hold the chart's registry.
    pub registry_keys: Option<Vec<String>>,
    /// Images added.
    pub images_include: Vec<Reference>,
    /// Patterns of images left out.
    pub images_exclude: Vec<String>,
    /// What to do with what may be an image; none if nobody has decided.
    pub guesses: Option<Guesses>,
}

/// Where an app comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppSource {
    /// A chart.
    Chart(ChartSource),
    /// Manifest files and folders; never empty.
    Manifests(Vec<PathBuf>),
}

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// Folder or .tgz.
    Path(PathBuf),
    /// Chart repository.
    Repository {
        /// URL without credentials, or `@NAME` for one that was added to helm.
        repository: String,
        /// Name of the chart in it.
        name: String,
        /// Version or constraint.
        version: Option<String>,
    },
    /// Registry.
    Registry {
        /// The chart's name, with `oci://`; with a tag or a digest, or without.
        chart: String,
        /// Version or constraint.
        version: Option<String>,
    },
}

/// Values under which images are looked for, besides the plain ones.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Name of the profile.
    pub name: String,
    /// Values files on top of the app's.
    pub values: Vec<PathBuf>,
    /// Single values on top of the app's.
    pub set: serde_json::Map<String, serde_json::Value>,
}

/// An image that no app names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageEntry {
    /// In a registry.
    Ref(Reference),
    /// In a registry, under one of its tags.
    Policy {
        /// The repository.
        repository: Reference,
        /// Chooses the tag.
        policy: TagPolicy,
    },
    /// In a file: `docker save` or OCI layout.
    Archive(PathBuf),
    /// In a docker that runs on the machine.
    Docker(Reference),
    /// In a containerd that runs on the machine.
    Containerd(Reference),
}

impl Delivery {
    /// The folder that the delivery's paths are relative to.
    pub fn folder(&self) -> &Path {
        io::folder_of(&self.path)
    }

    /// A path of the delivery, as this process may open it.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder().join(path)
    }

    /// Where its lock is: `delivery.lock` beside delivery.yaml.
    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    /// Apps so that each comes after those it depends on; otherwise in the order written.
    pub fn install_order(&self) -> Vec<&App> {
        let mut order: Vec<&App> = Vec::with_capacity(self.spec.apps.len());
        // Each pass places at least one app, as there are no cycles.
        while order.len() < self.spec.apps.len() {
            let placed = |name: &str| order.iter().any(|app| app.name == name);
            let Some(next) = self.spec.apps.iter().find(|app| !placed(&app.name) && app.depends_on.iter().all(|d| placed(d))) else { break };
            order.push(next);
        }
        order
    }
}
