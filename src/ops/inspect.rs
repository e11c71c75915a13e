//! `inspect`: what is in this archive? Layers are not read, so this is quick; `verify` is what checks them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    reach,
    verify::{TrustOptions, archive_failure},
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Programs for nodes.
    pub agents: Vec<AgentInfo>,
    /// Files that travel with it.
    pub files: Vec<FileInfo>,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureInfo {
    /// Where it stands.
    pub entry: String,
    /// The key that it names; nothing proves that.
    pub key_hint: Option<String>,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

/// Looks into an archive.
pub fn run(options: &InspectOptions) -> Result<InspectOutcome, Failure> {
    let trust = if options.trust.keys.is_empty() { Trust::AllowUnsigned } else { options.trust.load()? };
    let unverified = reach::open(&options.archive, &options.trust.reach)?;
    let archive = unverified.path().to_owned();
    let signatures = unverified.signatures().map_err(archive_failure)?;
    let contents = unverified.look(&trust).map_err(archive_failure)?;
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
        agents: contents.agents().iter().map(|a| AgentInfo { platform: a.platform.clone(), digest: a.agent.digest.clone(), size: a.agent.size }).collect(),
        files: contents.files().iter().map(|(path, d)| FileInfo { path: path.clone(), digest: d.digest.clone(), size: d.size }).collect(),
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
