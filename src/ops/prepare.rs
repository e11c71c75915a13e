//! A delivery, rendered: every app with its plain values and with each profile's, and the images that they name. No network, but for what schemas refer to.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    charts::{ChartSet, hosts},
    faces,
    inputs::read_values,
};
use crate::{
    chart::{self, Parsed, RemoteSchemas, RenderOptions, values},
    delivery::{
        App, AppSource, Delivery, ImageEntry,
        record::{ChartOrigin, DependencyRecord, Origin},
    },
    failure::{Failure, Kind},
    images::{self, Face, ImageSet, Rendering, discover},
    objects::{self, Document, may_default_an_image},
    parallel,
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
    /// What is wrong with apps. It is told with what else goes wrong, and nothing is made of the rest.
    pub(super) failures: Vec<Failure>,
}

/// One app with what travels of it.
#[derive(Debug)]
pub(super) struct PreparedApp {
    pub(super) app: App,
    pub(super) values: Map<String, Value>,
    pub(super) package: Package,
}

/// What travels of an app.
#[derive(Debug)]
pub(super) enum Package {
    /// A chart with its Chart.yaml as JSON. Its .tgz is made when it is needed ([`ResolvedChart::package`]).
    Chart { name: String, version: String, metadata: Bytes, origin: Option<ChartOrigin> },
    /// Plain manifests.
    Manifests { tgz: Bytes },
}

/// What an app is rendered from.
pub(super) enum Loaded<'a> {
    /// A chart.
    Chart(&'a ResolvedChart),
    /// Plain manifests.
    Manifests(FileTree),
}

/// Something about one app.
#[derive(Debug, thiserror::Error)]
#[error("app {app}{face}: {source}")]
struct AppError {
    app: String,
    face: Face,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Apps that are rendered at the same time; every one has a chart in memory.
const AT_ONCE: usize = 4;

/// Renderings of an app to see what brings its guesses: few, as every command makes them.
pub(super) const TRIALS: usize = 5;

/// Renders all apps with all their faces. What is wrong is collected, so that all of it is shown at once.
pub(super) fn prepare(delivery: &Delivery, charts: &ChartSet, reporter: &dyn Reporter) -> Prepared {
    prepare_trying(delivery, charts, TRIALS, reporter)
}

/// The same, with so many renderings of every app for its guesses.
pub(super) fn prepare_trying(delivery: &Delivery, charts: &ChartSet, trials: usize, reporter: &dyn Reporter) -> Prepared {
    let schemas: Arc<dyn RemoteSchemas> = Arc::new(SchemaDocuments::new(hosts(delivery)));
    let mut images = ImageSet::new();
    let (mut apps, mut failures) = (Vec::new(), Vec::new());
    for (prepared, found, mut wrong) in
        parallel::map(AT_ONCE, &delivery.install_order(), |app| prepare_app(delivery, app, charts, (&schemas, trials), reporter))
    {
        images.unite(found);
        apps.extend(prepared);
        failures.append(&mut wrong);
    }
    for (i, entry) in delivery.spec.images.iter().enumerate() {
        if let ImageEntry::Ref(image) = entry {
            images.add(image.clone(), Origin { path: format!("spec.images[{i}]"), ..Origin::default() });
        }
    }
    Prepared { apps, images, failures }
}

/// An app, its images, and what is wrong with it.
type PreparedParts = (Option<PreparedApp>, ImageSet, Vec<Failure>);

fn prepare_app(delivery: &Delivery, app: &App, charts: &ChartSet, how: (&Arc<dyn RemoteSchemas>, usize), reporter: &dyn Reporter) -> PreparedParts {
    let mut images = ImageSet::new();
    let mut failures = Vec::new();
    let prepared = load_app(delivery, app, charts).map(|(loaded, package, values)| {
        failures = faces_of(delivery, app, &loaded, &values, how, &mut images, reporter);
        PreparedApp { app: app.clone(), values, package }
    });
    for (i, image) in app.images_include.iter().enumerate() {
        images.add(image.clone(), Origin { app: Some(app.name.clone()), path: format!("images.include[{i}]"), ..Origin::default() });
    }
    match prepared {
        Ok(prepared) => (Some(prepared), images, failures),
        Err(failure) => (None, images, vec![about(&app.name, None, failure)]),
    }
}

/// What an app is rendered from, what travels of it, and its plain values.
pub(super) fn load_app<'a>(delivery: &Delivery, app: &App, charts: &'a ChartSet) -> Result<(Loaded<'a>, Package, Map<String, Value>), Failure> {
    let loaded = load(delivery, app, charts)?;
    let package = package(&loaded)?;
    let mut values = Map::new();
    layer(delivery, &mut values, &app.values, &app.set)?;
    Ok((loaded, package, values))
}

/// Renders every face and adds what is found; comes back with what is wrong.
fn faces_of(
    delivery: &Delivery,
    app: &App,
    loaded: &Loaded<'_>,
    plain: &Map<String, Value>,
    (schemas, trials): (&Arc<dyn RemoteSchemas>, usize),
    images: &mut ImageSet,
    reporter: &dyn Reporter,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut candidates: Vec<images::Candidate> = Vec::new();
    let parsed = Arc::new(Parsed::default());
    let named = app.profiles.iter().map(|p| (Some(p.name.clone()), p.values.as_slice(), p.set.clone()));
    for (profile, files, set) in std::iter::once((None, [].as_slice(), Map::new())).chain(named) {
        let mut own = plain.clone();
        if let Err(failure) = layer(delivery, &mut own, files, &set) {
            failures.push(about(&app.name, Some(&Face { profile, ..Face::default() }), failure));
            continue;
        }
        for (cluster, mut options) in faces::clusters(&delivery.spec.install, &app.name, &app.namespace) {
            (options.remote_schemas, options.parsed) = (schemas.clone(), Some(parsed.clone()));
            let face = Face { profile: profile.clone(), cluster, with: None };
            match render(app, loaded, &own, &options, &face, reporter) {
                Ok(documents) => {
                    let rendering = Rendering { app: &app.name, face: &face, documents: &documents, exclude: &app.images_exclude };
                    failures.extend(discover(rendering, images).into_iter().map(|bad| Failure::new(Kind::Usage, bad)));
                }
                Err(failure) => failures.push(about(&app.name, Some(&face), failure)),
            }
        }
        if let Loaded::Chart(found) = loaded {
            let of_profile = images::of_values(&app.name, &found.chart, &own).into_iter();
            let new: Vec<_> = of_profile.filter(|one| !candidates.contains(one)).collect();
            candidates.extend(new);
        }
    }
    if let Loaded::Chart(found) = loaded {
        images::annotated(&app.name, &found.chart, &app.images_exclude, images);
        candidates.extend(images::of_templates(&app.name, &found.chart));
        // A chart that does not render with its own values says nothing with others.
        if failures.is_empty() {
            let clusters = faces::clusters(&delivery.spec.install, &app.name, &app.namespace);
            if let Some((_, options)) = clusters.into_iter().next() {
                let options =
                    RenderOptions { remote_schemas: schemas.clone(), parsed: Some(parsed.clone()), leave_out_failures: true, skip_schemas: true, ..options };
                let render = |values: &Map<String, Value>| {
                    let rendered = chart::render(&found.chart, values, &options).ok()?;
                    let documents: Vec<_> = objects_of(&rendered).collect();
                    let whole = !rendered.left_out && documents.iter().all(Result::is_ok);
                    Some((documents.into_iter().filter_map(Result::ok).flatten().collect(), whole))
                };
                let (chart, exclude) = (&found.chart, app.images_exclude.as_slice());
                images::Trial { app: &app.name, chart, values: plain, parsed: &parsed, renderings: trials, exclude, render: &render }.run(&candidates, images);
            }
        }
        images::settle(candidates, &app.images_exclude, images);
    }
    failures
}

/// The failure, saying which app it is about.
pub(super) fn about(app: &str, face: Option<&Face>, failure: Failure) -> Failure {
    let source = AppError { app: app.to_owned(), face: face.cloned().unwrap_or_default(), source: failure.source };
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
pub(super) fn layer(delivery: &Delivery, below: &mut Map<String, Value>, files: &[PathBuf], set: &Map<String, Value>) -> Result<(), Failure> {
    for file in files {
        values::merge(below, read_values(&delivery.resolve(file))?);
    }
    for (path, value) in set {
        values::set(below, values::Kind::Json, &format!("{path}={value}")).map_err(|error| Failure::new(Kind::Usage, error))?;
    }
    Ok(())
}

/// Objects, hooks and definitions.
pub(super) fn render(
    app: &App,
    loaded: &Loaded<'_>,
    own: &Map<String, Value>,
    options: &RenderOptions,
    face: &Face,
    reporter: &dyn Reporter,
) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    match loaded {
        Loaded::Manifests(tree) => {
            for (path, content) in tree.iter() {
                let text = String::from_utf8_lossy(content);
                documents.extend(objects::documents(path.as_str(), &text).map_err(|error| Failure::new(Kind::Usage, error))?);
            }
        }
        Loaded::Chart(found) => {
            let rendered = chart::render(&found.chart, own, options).map_err(|error| Failure::new(Kind::Usage, error))?;
            if *face == Face::default() {
                for line in &rendered.warnings {
                    reporter.event(crate::progress::Event::Warning(format!("app {}: {line}", app.name)));
                }
            }
            let found: Result<Vec<_>, _> = definitions_of(&rendered).chain(objects_of(&rendered)).collect();
            documents = found.map_err(|error| Failure::new(Kind::Usage, error))?.concat();
        }
    }
    Ok(documents)
}

/// Those definitions under crds/ that may name images.
fn definitions_of(rendered: &chart::Rendered) -> impl Iterator<Item = Result<Vec<Document>, objects::ObjectError>> {
    let texts = rendered.crds.iter().map(|file| (&file.path, file.text())).filter(|(_, text)| may_default_an_image(text));
    texts.map(|(path, text)| objects::documents(path, &text))
}

/// What was rendered, manifest by manifest.
pub(super) fn objects_of(rendered: &chart::Rendered) -> impl Iterator<Item = Result<Vec<Document>, objects::ObjectError>> {
    // Definitions are larger than all the rest, and few name images.
    let worth = |kind: &str, text: &str| kind != "CustomResourceDefinition" || may_default_an_image(text);
    let manifests = rendered.manifests.iter().filter(move |m| worth(&m.kind, &m.content)).map(|m| (&m.path, &m.content));
    let hooks = rendered.hooks.iter().map(|h| (&h.path, &h.manifest));
    manifests.chain(hooks).map(|(path, text)| objects::documents(path, text))
}
