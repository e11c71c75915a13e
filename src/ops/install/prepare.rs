//! The part of an installation that only reads: everything is rendered, renamed and proven here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{InstallError, InstallOptions, Override, RenderRequest, app_failure, cluster_failure, images, manifests};
use crate::{
    chart::{self, Chart, CrdFile, Rendered, values},
    cluster::{
        Catalog, Cluster, ClusterError, LiveLookup, apply,
        deploy::{App, Deployment, Present, same},
        flatten, missing_rights,
        nodes::{self, ImportOptions, NodeImage},
        release::Hook,
    },
    delivery::record::{AppRecord, AppSource, Record},
    failure::{Failure, Kind},
    goyaml,
    objects::may_default_an_image,
    ops::renaming,
    progress::SharedReporter,
    rewrite::{self, Plan},
};

/// All that is known before the first write.
pub(super) struct Ready {
    pub(super) deployments: Vec<Deployment>,
    pub(super) images: Vec<NodeImage>,
    pub(super) import: ImportOptions,
    pub(super) warnings: Vec<String>,
}

pub(super) async fn prepare(cluster: &Cluster, options: &InstallOptions, reporter: &SharedReporter) -> Result<Ready, Failure> {
    let archive = &options.archive;
    let record = archive.record();
    reporter.step(format!("preparing {} {}", record.name, record.version));
    let plan = Plan::new(&record.images, record.registry.as_deref()).map_err(|e| Failure::new(Kind::Usage, e))?;
    let agents = images::agents(archive).map_err(|e| Failure::new(Kind::Untrusted, e))?;
    let import = ImportOptions { nodes: options.nodes.clone(), timeout: options.import_timeout, agents, ..ImportOptions::default() };
    let node_images = images::node_images(archive, &plan);
    if !node_images.is_empty() {
        nodes::plan(cluster.client(), &node_images, &import).await.map_err(|e| Failure::new(Kind::Cluster, e))?;
    }
    let catalog = Catalog::load(cluster.client()).await.map_err(cluster_failure)?;
    let lookup = LiveLookup::new(cluster.client(), &catalog, Handle::current());
    let mut work = Work { cluster, options, plan, catalog, lookup, warnings: vec![] };
    let mut deployments = Vec::new();
    for app in &record.apps {
        deployments.push(work.app(app).await?);
    }
    no_object_twice(&deployments)?;
    check_rights(cluster, &deployments).await?;
    Ok(Ready { deployments, images: node_images, import, warnings: work.warnings })
}

/// What the preparation of every app needs.
struct Work<'a> {
    cluster: &'a Cluster,
    options: &'a InstallOptions,
    plan: Plan,
    catalog: Catalog,
    lookup: LiveLookup,
    warnings: Vec<String>,
}

impl Work<'_> {
    async fn app(&mut self, record: &AppRecord) -> Result<Deployment, Failure> {
        let of_cluster = |e: ClusterError| {
            let hints = e.hints();
            hints.into_iter().fold(app_failure(Kind::Cluster, &record.name, e), Failure::hint)
        };
        let chart = self.load(record)?;
        let given = self.given(record)?;
        let crds = chart::crds(&chart, &given).map_err(|e| app_failure(Kind::Other, &record.name, e))?;
        for crd in self.definitions(record, &crds)? {
            self.catalog.promise(&crd);
        }
        let present = Present::read(self.cluster, &record.namespace, &record.name).await.map_err(of_cluster)?;
        let values = self.values(record, &chart, given);
        let app = self.wanted(record, &chart, &values, &present)?;
        for document in app.documents.iter().filter(|d| d["kind"] == "CustomResourceDefinition") {
            self.catalog.promise(document);
        }
        let old = goyaml::parse_all(present.manifest()).map_err(|e| app_failure(Kind::Cluster, &record.name, e))?;
        Deployment::plan(self.cluster, &self.catalog, app, present, old).await.map_err(of_cluster)
    }

    fn load(&mut self, app: &AppRecord) -> Result<Chart, Failure> {
        let archive = &self.options.archive;
        let digest = match &app.source {
            AppSource::Chart { digest, .. } | AppSource::Manifests { digest } => digest,
        };
        let package = archive.read(digest).map_err(|e| app_failure(Kind::Untrusted, &app.name, e))?;
        let chart = match &app.source {
            AppSource::Chart { .. } => Chart::from_tgz(&package),
            AppSource::Manifests { .. } => {
                let tree = manifests::unpack(&package).map_err(|e| app_failure(Kind::Other, &app.name, e))?;
                // A delivery's version need not be a semantic one; a chart's must.
                let version = &archive.record().version;
                chart::from_manifests(&app.name, version, &tree).or_else(|_| chart::from_manifests(&app.name, "0.0.0", &tree))
            }
        };
        let chart = chart.map_err(|e| app_failure(Kind::Other, &app.name, e))?;
        self.warnings.extend(chart.warnings().iter().map(|warning| format!("{}: {warning}", app.name)));
        Ok(chart)
    }

    /// The user's values: those of the record and those given now.
    fn given(&self, app: &AppRecord) -> Result<Map<String, Value>, Failure> {
        let mut given = app.values.clone();
        for change in self.options.overrides.iter().filter(|change| change.app() == app.name) {
            match change {
                Override::Values { values, .. } => values::merge(&mut given, values.clone()),
                Override::Set { kind, text, .. } => values::set(&mut given, *kind, text).map_err(|e| app_failure(Kind::Usage, &app.name, e))?,
            }
        }
        Ok(given)
    }

    /// The same with the chart's registry key, where it has one.
    fn values(&self, app: &AppRecord, chart: &Chart, given: Map<String, Value>) -> Map<String, Value> {
        let registry = self.options.archive.record().registry.as_deref();
        let (Some(registry), AppSource::Chart { .. }) = (registry, &app.source) else { return given };
        let mut render = |values: &Map<String, Value>| renaming::slots(&self.render(app, chart, values, 1, false).ok()?);
        let moved = rewrite::choose(&self.plan, registry, &given, app.registry_keys.as_deref(), &mut render);
        moved.unwrap_or(given)
    }

    fn render(&self, app: &AppRecord, chart: &Chart, values: &Map<String, Value>, revision: u32, upgrade: bool) -> Result<Rendered, Failure> {
        let request = RenderRequest {
            name: app.name.clone(),
            namespace: app.namespace.clone(),
            revision,
            upgrade,
            kube_version: self.catalog.version().to_owned(),
            api_versions: self.catalog.api_versions(),
            lookup: Some(Arc::new(self.lookup.with_catalog(&self.catalog))),
        };
        self.options.renderer.render(chart, values, &request).map_err(|e| app_failure(Kind::Other, &app.name, e))
    }

    /// The app as it is to be: as the revision in force if that makes it the same, else as the next.
    fn wanted(&mut self, record: &AppRecord, chart: &Chart, values: &Map<String, Value>, present: &Present) -> Result<App, Failure> {
        if let Some(release) = present.settled() {
            let app = self.build(record, chart, values, release.version, release.version > 1)?;
            if same(release, &app) {
                return Ok(app);
            }
        }
        let (revision, upgrade) = present.next();
        self.build(record, chart, values, revision, upgrade)
    }

    fn build(&mut self, record: &AppRecord, chart: &Chart, values: &Map<String, Value>, revision: u32, upgrade: bool) -> Result<App, Failure> {
        let mut rendered = self.render(record, chart, values, revision, upgrade)?;
        self.rename(record, &mut rendered)?;
        let parse = |text: &str| goyaml::parse_all(text).map_err(|e| app_failure(Kind::Other, &record.name, e));
        let mut documents = Vec::new();
        for manifest in &rendered.manifests {
            documents.extend(parse(&manifest.content)?);
        }
        let mut hooks = Vec::new();
        for hook in &rendered.hooks {
            hooks.push((stored_hook(hook).map_err(|e| app_failure(Kind::Other, &record.name, e))?, parse(&hook.manifest)?));
        }
        let told: Vec<String> = rendered.warnings.iter().map(|warning| format!("{}: {warning}", record.name)).collect();
        self.warnings.extend(told.into_iter().filter(|warning| !self.warnings.contains(warning)).collect::<Vec<_>>());
        let manifest = rendered.manifest_text();
        Ok(App {
            name: record.name.clone(),
            namespace: record.namespace.clone(),
            chart: chart.release_json(&rendered.processed),
            config: values.clone(),
            manifest,
            documents,
            hooks,
            crds: self.definitions(record, &rendered.crds)?,
            notes: rendered.notes,
            plain: matches!(record.source, AppSource::Manifests { .. }),
            labels: labels(self.options.archive.record()),
        })
    }

    /// The documents of files under crds/, with new names for the images that they give to resources.
    fn definitions(&self, record: &AppRecord, files: &[CrdFile]) -> Result<Vec<Value>, Failure> {
        let mut documents = Vec::new();
        for file in files {
            let text = file.text();
            let mut found = flatten(goyaml::parse_all(&text).map_err(|e| app_failure(Kind::Other, &record.name, e))?);
            if may_default_an_image(&text) {
                let renamed = found.iter_mut().try_for_each(|document| rewrite::rewrite_value(&self.plan, &file.path, document));
                renamed.map_err(|e| app_failure(Kind::Other, &record.name, e))?;
            }
            documents.extend(found);
        }
        Ok(documents)
    }

    /// New names everywhere, and the proof that every image is in the archive.
    fn rename(&self, record: &AppRecord, rendered: &mut Rendered) -> Result<(), Failure> {
        let fail = |e| {
            app_failure(Kind::Other, &record.name, e).hint("export again with the values that are used here (a profile of the app), or leave the override out")
        };
        renaming::rename(&self.plan, rendered).map_err(fail)
    }
}

/// A hook of a rendering as a release keeps it; both have Helm's JSON.
fn stored_hook(hook: &chart::Hook) -> Result<Hook, serde_json::Error> {
    serde_json::to_value(hook).and_then(serde_json::from_value)
}

/// The record's labels, as label values may be (Kubernetes, `IsValidLabelValue`): a version may hold a `+`.
fn labels(record: &Record) -> BTreeMap<String, String> {
    let valid = |text: String| -> String {
        let word: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).take(63).collect();
        word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
    };
    record.labels().into_iter().map(|(key, value)| (key, valid(value))).collect()
}

fn no_object_twice(deployments: &[Deployment]) -> Result<(), Failure> {
    let mut seen = BTreeMap::new();
    for deployment in deployments {
        for object in deployment.objects() {
            if let Some(first) = seen.insert(object.key(), &deployment.app.name) {
                let (first, second) = (first.clone(), deployment.app.name.clone());
                return Err(Failure::new(Kind::Usage, InstallError::TwiceApplied { object: object.key().to_string(), first, second }));
            }
        }
    }
    Ok(())
}

async fn check_rights(cluster: &Cluster, deployments: &[Deployment]) -> Result<(), Failure> {
    let mut wanted = BTreeSet::new();
    for deployment in deployments {
        let exists = apply::namespace_exists(cluster.client(), &deployment.app.namespace).await.map_err(cluster_failure)?;
        wanted.extend(deployment.rights(exists));
    }
    let missing = missing_rights(cluster.client(), wanted).await.map_err(cluster_failure)?;
    if missing.is_empty() { Ok(()) } else { Err(cluster_failure(ClusterError::Rights { context: cluster.context().to_owned(), missing })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_valid() {
        let record = Record {
            format: 1,
            name: "shop".into(),
            version: "1.0.0+build.7-".into(),
            platforms: vec![],
            registry: None,
            apps: vec![],
            images: vec![],
            files: vec![],
        };
        assert_eq!(labels(&record)["offline.dev/version"], "1.0.0_build.7");
    }
}
