//! The one walker over images.
//!
//! Containers are found by the names of their lists, in any kind, so that new kinds and custom resources with pod templates need no table.
//! Fields that only look like images count in custom resources alone: in Kubernetes' own kinds an `image` elsewhere is something else.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::oci::Reference;

/// An image that an object names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSlot {
    /// JSON pointer to the text, or to the map of a [`SlotKind::Group`].
    pub pointer: String,
    /// The image as it is written, or put together from its parts.
    pub image: String,
    /// What kind of place it is.
    pub kind: SlotKind,
    /// The container's `imagePullPolicy`, if it has one.
    pub pull_policy: Option<String>,
}

/// Places where images are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotKind {
    /// `image` of a container.
    Container,
    /// `image.reference` of a volume.
    Volume,
    /// A field of a custom resource.
    Field,
    /// Parts of a name in a custom resource, by their keys.
    Group {
        /// The key of the registry, if it stands alone.
        registry: Option<String>,
        /// The key of the repository.
        repository: String,
        /// The key of the tag.
        tag: Option<String>,
        /// The key of the digest.
        digest: Option<String>,
    },
}

/// A container's `imagePullPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySlot {
    /// JSON pointer to the text.
    pub pointer: String,
    /// What it says.
    pub policy: String,
}

/// Nothing deeper is looked at; YAML that was parsed is never as deep.
const MAX_DEPTH: usize = 1000;
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// API groups that Kubernetes itself serves.
const OWN_GROUPS: [&str; 27] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "lifecycle.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "settings.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
    "meta.k8s.io",
];

/// Every image an object names, in the order of the walk.
pub fn image_slots(value: &Value) -> Vec<ImageSlot> {
    let mut walk = Walk::default();
    walk.value(value, "", false, 0);
    walk.slots
}

/// Every `imagePullPolicy` next to a container's image.
pub fn pull_policies(value: &Value) -> Vec<PolicySlot> {
    let containers = image_slots(value).into_iter().filter(|slot| slot.kind == SlotKind::Container);
    let policy = |slot: ImageSlot| slot.pull_policy.map(|policy| PolicySlot { pointer: format!("{}PullPolicy", slot.pointer), policy });
    containers
        .filter_map(|slot| {
            // `…/image` and `…/imagePullPolicy` stand side by side.
            policy(slot)
        })
        .collect()
}

impl ImageSlot {
    /// What has to be written where, so that this slot names another image.
    pub fn edits(&self, image: &str) -> BTreeMap<String, String> {
        let SlotKind::Group { registry, repository, tag, digest } = &self.kind else {
            return BTreeMap::from([(self.pointer.clone(), image.to_owned())]);
        };
        let (name, new_digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        let colon = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
        let (path, new_tag) = colon.map_or((name, None), |colon| (&name[..colon], Some(&name[colon + 1..])));
        let at = |key: &str| format!("{}/{}", self.pointer, escape(key));
        let mut edits = BTreeMap::new();
        if let Some(registry) = registry
            && let Some((host, rest)) = path.split_once('/')
        {
            edits.insert(at(registry), host.to_owned());
            edits.insert(at(repository), rest.to_owned());
        } else {
            edits.insert(at(repository), path.to_owned());
        }
        for (key, part) in [(tag, new_tag), (digest, new_digest)] {
            if let (Some(key), Some(part)) = (key, part) {
                edits.insert(at(key), part.to_owned());
            }
        }
        edits
    }
}

#[derive(Default)]
struct Walk {
    slots: Vec<ImageSlot>,
}

impl Walk {
    fn value(&mut self, value: &Value, pointer: &str, custom: bool, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &format!("{pointer}/{index}"), custom, depth + 1);
                }
            }
            Value::Object(map) => self.map(map, pointer, custom, depth),
            _ => {}
        }
    }

    fn map(&mut self, map: &Map<String, Value>, pointer: &str, custom: bool, depth: usize) {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let custom = match (text("apiVersion"), text("kind")) {
            // Its fields describe other objects.
            (Some(version), Some("CustomResourceDefinition")) if version.starts_with("apiextensions.k8s.io/") => return,
            (Some(version), Some(_)) => !OWN_GROUPS.contains(&version.split_once('/').map_or("", |(group, _)| group)),
            _ => custom,
        };
        if custom && let Some(slot) = group(map, pointer) {
            self.slots.push(slot);
        }
        for (key, value) in map {
            let below = format!("{pointer}/{}", escape(key));
            match value {
                Value::Array(items) if LISTS.contains(&key.as_str()) => self.containers(items, &below, custom, depth),
                Value::Array(items) if key == "volumes" => self.volumes(items, &below, custom, depth),
                Value::String(image) if custom && looks_like_field(key, image, map) => self.push(below, image, SlotKind::Field, None),
                _ => self.value(value, &below, custom, depth + 1),
            }
        }
    }

    fn push(&mut self, pointer: String, image: &str, kind: SlotKind, pull_policy: Option<String>) {
        self.slots.push(ImageSlot { pointer, image: image.to_owned(), kind, pull_policy });
    }

    fn containers(&mut self, items: &[Value], pointer: &str, custom: bool, depth: usize) {
        for (index, item) in items.iter().enumerate() {
            let below = format!("{pointer}/{index}");
            if let Some(image) = item.get("image").and_then(Value::as_str).filter(|image| !image.is_empty()) {
                let policy = item.get("imagePullPolicy").and_then(Value::as_str).map(ToOwned::to_owned);
                self.push(format!("{below}/image"), image, SlotKind::Container, policy);
                self.without(item, "image", &below, custom, depth);
            } else {
                self.value(item, &below, custom, depth + 1);
            }
        }
    }

    fn volumes(&mut self, items: &[Value], pointer: &str, custom: bool, depth: usize) {
        for (index, item) in items.iter().enumerate() {
            let below = format!("{pointer}/{index}");
            if let Some(image) = item.pointer("/image/reference").and_then(Value::as_str).filter(|image| !image.is_empty()) {
                self.push(format!("{below}/image/reference"), image, SlotKind::Volume, None);
                self.without(item, "image", &below, custom, depth);
            } else {
                self.value(item, &below, custom, depth + 1);
            }
        }
    }

    /// Walks the rest of a map one of whose fields has been taken.
    fn without(&mut self, item: &Value, taken: &str, pointer: &str, custom: bool, depth: usize) {
        if let Value::Object(map) = item {
            let rest: Map<String, Value> = map.iter().filter(|(key, _)| *key != taken).map(|(key, value)| (key.clone(), value.clone())).collect();
            self.map(&rest, pointer, custom, depth + 1);
        }
    }
}

/// `image` or `…Image` with a path in it. A name that only makes sense with a tag beside it is a group.
fn looks_like_field(key: &str, image: &str, map: &Map<String, Value>) -> bool {
    (key == "image" || key.ends_with("Image")) && is_image(image) && !(key == "image" && group(map, "").is_some())
}

fn is_image(text: &str) -> bool {
    text.contains('/') && !text.contains("://") && text.parse::<Reference>().is_ok()
}

/// `{registry, repository, tag, digest}` in whatever selection, if it makes a name.
fn group(map: &Map<String, Value>, pointer: &str) -> Option<ImageSlot> {
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let present = |key: &str| text(key).map(|_| key.to_owned());
    let registry = present("registry");
    let repository = present("repository").or_else(|| registry.as_ref().and(present("image"))).or_else(|| registry.as_ref().and(present("name")))?;
    let (tag, digest) = (
        present("tag").or_else(|| present("version").filter(|_| registry.is_some())),
        present("digest").or_else(|| present("sha").filter(|_| registry.is_some())),
    );
    if tag.is_none() && digest.is_none() {
        return None;
    }
    let mut image = String::new();
    if let Some(registry) = registry.as_deref().and_then(text) {
        image = format!("{registry}/");
    }
    image.push_str(text(&repository)?);
    if let Some(tag) = tag.as_deref().and_then(text) {
        image = format!("{image}:{tag}");
    }
    if let Some(digest) = digest.as_deref().and_then(text) {
        image = format!("{image}@{digest}");
    }
    let kind = SlotKind::Group { registry, repository, tag, digest };
    is_image(&image).then(|| ImageSlot { pointer: pointer.to_owned(), image, kind, pull_policy: None })
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goyaml;

    fn found(text: &str) -> Vec<(String, String)> {
        image_slots(&goyaml::parse(text).unwrap()).into_iter().map(|slot| (slot.pointer, slot.image)).collect()
    }

    #[test]
    fn containers_anywhere() {
        let cron = "apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {initContainers: [{image: a}], containers: [{image: b:1, imagePullPolicy: Always}], volumes: [{image: {reference: c/d:1}}, {emptyDir: {}}]}}}}}";
        let at = "/spec/jobTemplate/spec/template/spec";
        let want = [("containers/0/image", "b:1"), ("initContainers/0/image", "a"), ("volumes/0/image/reference", "c/d:1")];
        assert_eq!(found(cron), want.map(|(end, image)| (format!("{at}/{end}"), image.to_owned())));
        let policies = pull_policies(&goyaml::parse(cron).unwrap());
        assert_eq!(policies, [PolicySlot { pointer: format!("{at}/containers/0/imagePullPolicy"), policy: "Always".to_owned() }]);
        assert_eq!(
            found("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, spec: {containers: [{image: x}]}}]"),
            [("/items/0/spec/containers/0/image".to_owned(), "x".to_owned())]
        );
    }

    #[test]
    fn fields_only_in_custom_resources() {
        assert_eq!(found("apiVersion: v1\nkind: ConfigMap\ndata: {image: a/b:1}"), []);
        assert_eq!(found("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {image: a/b:1, containers: [{image: x}]}"), []);
        let custom = "apiVersion: x.io/v1\nkind: X\nspec: {image: a/b:1, baseImage: c/d, other: e/f, proxy: {registry: r.io, repository: g/h, tag: v1}, logo: {image: plain}}";
        let want = [("/spec/baseImage", "c/d"), ("/spec/image", "a/b:1"), ("/spec/proxy", "r.io/g/h:v1")];
        assert_eq!(found(custom), want.map(|(pointer, image)| (pointer.to_owned(), image.to_owned())));
    }

    #[test]
    fn groups_are_edited_by_part() {
        let value = goyaml::parse("apiVersion: x.io/v1\nkind: X\nspec: {registry: r.io, repository: g/h, tag: v1}").unwrap();
        let edits = image_slots(&value)[0].edits("m.corp:5000/x/g/h:v1");
        let want = [("/spec/registry", "m.corp:5000"), ("/spec/repository", "x/g/h"), ("/spec/tag", "v1")];
        assert_eq!(edits, want.map(|(pointer, text)| (pointer.to_owned(), text.to_owned())).into());
    }
}
