//! Source: values of a chart and its subcharts, those that are switched off too. `{registry, repository, tag|digest}` in the shapes that
//! charts use, and whole references.
//!
//! All of it is a candidate only: what the chart makes of its values, renderings tell ([`super::settle`]).

use serde_json::{Map, Value};

use super::Candidate;
use crate::{
    chart::{Chart, values},
    delivery::record::{Origin, Source},
    goyaml,
    objects::{Care, names_image, shape},
    oci::Reference,
};

/// Deeper values are not looked at.
const DEPTH_MAX: usize = 40;
/// Candidates of one app; who has more has a list of something else.
const CANDIDATES_MAX: usize = 5_000;
/// Where charts keep a registry for all their images; the first that is set counts.
const REGISTRIES: [&str; 6] =
    ["/global/imageRegistry", "/global/image/registry", "/global/registry", "/global/hub", "/global/containerRegistry", "/imageRegistry"];
/// Where charts keep a tag for all their images.
const TAGS: [&str; 6] = ["/global/imageTag", "/global/image/tag", "/global/tag", "/imageTag", "/image/tag", "/global/version"];

/// What the values of a chart may mean, with the user's on top.
pub fn of_values(app: &str, chart: &Chart, user: &Map<String, Value>) -> Vec<Candidate> {
    let mut own = chart.values().clone();
    values::merge(&mut own, user.clone());
    let mut found = Vec::new();
    charts(app, chart, chart.name(), own, &Value::Null, &mut found);
    found
}

fn charts(app: &str, chart: &Chart, path: &str, own: Map<String, Value>, globals: &Value, found: &mut Vec<Candidate>) {
    let mut own = own;
    if let Value::Object(inherited) = globals {
        let mut merged = own.remove("global").and_then(|value| if let Value::Object(map) = value { Some(map) } else { None }).unwrap_or_default();
        values::merge(&mut merged, inherited.clone());
        own.insert("global".to_owned(), Value::Object(merged));
    }
    let names = subchart_names(chart);
    let mut below = Vec::new();
    for (subchart, name) in &names {
        let mut values = subchart.values().clone();
        if let Some(Value::Object(over)) = own.get(name) {
            values::merge(&mut values, over.clone());
        }
        below.push((*subchart, format!("{path}/charts/{name}"), values));
    }
    let globals = own.get("global").cloned().unwrap_or_default();
    let root = Value::Object(own);
    let scan =
        Scan { app, file: format!("{path}/values.yaml"), app_version: app_version(chart), registry: first(&root, &REGISTRIES), tag: first(&root, &TAGS) };
    if let Value::Object(map) = &root {
        for (key, value) in map.iter().filter(|(key, _)| !names.iter().any(|(_, name)| name == *key)) {
            scan.value(key, value, &format!("/{}", escape(key)), 0, found);
        }
    }
    for (subchart, path, values) in below {
        charts(app, subchart, &path, values, &globals, found);
    }
}

/// The appVersion, with a `v` before it where the templates put one there.
fn app_version(chart: &Chart) -> String {
    let version = &chart.metadata().app_version;
    let prefixed = |text: &str| {
        text.lines().filter(|line| line.contains("AppVersion")).any(|line| line.contains("\"v%s\"") || line.contains(":v{{") || line.contains(":v%s"))
    };
    let templates = || chart.templates().iter().filter_map(|file| std::str::from_utf8(&file.data).ok()).any(prefixed);
    if version.starts_with(|c: char| c.is_ascii_digit()) && templates() { format!("v{version}") } else { version.clone() }
}

/// Subcharts with the names that their values have in the parent's: aliases, where there are any.
fn subchart_names(chart: &Chart) -> Vec<(&Chart, String)> {
    let mut names = Vec::new();
    for subchart in chart.subcharts() {
        let aliases: Vec<String> =
            chart.metadata().dependencies.iter().filter(|need| need.name == subchart.name() && !need.alias.is_empty()).map(|need| need.alias.clone()).collect();
        let plain = aliases.is_empty() || chart.metadata().dependencies.iter().any(|need| need.name == subchart.name() && need.alias.is_empty());
        names.extend(plain.then(|| (subchart, subchart.name().to_owned())));
        names.extend(aliases.into_iter().map(|alias| (subchart, alias)));
    }
    names
}

fn first(root: &Value, pointers: &[&str]) -> Option<String> {
    pointers.iter().filter_map(|pointer| root.pointer(pointer).and_then(text_of)).find(|text| !text.is_empty())
}

/// A tag may be a number in YAML.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(_) => goyaml::scalar_text(value),
        _ => None,
    }
}

/// One chart's values.
struct Scan<'a> {
    app: &'a str,
    file: String,
    /// The tag that the chart makes of its appVersion.
    app_version: String,
    registry: Option<String>,
    tag: Option<String>,
}

impl Scan<'_> {
    fn value(&self, key: &str, value: &Value, pointer: &str, depth: usize, found: &mut Vec<Candidate>) {
        if depth > DEPTH_MAX || found.len() >= CANDIDATES_MAX {
            return;
        }
        match value {
            Value::Object(map) => {
                let group = self.group(key, map, pointer);
                let is_group = group.is_some();
                found.extend(group);
                for (name, inner) in map.iter().filter(|(name, _)| !is_group || !PARTS.contains(&name.as_str())) {
                    self.value(name, inner, &format!("{pointer}/{}", escape(name)), depth + 1, found);
                }
            }
            // The key of a list counts for its entries.
            Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| self.value(key, item, &format!("{pointer}/{i}"), depth + 1, found)),
            Value::String(text) => found.extend(self.whole(key, text.trim(), pointer)),
            _ => {}
        }
    }

    /// A whole reference: under a key that says so, or with a registry's host.
    fn whole(&self, key: &str, text: &str, pointer: &str) -> Option<Candidate> {
        let named = names_image(key);
        let why = shape(text, if named { Care::Named } else { Care::Prose })?;
        let image: Reference = text.parse().ok()?;
        let reason = format!("`{}` of the values looks like one: {why}", dotted(pointer));
        Some(Candidate { is_image: named, ..self.candidate(image, written_path(text), false, pointer, reason) })
    }

    /// Parts of a reference side by side.
    fn group(&self, key: &str, map: &Map<String, Value>, pointer: &str) -> Option<Candidate> {
        let text = |key: &str| map.get(key).and_then(text_of).filter(|text| !text.is_empty());
        let any = |keys: &[&str]| keys.iter().find_map(|key| text(key));
        let is_image = names_image(key) || ["pullPolicy", "imagePullPolicy", "pullSecrets"].iter().any(|key| map.contains_key(*key));
        let has_registry = REGISTRY_KEYS.iter().any(|key| map.contains_key(*key));
        let tag_key = TAG_KEYS.iter().any(|key| map.contains_key(*key));
        let repository = any(&REPOSITORY_KEYS)
            .or_else(|| any(&["image", "imageName"]).filter(|_| tag_key))
            .or_else(|| text("name").filter(|_| is_image && (tag_key || has_registry)))?;
        if repository.contains("://") || repository.contains(char::is_whitespace) || !(is_image || tag_key || has_registry) {
            return None;
        }
        // Something with a registry's name and no sign of an image is a chart or a repository of source code.
        let tagged = any(&TAG_KEYS);
        // Some charts have the digest where others have the tag.
        let (written, digest) = match tagged {
            Some(tag) if tag.starts_with("sha256:") => (None, Some(tag)),
            tag => (tag, any(&["digest", "sha", "sha256"]).map(|digest| if digest.contains(':') { digest } else { format!("sha256:{digest}") })),
        };
        let registry = any(&REGISTRY_KEYS).or_else(|| self.registry.clone());
        let hosted = repository.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
        let mut name = match registry.filter(|_| !hosted) {
            Some(registry) => format!("{}/{repository}", registry.trim_end_matches('/')),
            None => repository.clone(),
        };
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let complete = name[last..].contains([':', '@']);
        let fallback = !complete && written.is_none() && digest.is_none();
        if !complete {
            let tag = written
                .clone()
                .or_else(|| self.tag.clone().filter(|_| fallback))
                .or_else(|| Some(self.app_version.clone()).filter(|version| fallback && !version.is_empty()));
            match (tag, &digest) {
                (Some(tag), _) => name = format!("{name}:{tag}"),
                (None, Some(_)) => {}
                (None, None) => return None,
            }
        }
        if let Some(digest) = &digest {
            name = format!("{name}@{digest}");
        }
        let image: Reference = name.parse().ok()?;
        let reason = if fallback {
            format!("`{}` of the values has no tag, which the chart's appVersion stands for", dotted(pointer))
        } else {
            format!("`{}` of the values has its parts; nothing that was rendered uses it", dotted(pointer))
        };
        Some(self.candidate(image, written_path(&repository), fallback, pointer, reason))
    }

    fn candidate(&self, image: Reference, path: String, tag_is_assumed: bool, pointer: &str, reason: String) -> Candidate {
        let origin =
            Origin { source: Source::Values, app: Some(self.app.to_owned()), template: Some(self.file.clone()), path: pointer.to_owned(), ..Origin::default() };
        Candidate { image, path, tag_is_assumed, is_image: true, origin, reason }
    }
}

const PARTS: [&str; 24] = [
    "registry",
    "repository",
    "repo",
    "tag",
    "digest",
    "sha",
    "sha256",
    "image",
    "imageName",
    "version",
    "hub",
    "host",
    "imageTag",
    "versionTag",
    "imageRepository",
    "imageRepo",
    "image_repository",
    "image_repo",
    "image_name",
    "image_tag",
    "image_version",
    "imageVersion",
    "defaultVersion",
    "defaultImageVersion",
];
const REPOSITORY_KEYS: [&str; 7] = ["repository", "repo", "imageRepository", "imageRepo", "image_repository", "image_repo", "image_name"];
const REGISTRY_KEYS: [&str; 4] = ["registry", "hub", "imageRegistry", "registryUrl"];
const TAG_KEYS: [&str; 9] = ["tag", "imageTag", "version", "versionTag", "image_tag", "image_version", "imageVersion", "defaultVersion", "defaultImageVersion"];

/// The repository as the values have it, without host, tag and digest.
pub(super) fn written_path(text: &str) -> String {
    let name = text.split('@').next().unwrap_or(text);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = &name[..name[last..].find(':').map_or(name.len(), |colon| last + colon)];
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest.to_owned(),
        _ => name.to_owned(),
    }
}

/// `/a/b/0` as people write it in values: `a.b[0]`.
fn dotted(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            out.extend(["[", &part, "]"]);
        } else {
            out.extend([if out.is_empty() { "" } else { "." }, &part]);
        }
    }
    out
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::FileTree;

    fn chart(files: &[(&str, &str)]) -> Chart {
        let mut tree = FileTree::new();
        for (path, text) in files {
            tree.insert(path.parse().unwrap(), text.as_bytes().to_vec().into());
        }
        Chart::load(&tree).unwrap()
    }

    fn found(values: &str) -> Vec<String> {
        let chart = chart(&[("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: 2.5.0\n"), ("values.yaml", values)]);
        of_values("web", &chart, &Map::new()).into_iter().map(|found| found.image.to_string()).collect()
    }

    #[test]
    fn groups_and_whole_references() {
        for (values, want) in [
            ("image: {registry: quay.io, repository: a/b, tag: 1.25}", vec!["quay.io/a/b:1.25"]),
            ("image: {repository: a/b, tag: '', pullPolicy: Always}", vec!["docker.io/a/b:2.5.0"]),
            ("x: {repository: a/b, version: v3}", vec!["docker.io/a/b:v3"]),
            ("x: {image: a/b, tag: v3}", vec!["docker.io/a/b:v3"]),
            ("art: {image: a/art, defaultVersion: ''}", vec!["docker.io/a/art:2.5.0"]),
            ("x: {imageRepo: a/b, imageTag: v3}", vec!["docker.io/a/b:v3"]),
            ("x: {image_name: quay.io/a/b, image_version: v3}", vec!["quay.io/a/b:v3"]),
            (
                "x: {registry: ghcr.io, repository: a/b, version: 'sha256:a13cd8b2a554d6116888fd1f383cf6e91fc1716df5eda392b82e6bfc66995ec3'}",
                vec!["ghcr.io/a/b@sha256:a13cd8b2a554d6116888fd1f383cf6e91fc1716df5eda392b82e6bfc66995ec3"],
            ),
            ("curlContainerImage: 'registry1.acme.mil/u/ubi9:9.7'", vec!["registry1.acme.mil/u/ubi9:9.7"]),
            ("global: {imageRegistry: r.io}\nimage: {repository: a/b, tag: v3}", vec!["r.io/a/b:v3"]),
            ("global: {imageRegistry: r.io}\nimage: {repository: quay.io/a/b, tag: v3}", vec!["quay.io/a/b:v3"]),
            ("sidecar: {image: 'busybox:1.36'}", vec!["docker.io/library/busybox:1.36"]),
            ("images: [ghcr.io/a/c:1, 'redis:2']", vec!["ghcr.io/a/c:1", "docker.io/library/redis:2"]),
            ("url: http://a/b:1\nhost: redis:6379\nrepo: {repository: 'https://charts.example', version: 1}\ncommand: a/b:1", vec![]),
            ("helm: {repository: git@github.com:a/b, branch: main}", vec![]),
        ] {
            assert_eq!(found(values), want, "{values}");
        }
    }

    #[test]
    fn subcharts_that_are_switched_off() {
        let chart = chart(&[
            (
                "Chart.yaml",
                "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: db, alias: store, version: 1.0.0, repository: '', condition: store.enabled}]\n",
            ),
            ("values.yaml", "global: {imageRegistry: r.io}\nstore: {enabled: false, image: {tag: '16'}}\n"),
            ("charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n"),
            ("charts/db/values.yaml", "image: {repository: a/db, tag: '15'}\n"),
        ]);
        let found = of_values("web", &chart, &Map::new());
        let places: Vec<_> = found.iter().map(|found| (found.image.to_string(), found.origin.template.clone().unwrap(), found.origin.path.clone())).collect();
        assert_eq!(places, [("r.io/a/db:16".to_owned(), "web/charts/store/values.yaml".to_owned(), "/image".to_owned())]);
    }
}
