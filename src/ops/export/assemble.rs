//! The record and the layout of an archive: every byte but the layers', and a place for those.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::resolve::Resolved;
use crate::{
    archive::{
        ArchiveError, BuildError, Builder, Layout,
        content::{self, Artifact},
    },
    cluster::nodes::AgentBinary,
    delivery::{
        App, Delivery, Lock,
        record::{AppRecord, AppSource, FORMAT, FileRecord, ImageRecord, Record},
    },
    failure::{Failure, Kind},
    io::{self, FileError},
    oci::{Digest, Platform},
    ops::{
        charts::ChartSet,
        prepare::{Package, Prepared, PreparedApp, source_failure},
        verify::archive_failure,
    },
};

/// Signatures that an archive of ours has room for: whoever makes it, and some who agree. A place takes 17 kB.
const SIGNATURES: usize = 4;

/// All files of a delivery together; they are held in memory, large content belongs into images.
const FILES_MAX: u64 = 32 << 20;

/// Why an archive cannot be put together.
#[derive(Debug, thiserror::Error)]
enum AssembleError {
    #[error("this program was built without the agent for {0}, so nodes of that platform could not import the images")]
    NoAgent(Platform),
    #[error("spec.files and values files have more than {FILES_MAX} bytes together")]
    Files,
    #[error("two apps use different charts that are both called {0}")]
    Charts(String),
}

/// The agents for the wanted platforms; every one must be there.
pub(super) fn agents_for(platforms: &[Platform], agents: &[AgentBinary]) -> Result<Vec<AgentBinary>, Failure> {
    let mut chosen: Vec<AgentBinary> = Vec::new();
    for platform in platforms {
        let Some(agent) = agents.iter().find(|agent| agent.platform.serves(platform)) else {
            let known: Vec<String> = agents.iter().map(|agent| agent.platform.to_string()).collect();
            let hint = format!("it has agents for: {}; name those with --platform", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
            return Err(Failure::new(Kind::Usage, AssembleError::NoAgent(platform.clone())).hint(hint));
        };
        if !chosen.iter().any(|other| other.platform == agent.platform) {
            chosen.push(agent.clone());
        }
    }
    Ok(chosen)
}

/// Lays the archive out.
pub(super) fn assemble(
    delivery: &Delivery,
    lock: Option<&Lock>,
    prepared: &Prepared,
    charts: &ChartSet,
    resolved: &Resolved,
    platforms: &[Platform],
    agents: &[AgentBinary],
) -> Result<Layout, Failure> {
    let (files, file_records) = files(delivery, lock)?;
    let record = Record {
        format: FORMAT,
        name: delivery.name.clone(),
        version: delivery.version.clone(),
        platforms: platforms.to_vec(),
        registry: delivery.spec.registry.clone(),
        apps: prepared.apps.iter().map(|app| app_record(app, charts)).collect::<Result<_, _>>()?,
        images: resolved
            .images
            .iter()
            .map(|(reference, (image, origins))| ImageRecord { reference: reference.clone(), digest: image.root.digest.clone(), origins: origins.clone() })
            .collect(),
        files: file_records,
    };
    let mut builder = Builder::new();
    builder.room_for_signatures(SIGNATURES);
    let mut artifacts = vec![content::delivery_artifact(&record, &files)];
    artifacts.extend(packages(prepared, charts)?);
    artifacts.extend(agents.iter().map(|agent| content::agent_artifact(&agent.platform, agent.loader.clone(), agent.agent.clone())));
    for artifact in artifacts {
        builder.add_artifact(artifact).map_err(build_failure)?;
    }
    for (reference, (image, _)) in &resolved.images {
        for (descriptor, bytes) in &image.documents {
            builder.add_document(descriptor, bytes.clone()).map_err(build_failure)?;
        }
        for layer in &image.layers {
            builder.add_layer(layer).map_err(build_failure)?;
        }
        builder.name(content::image_root(&image.root, reference));
    }
    attach(&mut builder, resolved).map_err(build_failure)?;
    builder.lay_out().map_err(archive_failure)
}

/// Signatures, attestations and SBOMs: artifacts of their own. Images in one repository with one digest share theirs.
fn attach(builder: &mut Builder, resolved: &Resolved) -> Result<(), BuildError> {
    for attachment in resolved.attachments.values().flatten() {
        for (descriptor, bytes) in &attachment.documents {
            builder.add_document(descriptor, bytes.clone())?;
        }
        for layer in &attachment.layers {
            builder.add_layer(layer)?;
        }
        builder.name(content::attachment_root(&attachment.root, &attachment.name, &attachment.subject));
    }
    Ok(())
}

fn build_failure(error: BuildError) -> Failure {
    archive_failure(ArchiveError::from(error))
}

/// What travels of an app's chart.
fn chart_of(app: &App, charts: &ChartSet) -> Result<Bytes, Failure> {
    charts.get(&app.name).expect("the charts of all apps were had before").package().map_err(source_failure)
}

fn app_record(prepared: &PreparedApp, charts: &ChartSet) -> Result<AppRecord, Failure> {
    let app = &prepared.app;
    let source = match &prepared.package {
        Package::Chart { name, version, origin, .. } => {
            AppSource::Chart { name: name.clone(), version: version.clone(), digest: Digest::of(&chart_of(app, charts)?), origin: origin.clone() }
        }
        Package::Manifests { tgz } => AppSource::Manifests { digest: Digest::of(tgz) },
    };
    Ok(AppRecord {
        name: app.name.clone(),
        namespace: app.namespace.clone(),
        depends_on: app.depends_on.clone(),
        source,
        values: prepared.values.clone(),
        registry_keys: app.registry_keys.clone(),
    })
}

/// Charts and manifests; a chart that several apps use travels once.
fn packages(prepared: &Prepared, charts: &ChartSet) -> Result<Vec<Artifact>, Failure> {
    let mut taken: BTreeMap<String, Digest> = BTreeMap::new();
    let mut artifacts = Vec::new();
    for app in &prepared.apps {
        match &app.package {
            Package::Manifests { tgz } => artifacts.push(content::manifests_artifact(&app.app.name, tgz.clone())),
            Package::Chart { name, version, metadata, .. } => {
                let tgz = chart_of(&app.app, charts)?;
                let digest = Digest::of(&tgz);
                let called = format!("{name}-{version}");
                match taken.get(&called) {
                    Some(other) if *other != digest => return Err(Failure::new(Kind::Usage, AssembleError::Charts(called))),
                    Some(_) => {}
                    None => {
                        artifacts.push(content::chart_artifact(name, version, metadata.clone(), tgz));
                        taken.insert(called, digest);
                    }
                }
            }
        }
    }
    Ok(artifacts)
}

/// A file's path in delivery.yaml and its content.
type NamedFile = (String, Bytes);

/// delivery.yaml, its lock, the values files and `spec.files`, by their paths; and the record of the latter.
fn files(delivery: &Delivery, lock: Option<&Lock>) -> Result<(Vec<NamedFile>, Vec<FileRecord>), Failure> {
    let mut found = BTreeMap::from([("delivery.yaml".to_owned(), Bytes::from(delivery.text.clone()))]);
    found.extend(lock.map(|lock| ("delivery.lock".to_owned(), Bytes::from(lock.text()))));
    let mut room = FILES_MAX;
    let mut take = |path: &std::path::Path| -> Result<(String, Bytes), Failure> {
        let bytes = match io::read_capped(&delivery.resolve(path), room) {
            Ok(bytes) => Bytes::from(bytes),
            Err(FileError::TooLarge { .. }) => return Err(Failure::new(Kind::Usage, AssembleError::Files)),
            Err(error) => return Err(Failure::new(Kind::Usage, error)),
        };
        room -= bytes.len() as u64;
        Ok((path.to_string_lossy().replace('\\', "/"), bytes))
    };
    for app in &delivery.spec.apps {
        for path in app.values.iter().chain(app.profiles.iter().flat_map(|profile| &profile.values)) {
            let (name, bytes) = take(path)?;
            found.insert(name, bytes);
        }
    }
    let mut records = Vec::new();
    for path in &delivery.spec.files {
        let (name, bytes) = take(path)?;
        records.push(FileRecord { path: name.clone(), digest: Digest::of(&bytes), size: bytes.len() as u64 });
        found.insert(name, bytes);
    }
    Ok((found.into_iter().collect(), records))
}
