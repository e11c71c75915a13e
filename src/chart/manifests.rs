//! Rendered files to manifests and hooks: Helm's `SortManifests` (3.22: pkg/releaseutil, 4.3: pkg/release/v1/util).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    engine::Dialect,
    log::{Log, go_quoted},
    metadata::kind,
};
use crate::{
    goyaml::{self, YamlError},
    objects,
};

/// A rendered file that is no manifest, in Helm's words.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not YAML.
    #[error("YAML parse error on {path}: error converting YAML to JSON: {source}")]
    Yaml {
        /// The template.
        path: String,
        /// Why.
        #[source]
        source: YamlError,
    },
    /// Not an object.
    #[error("YAML parse error on {path}: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go {into}")]
    Shape {
        /// The template.
        path: String,
        /// What was found.
        found: &'static str,
        /// Where it was to go.
        into: String,
    },
}

/// An object to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The template it came from.
    pub path: String,
    /// Its text.
    pub content: String,
    /// `apiVersion`; may be empty.
    pub api_version: String,
    /// `kind`; may be empty.
    pub kind: String,
    /// `metadata.name`; may be empty.
    pub name: String,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEvent {
    /// Before the first object is installed.
    PreInstall,
    /// After the last.
    PostInstall,
    /// Before removal.
    PreDelete,
    /// After removal.
    PostDelete,
    /// Before an upgrade.
    PreUpgrade,
    /// After an upgrade.
    PostUpgrade,
    /// Before a rollback.
    PreRollback,
    /// After a rollback.
    PostRollback,
    /// When asked for.
    Test,
}

impl HookEvent {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "pre-install" => Self::PreInstall,
            "post-install" => Self::PostInstall,
            "pre-delete" => Self::PreDelete,
            "post-delete" => Self::PostDelete,
            "pre-upgrade" => Self::PreUpgrade,
            "post-upgrade" => Self::PostUpgrade,
            "pre-rollback" => Self::PreRollback,
            "post-rollback" => Self::PostRollback,
            // "Support test-success for backward compatibility with Helm 2 tests" (manifest_sorter.go).
            "test" | "test-success" => Self::Test,
            _ => return None,
        })
    }
}

/// A hook. Serializes as Helm stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `metadata.name`.
    pub name: String,
    /// `kind`.
    pub kind: String,
    /// The template it came from.
    pub path: String,
    /// Its text.
    pub manifest: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// Lower ones run first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// `helm.sh/hook-delete-policy`, as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<String>,
    /// `helm.sh/hook-output-log-policy`, as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(weight: &i64) -> bool {
    *weight == 0
}

/// Manifests and hooks of rendered files, each in the order of installation.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) manifests: Vec<Manifest>,
    pub(super) hooks: Vec<Hook>,
}

/// Splits files, in the order of their paths, and tells hooks from the rest.
pub(super) fn sort(files: &BTreeMap<String, String>, log: &mut Log) -> Result<Sorted, ManifestError> {
    let mut sorted = Sorted::default();
    for (path, content) in files {
        let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('_'));
        if hidden || content.trim().is_empty() {
            continue;
        }
        let texts = match log.dialect() {
            Dialect::Helm3 => objects::split(content),
            Dialect::Helm4 => objects::split_helm4(content),
        };
        for text in texts {
            let head = Head::parse(path, &text, log.dialect())?;
            match head.annotations.get("helm.sh/hook") {
                None => sorted.manifests.push(Manifest { path: path.clone(), content: text, api_version: head.api_version, kind: head.kind, name: head.name }),
                Some(events) => sorted.hooks.extend(hook(path, text, &head, events, log)),
            }
        }
    }
    match log.dialect() {
        Dialect::Helm3 => {
            objects::sort_for_install(&mut sorted.manifests, |manifest| &manifest.kind);
            objects::sort_for_install(&mut sorted.hooks, |hook| &hook.kind);
        }
        Dialect::Helm4 => {
            objects::sort_for_install_helm4(&mut sorted.manifests, |manifest| &manifest.kind);
            objects::sort_for_install_helm4(&mut sorted.hooks, |hook| &hook.kind);
        }
    }
    Ok(sorted)
}

fn hook(path: &str, manifest: String, head: &Head, events: &str, log: &mut Log) -> Option<Hook> {
    let mut known = Vec::new();
    for event in events.split(',') {
        let event = event.trim().to_lowercase();
        let Some(parsed) = HookEvent::parse(&event) else {
            // Helm drops the whole document.
            let text = format!("info: skipping unknown hook: {}", go_quoted(events));
            log.either("manifest_sorter.go:199", &text, "INFO", "skipping unknown hooks", &[("hookTypes", events)]);
            return None;
        };
        known.push(parsed);
    }
    let weight = head.annotations.get("helm.sh/hook-weight").and_then(|weight| weight.parse().ok()).unwrap_or(0);
    let list = |key: &str| head.annotations.get(key).map(|list| list.split(',').map(|item| item.trim().to_lowercase()).collect()).unwrap_or_default();
    Some(Hook {
        name: head.name.clone(),
        kind: head.kind.clone(),
        path: path.to_owned(),
        manifest,
        events: known,
        weight,
        delete_policies: list("helm.sh/hook-delete-policy"),
        output_log_policies: list("helm.sh/hook-output-log-policy"),
    })
}

/// What Helm reads of a document (`SimpleHead`).
#[derive(Debug, Default)]
struct Head {
    api_version: String,
    kind: String,
    name: String,
    annotations: BTreeMap<String, String>,
}

impl Head {
    fn parse(path: &str, text: &str, dialect: Dialect) -> Result<Self, ManifestError> {
        let value = goyaml::parse_fields(text, &["apiVersion", "kind", "metadata"]).map_err(|source| ManifestError::Yaml { path: path.to_owned(), source })?;
        let reader = Reader { path };
        let empty = Map::new();
        let package = match dialect {
            Dialect::Helm3 => "releaseutil",
            Dialect::Helm4 => "util",
        };
        let map = reader.object(&value, &empty, &format!("value of type {package}.SimpleHead"))?;
        let mut head = Self {
            api_version: reader.text(map, "apiVersion", "SimpleHead.apiVersion")?,
            kind: reader.text(map, "kind", "SimpleHead.kind")?,
            ..Self::default()
        };
        let metadata = field(map, "metadata").unwrap_or(&Value::Null);
        let into =
            "struct field SimpleHead.metadata of type struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \"json:\\\"annotations\\\"\" }";
        let metadata = reader.object(metadata, &empty, into)?;
        head.name = reader.text(metadata, "name", "SimpleHead.metadata.name")?;
        let annotations = field(metadata, "annotations").unwrap_or(&Value::Null);
        let annotations = reader.object(annotations, &empty, "struct field SimpleHead.metadata.annotations of type map[string]string")?;
        for key in annotations.keys() {
            head.annotations.insert(key.clone(), reader.text(annotations, key, "SimpleHead.metadata.annotations")?);
        }
        Ok(head)
    }
}

struct Reader<'a> {
    path: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, value: &Value, into: String) -> ManifestError {
        ManifestError::Shape { path: self.path.to_owned(), found: kind(value), into }
    }

    fn object<'v>(&self, value: &'v Value, empty: &'v Map<String, Value>, into: &str) -> Result<&'v Map<String, Value>, ManifestError> {
        match value {
            Value::Object(map) => Ok(map),
            Value::Null => Ok(empty),
            other => Err(self.wrong(other, into.to_owned())),
        }
    }

    fn text(&self, map: &Map<String, Value>, key: &str, name: &str) -> Result<String, ManifestError> {
        match field(map, key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(value) => goyaml::scalar_text(value).ok_or_else(|| self.wrong(value, format!("struct field {name} of type string"))),
        }
    }
}

/// A field as encoding/json finds it: by its name, else whatever its case.
fn field<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    map.get(key).or_else(|| map.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(text: &str) -> (Sorted, Vec<String>) {
        let mut log = Log::default();
        (sort(&BTreeMap::from([("c/templates/a.yaml".to_owned(), text.to_owned())]), &mut log).unwrap(), log.into_lines())
    }

    #[test]
    fn hooks_are_told_apart() {
        let text = "kind: Job\nmetadata: {name: a, annotations: {helm.sh/hook: 'Pre-Install, test-success', helm.sh/hook-weight: '-5', helm.sh/hook-delete-policy: hook-succeeded}}\n---\nkind: Service\n---\nkind: Namespace\n---\nkind: X\nmetadata: {annotations: {helm.sh/hook: crd-install}}\n";
        let (sorted, warnings) = sorted(text);
        assert_eq!(sorted.manifests.iter().map(|manifest| manifest.kind.as_str()).collect::<Vec<_>>(), ["Namespace", "Service"]);
        let hook = &sorted.hooks[0];
        assert_eq!(
            (hook.weight, hook.events.as_slice(), hook.delete_policies.as_slice()),
            (-5, [HookEvent::PreInstall, HookEvent::Test].as_slice(), ["hook-succeeded".to_owned()].as_slice())
        );
        assert_eq!((sorted.hooks.len(), warnings), (1, vec!["manifest_sorter.go:199: info: skipping unknown hook: \"crd-install\"".to_owned()]));
        assert_eq!(serde_json::to_value(hook).unwrap()["events"], serde_json::json!(["pre-install", "test"]));
    }

    #[test]
    fn faults_are_helms() {
        let fault = |text: &str| sort(&BTreeMap::from([("t.yaml".to_owned(), text.to_owned())]), &mut Log::default()).unwrap_err().to_string();
        assert_eq!(
            fault("foo"),
            "YAML parse error on t.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go value of type releaseutil.SimpleHead"
        );
        assert_eq!(fault("a: b: c"), "YAML parse error on t.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in this context");
    }
}
