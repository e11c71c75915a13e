//! delivery.lock: what a delivery's charts and images were resolved to, for version control. `lock` writes it, `export` keeps to it.
//!
//! Text and order depend on nothing but what was resolved, and nothing secret is in it.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    App, AppSource, ChartSource, Delivery, DeliveryError, Diagnostic, ImageEntry,
    parse::{against_schema, duplicate_keys, find, yaml_error},
    schema::lock_schema,
    types,
};
use crate::{
    goyaml,
    oci::{Digest, Reference},
    tag_policy::TagPolicy,
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
    /// What tag policies of images have picked, sorted by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<LockedTag>,
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
    /// Policy that delivery.yaml chooses the version by.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tagPolicy")]
    #[schemars(with = "types::TagPolicy")]
    pub tag_policy: Option<types::TagPolicy>,
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
    /// Signatures, attestations and SBOMs that are attached to it, sorted by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<LockedAttachment>,
}

/// Something that is attached to an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedAttachment {
    /// Where it is: repository and digest, and the tag where it has one.
    #[serde(rename = "ref")]
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Digest of what it is about: the image's index, one of its manifests, or another attachment.
    #[schemars(with = "String", regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub subject: Digest,
}

/// The tag that a policy has picked for an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedTag {
    /// The image, with the tag.
    #[serde(rename = "ref")]
    #[schemars(with = "String")]
    pub reference: Reference,
    /// The policy, as in delivery.yaml.
    pub tag_policy: types::TagPolicy,
}

impl LockedTag {
    /// What a policy has picked.
    pub fn new(reference: Reference, policy: &TagPolicy) -> Self {
        Self { reference, tag_policy: policy.into() }
    }

    fn answers(&self, repository: &Reference, policy: &types::TagPolicy) -> bool {
        self.reference.name() == repository.name() && self.tag_policy == *policy
    }
}

impl Lock {
    /// A lock of charts and images, which it sorts, and of what spoke for the images.
    pub fn new(mut charts: Vec<LockedChart>, images: BTreeMap<Reference, Digest>, evidence: Digest) -> Self {
        charts.sort_by(|a, b| a.app.cmp(&b.app));
        let images = images.into_iter().map(|(reference, digest)| LockedImage { reference, digest, attachments: Vec::new() }).collect();
        Self { api_version: LockVersion::V1, kind: LockKind::Lock, evidence: Some(evidence), charts, images, tags: Vec::new() }
    }

    /// The same with what tag policies have picked; it sorts that.
    #[must_use]
    pub fn with_tags(mut self, mut tags: Vec<LockedTag>) -> Self {
        tags.sort();
        tags.dedup();
        self.tags = tags;
        self
    }

    /// The same with what is attached to the images; it sorts that.
    #[must_use]
    pub fn with_attachments(mut self, mut attachments: BTreeMap<Reference, Vec<LockedAttachment>>) -> Self {
        for image in &mut self.images {
            let mut own = attachments.remove(&image.reference).unwrap_or_default();
            own.sort();
            own.dedup();
            image.attachments = own;
        }
        self
    }

    /// What is attached to an image.
    pub fn attachments(&self, image: &Reference) -> &[LockedAttachment] {
        self.images.iter().find(|locked| locked.reference == *image).map_or(&[], |locked| &locked.attachments)
    }

    /// What a policy has picked among the tags of a repository.
    pub fn tag(&self, repository: &Reference, policy: &TagPolicy) -> Option<&Reference> {
        let policy = types::TagPolicy::from(policy);
        self.tags.iter().find(|tag| tag.answers(repository, &policy)).map(|tag| &tag.reference)
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
        for (i, tag) in lock.tags.iter().enumerate().filter(|(i, tag)| lock.tags[..*i].iter().any(|other| other.answers(&tag.reference, &tag.tag_policy))) {
            twice(format!("/tags/{i}/ref"), format!("the tag of `{}` by this policy", tag.reference.name()));
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
                Some(locked) if locked.asked() != described(source, app.tag_policy.as_ref()) => {
                    let asks = described(source, app.tag_policy.as_ref());
                    found.push(format!("app `{}` asks for {asks}, the lock was made for {}", app.name, locked.asked()));
                }
                Some(_) => {}
            }
        }
        let is_there = |locked: &&LockedChart| !delivery.spec.apps.iter().any(|app: &App| app.name == locked.app && matches!(app.source, AppSource::Chart(_)));
        found.extend(self.charts.iter().filter(is_there).map(|locked| format!("the lock has a chart of app `{}`, which delivery.yaml does not", locked.app)));
        found.extend(self.tag_differences(delivery));
        found
    }

    fn tag_differences(&self, delivery: &Delivery) -> Vec<String> {
        let policies: Vec<(&Reference, types::TagPolicy)> = delivery.spec.images.iter().filter_map(policy).collect();
        let mut found: Vec<String> = policies
            .iter()
            .filter(|(repository, policy)| !self.tags.iter().any(|tag| tag.answers(repository, policy)))
            .map(|(repository, policy)| format!("the lock has no tag for `{}` by {}", repository.name(), policy.described()))
            .collect();
        let unused = self.tags.iter().filter(|tag| !policies.iter().any(|(repository, policy)| tag.answers(repository, policy)));
        found.extend(unused.map(|tag| format!("the lock has {} by {}, which delivery.yaml does not have", tag.reference, tag.tag_policy.described())));
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
            tag_policy: None,
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
    pub fn fits(&self, source: &ChartSource, policy: Option<&TagPolicy>) -> bool {
        self.asked() == described(source, policy)
    }

    fn asked(&self) -> String {
        let place = match (&self.path, &self.oci, &self.repo) {
            (Some(path), ..) => format!("`{path}`"),
            (_, Some(oci), _) => format!("`{oci}`"),
            (_, _, Some(repository)) => format!("`{}` of `{repository}`", self.name.as_deref().unwrap_or_default()),
            _ => "nothing".to_owned(),
        };
        match (&self.wanted, &self.tag_policy) {
            (_, Some(policy)) => format!("{place} in {}", policy.described()),
            (Some(wanted), None) => format!("{place} in version `{wanted}`"),
            (None, None) => place,
        }
    }
}

fn described(source: &ChartSource, policy: Option<&TagPolicy>) -> String {
    let tag_policy = policy.map(types::TagPolicy::from);
    LockedChart { tag_policy, ..LockedChart::asking("", source, String::new(), Digest::of(b"")) }.asked()
}

fn policy(entry: &ImageEntry) -> Option<(&Reference, types::TagPolicy)> {
    match entry {
        ImageEntry::Policy { repository, policy } => Some((repository, policy.into())),
        ImageEntry::Ref(_) | ImageEntry::Archive(_) | ImageEntry::Docker(_) | ImageEntry::Containerd(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> TagPolicy {
        let regex = crate::tag_policy::Pattern::new(r"1\.3\d\..*").unwrap();
        TagPolicy { regex, not: None, pick: crate::tag_policy::Pick::Newest }
    }

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
            .with_tags(vec![LockedTag::new("busybox:1.36.1".parse().unwrap(), &policy())])
    }

    #[test]
    fn a_policy_that_has_changed_is_another_one() {
        let text = |regex: &str| {
            format!(
                "apiVersion: offline/v1\nkind: Delivery\nmetadata: {{name: a, version: '1'}}\nspec:\n  images:\n  - {{ref: busybox, tagPolicy: {{regex: '{regex}', pick: newest}}}}\n"
            )
        };
        let lock = Lock::new(Vec::new(), BTreeMap::new(), Digest::of(b"evidence")).with_tags(lock().tags);
        let of = |regex: &str| lock.differences(&super::super::parse(Path::new("delivery.yaml"), &text(regex)).unwrap());
        assert_eq!(of(r"1\.3\d\..*"), Vec::<String>::new());
        let found = of("1.*");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("no tag for `docker.io/library/busybox` by the newest of `1.*`"), "{found:?}");
        assert!(found[1].contains("busybox:1.36.1 by the newest of `1\\.3\\d\\..*`"), "{found:?}");
        assert_eq!(lock.tag(&"busybox".parse().unwrap(), &policy()).unwrap().tag(), Some("1.36.1"));
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
