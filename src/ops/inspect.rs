//! `inspect`: what is in this archive? Layers are not read, so this is quick; `verify` is what checks them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    reach,
    verify::{BaseOutcome, Elsewhere, TrustOptions, archive_failure, left_out},
};
use crate::{
    archive::{Contents, Standing, Trust},
    delivery::record::{AppSource, Origin},
    failure::Failure,
    oci::{Digest, Platform, Reference},
    signing,
};

/// What to look into.
#[derive(Debug, Clone)]
pub struct InspectOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Whom to trust; without keys the signature is told and not checked.
    pub trust: TrustOptions,
}

/// What is in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Outcome of `kubectl offline inspect --format json`")]
pub struct InspectOutcome {
    /// The archive.
    pub archive: PathBuf,
    /// The delivery's name.
    pub name: String,
    /// The delivery's version.
    pub version: String,
    /// Bytes of everything in it.
    pub size: u64,
    /// What was found out about its signatures.
    pub signature: Standing,
    /// The signatures that it carries.
    pub signatures: Vec<SignatureInfo>,
    /// Platforms that it is meant for.
    pub platforms: Vec<Platform>,
    /// What images are called on the other side.
    pub registry: Option<String>,
    /// Apps in the order of their installation.
    pub apps: Vec<AppInfo>,
    /// Images by name.
    pub images: Vec<ImageInfo>,
    /// Charts, by their name in the archive.
    pub charts: Vec<ChartInfo>,
    /// Layers of images, the largest first.
    pub layers: Vec<LayerInfo>,
    /// Signatures, attestations and lists of contents (SBOM) that travel with images.
    pub attestations: Vec<AttestationInfo>,
    /// Programs for nodes.
    pub agents: Vec<AgentInfo>,
    /// Files that travel with it.
    pub files: Vec<FileInfo>,
    /// What it leaves out; none if it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseOutcome>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureInfo {
    /// Where it stands.
    pub entry: String,
    /// The key that it names; nothing proves that.
    pub key_hint: Option<String>,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo {
    /// Its name.
    pub name: String,
    /// Where it is installed.
    pub namespace: String,
    /// Which apps go before it.
    pub depends_on: Vec<String>,
    /// What it is made of: `chart NAME VERSION` or `manifests`.
    pub source: String,
    /// The package's digest.
    pub digest: Digest,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageInfo {
    /// Its original name.
    pub reference: Reference,
    /// Digest of its index or manifest.
    pub digest: Digest,
    /// Platforms that are in the archive.
    pub platforms: Vec<Platform>,
    /// Bytes of all its blobs, all platforms.
    pub size: u64,
    /// Of these, what other images use as well.
    pub shared: u64,
    /// Who named it.
    pub origins: Vec<Origin>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerInfo {
    /// Its digest.
    pub digest: Digest,
    /// Its size as it travels.
    pub size: u64,
    /// The images that have it, several names of one image as one.
    pub images: Vec<Reference>,
}

/// Something that is said about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestationInfo {
    /// What it says: the predicate's type, or the content's media type.
    pub kind: String,
    /// The manifest or index that it is about, where it says so.
    pub subject: Option<Digest>,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChartInfo {
    /// Its name in the archive.
    pub name: String,
    /// The package's digest.
    pub digest: Digest,
    /// The package's size.
    pub size: u64,
}

/// A program for nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    /// Which nodes.
    pub platform: Platform,
    /// The agent's digest.
    pub digest: Digest,
    /// The agent's size.
    pub size: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// An archive that was looked into.
pub(super) struct Looked {
    /// Where it is, without the secrets that a URL may hold.
    pub(super) archive: PathBuf,
    pub(super) contents: Contents,
    /// Digest of index.json.
    pub(super) index: Digest,
    /// As they stand in it, with the names of their entries.
    pub(super) signatures: Vec<(String, String)>,
}

/// What is in an archive, and the signatures that it carries. Without keys they are not checked.
pub(super) fn look(path: &Path, trust: &TrustOptions, elsewhere: &Elsewhere) -> Result<Looked, Failure> {
    let whom = if trust.keys.is_empty() { Trust::AllowUnsigned } else { trust.load()? };
    let unverified = reach::open_in(path, &elsewhere.volumes, &trust.reach)?;
    let archive = unverified.path().to_owned();
    let signatures = unverified.signatures().map_err(archive_failure)?;
    let index = unverified.index_digest().map_err(archive_failure)?;
    Ok(Looked { archive, contents: unverified.look(&whom).map_err(archive_failure)?, index, signatures })
}

/// Looks into an archive.
pub fn run(options: &InspectOptions) -> Result<InspectOutcome, Failure> {
    run_with(options, &Elsewhere::default())
}

/// The same of an archive that is not all in one place.
pub fn run_with(options: &InspectOptions, elsewhere: &Elsewhere) -> Result<InspectOutcome, Failure> {
    let Looked { archive, contents, signatures, .. } = look(&options.archive, &options.trust, elsewhere)?;
    let record = contents.record();
    options.trust.check_version(record)?;
    Ok(InspectOutcome {
        archive,
        name: record.name.clone(),
        version: record.version.clone(),
        size: contents.size(),
        signature: contents.standing().clone(),
        signatures: signatures.into_iter().map(|(entry, bundle)| SignatureInfo { entry, key_hint: signing::hint(&bundle) }).collect(),
        platforms: record.platforms.clone(),
        registry: record.registry.clone(),
        apps: apps(&contents),
        images: images(&contents),
        charts: contents.charts().iter().map(|c| ChartInfo { name: c.name.clone(), digest: c.package.digest.clone(), size: c.package.size }).collect(),
        layers: layers(&contents),
        attestations: attestations(&contents),
        agents: contents.agents().iter().map(|a| AgentInfo { platform: a.platform.clone(), digest: a.agent.digest.clone(), size: a.agent.size }).collect(),
        files: contents.files().iter().map(|(path, d)| FileInfo { path: path.clone(), digest: d.digest.clone(), size: d.size }).collect(),
        base: left_out(&contents, false),
    })
}

fn apps(contents: &Contents) -> Vec<AppInfo> {
    let app = |app: &crate::delivery::record::AppRecord| {
        let (source, digest) = match &app.source {
            AppSource::Chart { name, version, digest, origin } => {
                let from = origin.as_ref().and_then(|origin| origin.source.as_ref()).map(|source| format!(" of {source}"));
                (format!("chart {name} {version}{}", from.unwrap_or_default()), digest)
            }
            AppSource::Manifests { digest } => ("manifests".to_owned(), digest),
        };
        AppInfo { name: app.name.clone(), namespace: app.namespace.clone(), depends_on: app.depends_on.clone(), source, digest: digest.clone() }
    };
    contents.record().apps.iter().map(app).collect()
}

fn layers(contents: &Contents) -> Vec<LayerInfo> {
    let mut found: BTreeMap<Digest, LayerInfo> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (reference, descriptor) in contents.images().iter().filter(|(_, descriptor)| seen.insert(descriptor.digest.clone())) {
        for (digest, size) in contents.blobs(descriptor).into_iter().filter(|(digest, _)| !contents.graph.is_document(digest)) {
            let layer = found.entry(digest.clone()).or_insert_with(|| LayerInfo { digest, size, images: Vec::new() });
            layer.images.push(reference.clone());
        }
    }
    let mut layers: Vec<LayerInfo> = found.into_values().collect();
    layers.sort_by_key(|layer| (std::cmp::Reverse(layer.size), layer.digest.clone()));
    layers
}

/// By what their layers say: buildkit and cosign annotate attestations with their predicate (in-toto), cosign's signatures and attached lists have a type
/// of their own.
fn attestations(contents: &Contents) -> Vec<AttestationInfo> {
    const PREDICATES: [&str; 2] = ["in-toto.io/predicate-type", "predicateType"];
    const TYPES: [&str; 6] = ["in-toto", "spdx", "cyclonedx", "syft", "simplesigning", "sigstore.bundle"];
    let mut found = Vec::new();
    for manifest in contents.graph.manifests.values() {
        for layer in &manifest.layers {
            let predicate = PREDICATES.iter().find_map(|key| layer.annotation(key));
            if predicate.is_some() || TYPES.iter().any(|part| layer.media_type.contains(part)) {
                let kind = predicate.unwrap_or(&layer.media_type).to_owned();
                found.push(AttestationInfo {
                    kind,
                    subject: manifest.subject.as_ref().map(|d| d.digest.clone()),
                    digest: layer.digest.clone(),
                    size: layer.size,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.kind, &a.digest).cmp(&(&b.kind, &b.digest)));
    found
}

fn images(contents: &Contents) -> Vec<ImageInfo> {
    // Several names of one image are no sharing.
    let distinct: BTreeMap<&Digest, BTreeSet<(Digest, u64)>> = contents.images().iter().map(|(_, d)| (&d.digest, contents.blobs(d))).collect();
    let mut uses: BTreeMap<&Digest, usize> = BTreeMap::new();
    for (digest, _) in distinct.values().flatten() {
        *uses.entry(digest).or_default() += 1;
    }
    let info = |(reference, descriptor): &(Reference, crate::oci::Descriptor)| {
        let blobs = &distinct[&descriptor.digest];
        let record = contents.record().images.iter().find(|image| image.reference == *reference);
        ImageInfo {
            reference: reference.clone(),
            digest: descriptor.digest.clone(),
            platforms: contents.platforms(descriptor),
            size: blobs.iter().map(|(_, size)| size).sum(),
            shared: blobs.iter().filter(|(digest, _)| uses[digest] > 1).map(|(_, size)| size).sum(),
            origins: record.map(|image| image.origins.clone()).unwrap_or_default(),
        }
    };
    contents.images().iter().map(info).collect()
}
