//! A delivery, rendered: every app with its plain values and with each profile's, and the images that they name. No network, but for what schemas refer to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    charts::{self, ChartSet},
    inputs::read_values,
    several,
};
use crate::{
    chart::{self, RemoteSchemas, RenderOptions, values},
    delivery::{
        App, AppSource, Delivery, ImageEntry,
        record::{ChartOrigin, DependencyRecord, Origin},
    },
    failure::{Failure, Kind},
    images::{ImageSet, Rendering, discover},
    objects::{self, Document},
    progress::Reporter,
    registry::RegistryError,
    source::{self, DependencyProblem, ResolvedChart, SchemaDocuments, SourceError},
    tree::FileTree,
};

/// A delivery, rendered.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Apps in the order of installation.
    pub(super) apps: Vec<PreparedApp>,
    /// Images that apps and `spec.images` name; those of image archives are not among them yet.
    pub(super) images: ImageSet,
}

/// One app with what travels of it.
#[derive(Debug)]
pub(super) struct PreparedApp {
    pub(super) app: App,
    pub(super) values: Map<String, Value>,
    pub(super) package: Package,
}

/// What travels of an app: a .tgz.
#[derive(Debug)]
pub(super) enum Package {
    /// A chart with its Chart.yaml as JSON.
    Chart { name: String, version: String, metadata: Bytes, tgz: Bytes, origin: Option<ChartOrigin> },
    /// Plain manifests.
    Manifests { tgz: Bytes },
}

/// What an app is rendered from.
enum Loaded<'a> {
    Chart(&'a ResolvedChart),
    Manifests(FileTree),
}

/// Something about one app.
#[derive(Debug, thiserror::Error)]
#[error("app {app}{}: {source}", profile.as_ref().map(|p| format!(", profile {p}")).unwrap_or_default())]
struct AppError {
    app: String,
    profile: Option<String>,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Renders all apps and profiles. What is wrong is collected, so that all of it is shown at once.
pub(super) fn prepare(delivery: &Delivery, found: &ChartSet, reporter: &dyn Reporter) -> Result<Prepared, Failure> {
    let mut images = ImageSet::new();
    let (mut apps, mut failures) = (Vec::new(), Vec::new());
    let schemas: Arc<dyn RemoteSchemas> = Arc::new(SchemaDocuments::new(charts::hosts(delivery)));
    for app in delivery.install_order() {
        match prepare_app(delivery, app, found, &schemas, &mut images, reporter) {
            Ok(prepared) => apps.push(prepared),
            Err(mut found) => failures.append(&mut found),
        }
    }
    several::all("things are wrong with the apps of this delivery", failures)?;
    for (i, entry) in delivery.spec.images.iter().enumerate() {
        if let ImageEntry::Ref(image) = entry {
            images.add(image.clone(), Origin { path: format!("spec.images[{i}]"), ..Origin::default() });
        }
    }
    Ok(Prepared { apps, images })
}

fn prepare_app(
    delivery: &Delivery,
    app: &App,
    charts: &ChartSet,
    schemas: &Arc<dyn RemoteSchemas>,
    images: &mut ImageSet,
    reporter: &dyn Reporter,
) -> Result<PreparedApp, Vec<Failure>> {
    let wrong = |profile: Option<&str>, failure| about(&app.name, profile, failure);
    let alone = |failure| vec![wrong(None, failure)];
    let loaded = load(delivery, app, charts).map_err(alone)?;
    let package = package(&loaded).map_err(alone)?;
    let mut values = Map::new();
    layer(delivery, &mut values, &app.values, &app.set).map_err(alone)?;
    let mut failures = Vec::new();
    let plain = std::iter::once((None, [].as_slice(), Map::new()));
    let profiles = app.profiles.iter().map(|p| (Some(p.name.as_str()), p.values.as_slice(), p.set.clone()));
    for (profile, files, set) in plain.chain(profiles) {
        let mut own = values.clone();
        let rendered = layer(delivery, &mut own, files, &set).and_then(|()| render(app, &loaded, &own, schemas, profile, reporter));
        match rendered {
            Ok(documents) => {
                let rendering = Rendering { app: &app.name, profile, documents: &documents, exclude: &app.images_exclude };
                failures.extend(discover(rendering, images).into_iter().map(|bad| Failure::new(Kind::Usage, bad)));
            }
            Err(failure) => failures.push(wrong(profile, failure)),
        }
    }
    for (i, image) in app.images_include.iter().enumerate() {
        images.add(image.clone(), Origin { app: Some(app.name.clone()), path: format!("images.include[{i}]"), ..Origin::default() });
    }
    if failures.is_empty() { Ok(PreparedApp { app: app.clone(), values, package }) } else { Err(failures) }
}

/// The failure, saying which app it is about.
pub(super) fn about(app: &str, profile: Option<&str>, failure: Failure) -> Failure {
    let source = AppError { app: app.to_owned(), profile: profile.map(ToOwned::to_owned), source: failure.source };
    Failure { hints: failure.hints, ..Failure::new(failure.kind, source) }
}

fn load<'a>(delivery: &Delivery, app: &App, charts: &'a ChartSet) -> Result<Loaded<'a>, Failure> {
    match &app.source {
        AppSource::Chart(_) => Ok(Loaded::Chart(charts.get(&app.name).expect("the charts of all apps were had before"))),
        AppSource::Manifests(paths) => {
            let paths: Vec<(PathBuf, PathBuf)> = paths.iter().map(|path| (path.clone(), delivery.resolve(path))).collect();
            source::manifests(&paths).map(Loaded::Manifests).map_err(source_failure)
        }
    }
}

/// What a source's error means: a path that leads nowhere is a wrong delivery.yaml, content that cannot be used is a failed source.
pub(super) fn source_failure(error: SourceError) -> Failure {
    match error {
        SourceError::Missing { .. } | SourceError::NoManifests { .. } => {
            Failure::new(Kind::Usage, error).hint("paths in delivery.yaml are relative to the folder that it is in")
        }
        SourceError::Dependencies { ref problem, .. } => match **problem {
            DependencyProblem::NotLocked(_) => Failure::new(Kind::Usage, error).hint("`kubectl offline lock` resolves the delivery anew"),
            DependencyProblem::LockOutOfSync | DependencyProblem::OldLockOutOfSync => {
                Failure::new(Kind::Usage, error).hint("`helm dependency update CHART` resolves the chart's dependencies anew")
            }
            _ => Failure::new(Kind::Source, error),
        },
        SourceError::NoRepository(_) | SourceError::Locate(_) => Failure::new(Kind::Usage, error),
        SourceError::NotInRepository { .. } => Failure::new(Kind::Source, error).hint("check the chart's name and version"),
        SourceError::Fetch(ref fetch) => {
            let hint = fetch.problem.hint();
            hint.into_iter().fold(Failure::new(Kind::Source, error), Failure::hint)
        }
        SourceError::Registry(error) => registry_failure(error),
        error => Failure::new(Kind::Source, error),
    }
}

/// What a registry's error means to whoever ran the command.
pub(super) fn registry_failure(error: RegistryError) -> Failure {
    let hint = error.hint();
    hint.into_iter().fold(Failure::new(Kind::Source, error), Failure::hint)
}

fn package(loaded: &Loaded) -> Result<Package, Failure> {
    let failed = |error| Failure::new(Kind::Source, error);
    Ok(match loaded {
        Loaded::Chart(found) => Package::Chart {
            name: found.chart.name().to_owned(),
            version: found.chart.version().to_owned(),
            metadata: serde_json::to_vec(found.chart.metadata()).map_err(|error| Failure::new(Kind::Other, error))?.into(),
            tgz: found.package.clone(),
            origin: origin(found),
        },
        Loaded::Manifests(tree) => Package::Manifests { tgz: chart::package("manifests", tree).map_err(failed)?.into() },
    })
}

/// What is recorded of where a chart came from.
fn origin(found: &ResolvedChart) -> Option<ChartOrigin> {
    let dependencies: Vec<DependencyRecord> = found
        .dependencies
        .iter()
        .map(|d| DependencyRecord {
            name: d.name.clone(),
            repository: d.repository.clone(),
            version: d.version.clone(),
            digest: d.digest.clone(),
            manifest: d.manifest.clone(),
        })
        .collect();
    let known = found.origin.as_ref();
    let signer = found.signer.as_ref().map(|signer| signer.fingerprint.clone());
    (known.is_some() || signer.is_some() || !dependencies.is_empty()).then(|| ChartOrigin {
        source: known.map(|origin| origin.source.clone()),
        manifest: known.and_then(|origin| origin.manifest.clone()),
        signer,
        dependencies,
    })
}

/// Puts files, then single values, on top of what is there.
fn layer(delivery: &Delivery, below: &mut Map<String, Value>, files: &[PathBuf], set: &Map<String, Value>) -> Result<(), Failure> {
    for file in files {
        values::merge(below, read_values(&delivery.resolve(file))?);
    }
    for (path, value) in set {
        values::set(below, values::Kind::Json, &format!("{path}={value}")).map_err(|error| Failure::new(Kind::Usage, error))?;
    }
    Ok(())
}

/// Objects and hooks; definitions under crds/ name no images that run.
fn render(
    app: &App,
    loaded: &Loaded,
    own: &Map<String, Value>,
    schemas: &Arc<dyn RemoteSchemas>,
    profile: Option<&str>,
    reporter: &dyn Reporter,
) -> Result<Vec<Document>, Failure> {
    let wrong = |error| Failure::new(Kind::Usage, error);
    let mut documents = Vec::new();
    match loaded {
        Loaded::Manifests(tree) => {
            for (path, content) in tree.iter() {
                let text = String::from_utf8_lossy(content);
                documents.extend(objects::documents(path.as_str(), &text).map_err(wrong)?);
            }
        }
        Loaded::Chart(found) => {
            let options = RenderOptions { remote_schemas: schemas.clone(), ..RenderOptions::new(&app.name, &app.namespace) };
            let rendered = chart::render(&found.chart, own, &options).map_err(|error| Failure::new(Kind::Usage, error))?;
            if profile.is_none() {
                rendered.warnings.iter().for_each(|line| reporter.event(crate::progress::Event::Warning(format!("app {}: {line}", app.name))));
            }
            let objects = rendered.manifests.iter().map(|m| (&m.path, &m.content)).chain(rendered.hooks.iter().map(|h| (&h.path, &h.manifest)));
            for (path, text) in objects {
                documents.extend(objects::documents(path, text).map_err(wrong)?);
            }
        }
    }
    Ok(documents)
}

/// The folder that a file is or will be in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
