//! What operators read images from in their resources: a table that is data (`operators.json`), and how it is applied.
//!
//! Each rule is taken from the operator's own API documentation; a new operator needs a new row, never new code.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::walk::{ImageSlot, SlotKind, SlotSource, escape};

/// Rules for some kinds of one API group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// API group.
    group: String,
    /// Kinds of it; all if empty.
    #[serde(default)]
    kinds: Vec<String>,
    /// Where images stand.
    images: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Rule {
    /// A field that holds a whole reference, or a list of such.
    Field {
        /// JSON pointer; `*` stands for every item or key.
        field: String,
        /// What stands beside it and says that it is an image: a key and its text.
        #[serde(default)]
        beside: Option<(String, String)>,
    },
    /// Parts of a name, side by side.
    Parts {
        /// JSON pointer of the map.
        at: String,
        /// Key of the repository.
        repository: String,
        /// Keys of the tag; the first that is there counts.
        #[serde(default)]
        tag: Vec<String>,
        /// Key of the digest.
        #[serde(default)]
        digest: Option<String>,
        /// Key of the registry.
        #[serde(default)]
        registry: Option<String>,
        /// Tags that are none: words which the operator makes a version of.
        #[serde(default)]
        except: Vec<String>,
    },
    /// A reference that the operator makes itself.
    Derived {
        /// The reference, with `{}` for the field's text and `{type}` for that of `type` beside it.
        derive: String,
        /// JSON pointer of the field.
        from: String,
        /// JSON pointer of the field that overrides it; nothing is made where it is set.
        into: String,
        /// Who makes it.
        by: String,
    },
}

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| serde_json::from_str(include_str!("operators.json")).expect("a test reads the same file"));

/// The images of a custom resource that the table knows. `value` is the resource, `pointer` leads to it.
pub(super) fn slots(group: &str, kind: &str, value: &Value, pointer: &str) -> Vec<ImageSlot> {
    let mut found = Vec::new();
    for row in TABLE.iter().filter(|row| row.group == group && (row.kinds.is_empty() || row.kinds.iter().any(|one| one == kind))) {
        for rule in &row.images {
            rule.apply(value, pointer, &mut found);
        }
    }
    found
}

impl Rule {
    fn apply(&self, value: &Value, pointer: &str, found: &mut Vec<ImageSlot>) {
        match self {
            Self::Field { field, beside } => {
                for (at, found_value) in select(value, field) {
                    let parent = at.rsplit_once('/').and_then(|(parent, _)| value.pointer(parent));
                    let meant = beside.as_ref().is_none_or(|(key, text)| parent.and_then(|parent| parent.get(key)).and_then(Value::as_str) == Some(text));
                    if let Some(image) = found_value.as_str().filter(|image| meant && is_whole(image)) {
                        found.push(slot(format!("{pointer}{at}"), image.to_owned(), SlotKind::Field, None));
                    }
                }
            }
            Self::Parts { at, repository, tag, digest, registry, except } => {
                for (below, map) in select(value, at) {
                    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
                    let Some(name) = text(repository) else { continue };
                    let (tag, digest) = (tag.iter().find(|key| text(key).is_some()), digest.as_deref().filter(|key| text(key).is_some()));
                    let registry = registry.as_deref().filter(|key| text(key).is_some());
                    let mut image = registry.and_then(text).map_or_else(|| name.to_owned(), |registry| format!("{registry}/{name}"));
                    match (digest.and_then(text), tag.and_then(|key| text(key))) {
                        (Some(digest), _) => image = format!("{image}@{}{digest}", if digest.contains(':') { "" } else { "sha256:" }),
                        (None, Some(tag)) if !except.iter().any(|word| word == tag) => image = format!("{image}:{tag}"),
                        (None, _) => continue,
                    }
                    // A digest without its algorithm would be written back with it.
                    let plain = digest.and_then(text).is_none_or(|digest| digest.contains(':'));
                    if !is_whole(&image) || !plain {
                        continue;
                    }
                    let kind = SlotKind::Group {
                        registry: registry.map(ToOwned::to_owned),
                        repository: repository.clone(),
                        tag: tag.filter(|_| digest.is_none()).cloned(),
                        digest: digest.map(ToOwned::to_owned),
                    };
                    found.push(slot(format!("{pointer}{below}"), image, kind, None));
                }
            }
            Self::Derived { derive, from, into, by } => {
                let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
                let beside = from.rsplit_once('/').and_then(|(parent, _)| text(&format!("{parent}/type"))).unwrap_or_default();
                let parent_is_there = into.rsplit_once('/').is_some_and(|(parent, _)| value.pointer(parent).is_some_and(Value::is_object));
                // Parts that are given by hand are there instead of what the operator would take.
                let parts = into.rsplit_once('/').map(|(parent, _)| format!("{pointer}{parent}"));
                let by_hand = found.iter().any(|slot| Some(&slot.pointer) == parts.as_ref());
                if let Some(version) = text(from).filter(|_| text(into).is_none() && parent_is_there && !by_hand) {
                    let image = derive.replace("{}", version).replace("{type}", beside);
                    if is_whole(&image) {
                        let reason = format!("{by} makes it of {}", from.replace('/', ".").trim_start_matches('.'));
                        found.push(slot(format!("{pointer}{into}"), image, SlotKind::Derived, Some(reason)));
                    }
                }
            }
        }
    }
}

fn slot(pointer: String, image: String, kind: SlotKind, doubt: Option<String>) -> ImageSlot {
    ImageSlot { pointer, image, kind, source: SlotSource::Operator, pull_policy: None, doubt }
}

fn is_whole(image: &str) -> bool {
    !image.is_empty() && image.parse::<crate::oci::Reference>().is_ok()
}

/// Everything at a pointer with `*`, each with its own pointer.
fn select<'a>(value: &'a Value, pattern: &str) -> Vec<(String, &'a Value)> {
    let mut found = vec![(String::new(), value)];
    for part in pattern.split('/').skip(1) {
        let mut next = Vec::new();
        for (at, value) in found {
            match (value, part) {
                (Value::Array(items), "*") => next.extend(items.iter().enumerate().map(|(i, item)| (format!("{at}/{i}"), item))),
                (Value::Object(map), "*") => next.extend(map.iter().map(|(key, item)| (format!("{at}/{}", escape(key)), item))),
                (Value::Object(map), key) => next.extend(map.get(key).map(|item| (format!("{at}/{}", escape(key)), item))),
                _ => {}
            }
        }
        found = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goyaml;

    fn found(group: &str, kind: &str, text: &str) -> Vec<(String, String, bool)> {
        slots(group, kind, &goyaml::parse(text).unwrap(), "").into_iter().map(|slot| (slot.pointer, slot.image, slot.doubt.is_some())).collect()
    }

    #[test]
    fn fields_parts_and_what_is_derived() {
        let sure = |pointer: &str, image: &str| vec![(pointer.to_owned(), image.to_owned(), false)];
        assert_eq!(found("tekton.dev", "Task", "spec: {steps: [{image: 'alpine:3'}]}"), sure("/spec/steps/0/image", "alpine:3"));
        assert_eq!(
            found("monitoring.coreos.com", "Prometheus", "spec: {baseImage: quay.io/prometheus/prometheus, version: v2.50.0}"),
            sure("/spec", "quay.io/prometheus/prometheus:v2.50.0")
        );
        assert_eq!(found("postgresql.cnpg.io", "Cluster", "spec: {imageName: 'ghcr.io/c/postgresql:16'}"), sure("/spec/imageName", "ghcr.io/c/postgresql:16"));
        let elastic = found("elasticsearch.k8s.elastic.co", "Elasticsearch", "spec: {version: 8.14.0}");
        assert_eq!(elastic, [("/spec/image".to_owned(), "docker.elastic.co/elasticsearch/elasticsearch:8.14.0".to_owned(), true)]);
        assert_eq!(found("elasticsearch.k8s.elastic.co", "Elasticsearch", "spec: {version: 8.14.0, image: 'r.io/e:1'}"), sure("/spec/image", "r.io/e:1"));
        assert_eq!(found("beat.k8s.elastic.co", "Beat", "spec: {type: filebeat, version: 8.14.0}")[0].1, "docker.elastic.co/beats/filebeat:8.14.0");
        assert_eq!(found("tekton.dev", "Task", "spec: {steps: [{image: $(params.image)}]}"), []);
        let stream = "spec: {tags: [{from: {kind: DockerImage, name: r.io/a:1}}, {from: {kind: ImageStreamTag, name: 'a:1'}}]}";
        assert_eq!(found("image.openshift.io", "ImageStream", stream), sure("/spec/tags/0/from/name", "r.io/a:1"));
        assert_eq!(found("kiali.io", "Kiali", "spec: {deployment: {image_name: r.io/k, image_version: v2.22.0}}"), sure("/spec/deployment", "r.io/k:v2.22.0"));
        assert_eq!(found("kiali.io", "Kiali", "spec: {deployment: {image_name: r.io/k, image_version: operator_version}}"), []);
    }

    #[test]
    fn the_table_is_sound() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE.iter() {
            assert!(row.group.contains('.'), "{}", row.group);
            assert!(seen.insert((row.group.clone(), row.kinds.clone())), "{} {:?} is there twice", row.group, row.kinds);
            for rule in &row.images {
                let pointers = match rule {
                    Rule::Field { field, .. } => vec![field],
                    Rule::Parts { at, .. } => vec![at],
                    Rule::Derived { from, into, .. } => vec![from, into],
                };
                assert!(pointers.iter().all(|pointer| pointer.starts_with("/spec")), "{pointers:?}");
            }
        }
    }
}
