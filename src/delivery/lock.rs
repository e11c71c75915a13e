//! delivery.lock: what a delivery's charts and images were resolved to, for version control. `lock` writes it, `export` keeps to it.
//!
//! Text and order depend on nothing but what was resolved, and nothing secret is in it.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App, AppSource, ChartSource, Delivery, DeliveryError, Diagnostic,
    parse::{against_schema, duplicate_keys, find, yaml_error},
    schema::lock_schema,
};
use crate::{
    goyaml,
    oci::{Digest, Reference},
};

/// The largest delivery.lock that is read, in bytes.
pub const LOCK_MAX: usize = 8 << 20;
const HEAD: &str = "# Written by `kubectl offline lock`; belongs into version control beside its delivery.yaml.\n";

/// What a delivery was resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Delivery lock")]
pub struct Lock {
    /// Version of this format.
    api_version: LockVersion,
    /// Kind of this document.
    kind: LockKind,
    /// Digest of the evidence: which images were found, and who named each. It changes when any of that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub evidence: Option<Digest>,
    /// Charts by app, sorted by app.
    #[serde(default)]
    pub charts: Vec<LockedChart>,
    /// Images, sorted by reference.
    #[serde(default)]
    pub images: Vec<LockedImage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum LockVersion {
    #[serde(rename = "offline/v1")]
    V1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum LockKind {
    Lock,
}

/// The chart of one app: `path`, or `oci`, or `repo` with `name`, as delivery.yaml has them; and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedChart {
    /// The app.
    pub app: String,
    /// Folder or .tgz, as in delivery.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub path: Option<String>,
    /// Chart in a registry, as in delivery.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub oci: Option<String>,
    /// Chart repository, as in delivery.yaml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub repo: Option<String>,
    /// Name of the chart in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub name: Option<String>,
    /// Version or constraint that delivery.yaml asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub wanted: Option<String>,
    /// Version that was found.
    pub version: String,
    /// Digest of the packaged chart (.tgz).
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
    /// Digest of the chart's manifest in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub manifest: Option<Digest>,
    /// Dependencies that were downloaded into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<LockedDependency>,
}

/// A dependency that was downloaded into a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedDependency {
    /// Its name.
    pub name: String,
    /// Its repository, as Chart.yaml has it.
    pub repository: String,
    /// Version that was found.
    pub version: String,
    /// Digest of the packaged chart (.tgz).
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
    /// Digest of the chart's manifest in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub manifest: Option<Digest>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedImage {
    /// The name under which pods ask for it, normalised.
    #[serde(rename = "ref")]
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Digest of its index or manifest.
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Digest,
}

impl Lock {
    /// A lock of charts and images, which it sorts, and of what spoke for the images.
    pub fn new(mut charts: Vec<LockedChart>, images: BTreeMap<Reference, Digest>, evidence: Digest) -> Self {
        charts.sort_by(|a, b| a.app.cmp(&b.app));
        let images = images.into_iter().map(|(reference, digest)| LockedImage { reference, digest }).collect();
        Self { api_version: LockVersion::V1, kind: LockKind::Lock, evidence: Some(evidence), charts, images }
    }

    /// Reads a lock. `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, DeliveryError> {
        let fail = |diagnostics| DeliveryError { path: path.to_owned(), text: text.to_owned(), diagnostics };
        if text.len() > LOCK_MAX {
            return Err(fail(vec![Diagnostic::at(text, 0..0, format!("the file has {} bytes; at most {LOCK_MAX} are read", text.len()), None)]));
        }
        let node = goyaml::parse_nodes(text).map_err(|error| fail(vec![yaml_error(text, &error)]))?;
        let value = node.to_value().map_err(|error| fail(vec![yaml_error(text, &error)]))?;
        let mut diagnostics = duplicate_keys(text, &node);
        diagnostics.extend(against_schema(lock_schema(), text, &node, &value));
        if !diagnostics.is_empty() {
            diagnostics.sort_by_key(|d| (d.start, d.end));
            return Err(fail(diagnostics));
        }
        let lock: Self = serde_json::from_value(value).map_err(|error| fail(vec![Diagnostic::at(text, 0..0, error.to_string(), None)]))?;
        let mut diagnostics = Vec::new();
        let mut twice = |pointer: String, what: String| diagnostics.push(Diagnostic::at(text, find(&node, &pointer), format!("{what} is there twice"), None));
        for (i, chart) in lock.charts.iter().enumerate().filter(|(i, chart)| lock.charts[..*i].iter().any(|other| other.app == chart.app)) {
            twice(format!("/charts/{i}/app"), format!("app `{}`", chart.app));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (i, image) in lock.images.iter().enumerate().filter(|(_, image)| !seen.insert(&image.reference)) {
            twice(format!("/images/{i}/ref"), format!("image `{}`", image.reference));
        }
        if diagnostics.is_empty() { Ok(lock) } else { Err(fail(diagnostics)) }
    }

    /// The lock as a file.
    #[expect(clippy::missing_panics_doc, reason = "it never does: types of ours serialise, and JSON is YAML")]
    pub fn text(&self) -> String {
        let value = serde_json::to_value(self).expect("types of ours serialise");
        let yaml = goyaml::emit(&value).expect("JSON is YAML");
        format!("{HEAD}{yaml}")
    }

    /// The chart of an app.
    pub fn chart(&self, app: &str) -> Option<&LockedChart> {
        self.charts.iter().find(|chart| chart.app == app)
    }

    /// Digests of images by their names.
    pub fn image_digests(&self) -> BTreeMap<Reference, Digest> {
        self.images.iter().map(|image| (image.reference.clone(), image.digest.clone())).collect()
    }

    /// In what a delivery's charts are not those that this was made for; empty if they are.
    pub fn differences(&self, delivery: &Delivery) -> Vec<String> {
        let mut found = Vec::new();
        for app in &delivery.spec.apps {
            let AppSource::Chart(source) = &app.source else { continue };
            match self.chart(&app.name) {
                None => found.push(format!("app `{}` is not in the lock", app.name)),
                Some(locked) if locked.asked() != described(source) => {
                    found.push(format!("app `{}` asks for {}, the lock was made for {}", app.name, described(source), locked.asked()));
                }
                Some(_) => {}
            }
        }
        let is_there = |locked: &&LockedChart| !delivery.spec.apps.iter().any(|app: &App| app.name == locked.app && matches!(app.source, AppSource::Chart(_)));
        found.extend(self.charts.iter().filter(is_there).map(|locked| format!("the lock has a chart of app `{}`, which delivery.yaml does not", locked.app)));
        found
    }
}

impl LockedChart {
    /// An entry for what delivery.yaml asks for.
    pub fn asking(app: &str, source: &ChartSource, version: String, digest: Digest) -> Self {
        let mut chart = Self {
            app: app.to_owned(),
            path: None,
            oci: None,
            repo: None,
            name: None,
            wanted: None,
            version,
            digest,
            manifest: None,
            dependencies: Vec::new(),
        };
        match source.clone() {
            ChartSource::Path(path) => chart.path = Some(path.to_string_lossy().replace('\\', "/")),
            ChartSource::Registry { chart: oci, version } => (chart.oci, chart.wanted) = (Some(oci), version),
            ChartSource::Repository { repository, name, version } => (chart.repo, chart.name, chart.wanted) = (Some(repository), Some(name), version),
        }
        chart
    }

    /// Whether it was made for what delivery.yaml asks for.
    pub fn fits(&self, source: &ChartSource) -> bool {
        self.asked() == described(source)
    }

    fn asked(&self) -> String {
        let place = match (&self.path, &self.oci, &self.repo) {
            (Some(path), ..) => format!("`{path}`"),
            (_, Some(oci), _) => format!("`{oci}`"),
            (_, _, Some(repository)) => format!("`{}` of `{repository}`", self.name.as_deref().unwrap_or_default()),
            _ => "nothing".to_owned(),
        };
        self.wanted.as_ref().map_or(place.clone(), |wanted| format!("{place} in version `{wanted}`"))
    }
}

fn described(source: &ChartSource) -> String {
    LockedChart::asking("", source, String::new(), Digest::of(b"")).asked()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let source = ChartSource::Repository { repository: "https://charts.example/stable".into(), name: "postgresql".into(), version: Some("~15.2".into()) };
        let mut db = LockedChart::asking("db", &source, "15.2.7".into(), Digest::of(b"chart"));
        db.dependencies = vec![LockedDependency {
            name: "common".into(),
            repository: "oci://r.example/charts".into(),
            version: "2.0.0".into(),
            digest: Digest::of(b"common"),
            manifest: Some(Digest::of(b"manifest")),
        }];
        let web = LockedChart::asking("a", &ChartSource::Path("charts/web".into()), "1.0.0".into(), Digest::of(b"web"));
        Lock::new(vec![db, web], [("nginx:1".parse().unwrap(), Digest::of(b"image"))].into(), Digest::of(b"evidence"))
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        let text = lock().text();
        let read = Lock::parse(Path::new("delivery.lock"), &text).unwrap();
        assert_eq!((&read, &read.text()), (&lock(), &text));
        assert_eq!(read.charts[0].app, "a", "sorted");
    }

    #[test]
    fn mistakes_have_a_place() {
        let good = lock().text();
        for (from, to, want) in [
            ("- app: db", "- app: a", "app `a` is there twice"),
            ("kind: Lock", "kind: Lick", "`kind` is \"Lick\"; wanted"),
            ("ref: docker", "reff: docker", "has no key `reff` (did you mean `ref`?)"),
            ("version: 15.2.7", "version: 15.2", "wanted a string"),
            ("digest: sha256:", "digest: md5:", "does not match"),
            ("apiVersion: offline/v1", "apiVersion: offline/v2", "`apiVersion` is"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let error = Lock::parse(Path::new("delivery.lock"), &text).unwrap_err().to_string();
            assert!(error.starts_with("delivery.lock:") && error.contains(want), "{to}: {error}");
        }
    }
}
