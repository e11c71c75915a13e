//! The one walker over images.
//!
//! Containers are found by the names of their lists, in any kind, so that new kinds and custom resources with pod templates need no table.
//! Fields that only look like images count in custom resources alone: in Kubernetes' own kinds an `image` elsewhere is something else.
//! What operators read is a table (`operators`), and the defaults of their definitions (`definition`). Texts - arguments, variables, settings - give guesses (`mention`), and documents inside
//! `ConfigMap`s and `Secret`s are walked as well (`embedded`).

use std::{collections::BTreeSet, ops::Range};

use serde_json::{Map, Value};

use super::{
    definition, embedded,
    mention::{self, Care},
    operators,
};
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
    /// How it was found.
    pub source: SlotSource,
    /// The container's `imagePullPolicy`, if it has one.
    pub pull_policy: Option<String>,
    /// Why it looks like an image, where that is not certain.
    pub doubt: Option<String>,
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
    /// Parts of a name in a custom resource, by their keys: JSON pointers below that of the slot, without the first slash.
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
    /// Part of a text.
    Text {
        /// Where in the text.
        range: Range<usize>,
        /// Whether the text is written in base64, as in `data` of a Secret; the range is that of what it stands for.
        base64: bool,
    },
    /// Nowhere: an operator makes it, and the pointer is that of the field which would override it.
    Derived,
}

/// How an image was found in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotSource {
    /// A pod template.
    Pod,
    /// A field or a group of fields of a custom resource, by its name and shape.
    Field,
    /// A field that the table of operators knows.
    Operator,
    /// A text.
    Text,
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
pub(super) const MAX_DEPTH: usize = 1000;
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// What stands for whatever image the mesh injects (Istio, "Installing Gateways": `image: auto`); it is never pulled.
const INJECTED: &str = "auto";
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

/// Every image an object names, in the order of the walk. Those without doubt come from pods, fields and tables.
pub fn image_slots(value: &Value) -> Vec<ImageSlot> {
    let mut walk = Walk::default();
    walk.value(value, "", Within::default(), 0);
    walk.finish()
}

/// The same in a document that stands inside a text. Without a kind of its own it is somebody's settings.
pub(super) fn embedded_slots(value: &Value) -> Vec<ImageSlot> {
    let mut walk = Walk { embedded: true, ..Walk::default() };
    let custom = value.get("kind").is_none() || value.get("apiVersion").is_none();
    walk.value(value, "", Within { custom, settings: custom }, 0);
    walk.finish()
}

/// Every `imagePullPolicy` next to a container's image.
pub fn pull_policies(value: &Value) -> Vec<PolicySlot> {
    let containers = image_slots(value).into_iter().filter(|slot| slot.kind == SlotKind::Container);
    // `…/image` and `…/imagePullPolicy` stand side by side.
    containers.filter_map(|slot| slot.pull_policy.map(|policy| PolicySlot { pointer: format!("{}PullPolicy", slot.pointer), policy })).collect()
}

/// What an inner value is part of.
#[derive(Debug, Clone, Copy, Default)]
struct Within {
    /// A custom resource.
    custom: bool,
    /// A text that is no Kubernetes object.
    settings: bool,
}

#[derive(Default)]
struct Walk {
    slots: Vec<ImageSlot>,
    /// The document stands in a text already; texts in it are looked at there.
    embedded: bool,
}

impl Walk {
    /// A field that the table knows was found by its name before: the table counts.
    fn finish(self) -> Vec<ImageSlot> {
        let known: BTreeSet<String> = self.slots.iter().filter(|slot| slot.source == SlotSource::Operator).map(|slot| slot.pointer.clone()).collect();
        let sure: BTreeSet<String> = self.slots.iter().filter(|slot| slot.source == SlotSource::Pod).map(|slot| slot.pointer.clone()).collect();
        let keep = |slot: &ImageSlot| match slot.source {
            SlotSource::Field => !known.contains(&slot.pointer),
            SlotSource::Operator => !sure.contains(&slot.pointer),
            SlotSource::Pod | SlotSource::Text => true,
        };
        let mut slots: Vec<ImageSlot> = self.slots;
        slots.retain(keep);
        slots
    }

    fn value(&mut self, value: &Value, pointer: &str, within: Within, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &format!("{pointer}/{index}"), within, depth + 1);
                }
            }
            Value::Object(map) => self.map(map, pointer, within, depth),
            _ => {}
        }
    }

    fn map(&mut self, map: &Map<String, Value>, pointer: &str, within: Within, depth: usize) {
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let mut within = within;
        if let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) {
            let group = version.split_once('/').map_or("", |(group, _)| group);
            match (group, kind) {
                // Its fields describe other objects; their defaults are images.
                ("apiextensions.k8s.io", "CustomResourceDefinition") => return definition::slots(map, pointer, &mut self.slots),
                ("", "ConfigMap" | "Secret") => {
                    if !self.embedded {
                        embedded::slots(map, kind, pointer, &mut self.slots);
                    }
                    return;
                }
                _ => {}
            }
            within = Within { custom: !OWN_GROUPS.contains(&group), settings: false };
            if within.custom {
                self.slots.extend(operators::slots(group, kind, &Value::Object(map.clone()), pointer));
            }
        }
        if within.custom
            && !within.settings
            && let Some(slot) = group(map, pointer)
        {
            self.slots.push(slot);
        }
        for (key, value) in map {
            let below = format!("{pointer}/{}", escape(key));
            match value {
                Value::Array(items) if LISTS.contains(&key.as_str()) => self.containers(items, &below, within, depth),
                Value::Array(items) if key == "volumes" => self.volumes(items, &below, within, depth),
                Value::String(image) if within.custom => self.field(key, image, map, below, within),
                _ => self.value(value, &below, within, depth + 1),
            }
        }
    }

    fn push(&mut self, pointer: String, image: &str, kind: SlotKind, source: SlotSource) {
        self.slots.push(ImageSlot { pointer, image: image.to_owned(), kind, source, pull_policy: None, doubt: None });
    }

    /// `image` or `…Image` with a path in it. A name that only makes sense with a tag beside it is a group.
    fn field(&mut self, key: &str, image: &str, map: &Map<String, Value>, pointer: String, within: Within) {
        let named = key == "image" || key.ends_with("Image");
        if !named || !is_image(image) || (key == "image" && !within.settings && group(map, "").is_some()) {
            return;
        }
        let host = image.split('/').next().is_some_and(mention::is_registry);
        let sure = !within.settings && (host || mention::shape(image, Care::Named).is_some());
        if within.settings && mention::shape(image, Care::Named).is_none() {
            return;
        }
        let doubt =
            (!sure).then(|| if within.settings { format!("the setting {key} looks like one") } else { format!("{key} has neither a tag nor a registry") });
        let source = if within.settings { SlotSource::Text } else { SlotSource::Field };
        self.slots.push(ImageSlot { pointer, image: image.to_owned(), kind: SlotKind::Field, source, pull_policy: None, doubt });
    }

    fn containers(&mut self, items: &[Value], pointer: &str, within: Within, depth: usize) {
        for (index, item) in items.iter().enumerate() {
            let below = format!("{pointer}/{index}");
            let Some(image) = item.get("image").and_then(Value::as_str).filter(|image| !image.is_empty()) else {
                self.value(item, &below, within, depth + 1);
                continue;
            };
            if is_meant(image, within.custom || self.embedded) {
                let policy = item.get("imagePullPolicy").and_then(Value::as_str).map(ToOwned::to_owned);
                self.push(format!("{below}/image"), image, SlotKind::Container, SlotSource::Pod);
                if let Some(slot) = self.slots.last_mut() {
                    slot.pull_policy = policy;
                }
            }
            if !self.embedded {
                self.texts(item, &below);
            }
            self.without(item, "image", &below, within, depth);
        }
    }

    fn volumes(&mut self, items: &[Value], pointer: &str, within: Within, depth: usize) {
        for (index, item) in items.iter().enumerate() {
            let below = format!("{pointer}/{index}");
            if let Some(image) = item.pointer("/image/reference").and_then(Value::as_str).filter(|image| !image.is_empty()) {
                self.push(format!("{below}/image/reference"), image, SlotKind::Volume, SlotSource::Pod);
                self.without(item, "image", &below, within, depth);
            } else {
                self.value(item, &below, within, depth + 1);
            }
        }
    }

    /// What a container's variables, arguments and command mention.
    fn texts(&mut self, container: &Value, pointer: &str) {
        for (i, variable) in container.get("env").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let text = |key: &str| variable.get(key).and_then(Value::as_str);
            if let (Some(name), Some(value)) = (text("name"), text("value")) {
                let care = if mention::names_image(name) { Care::Named } else { Care::Plain };
                self.mentions(value, care, &format!("{pointer}/env/{i}/value"), &format!("the variable {name}"));
            }
        }
        for list in ["args", "command"] {
            let mut flag = String::new();
            for (i, text) in container.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
                let Some(text) = text.as_str() else { continue };
                let own = text.split_once('=').map(|(flag, _)| flag).filter(|flag| flag.starts_with('-') && !flag.contains(char::is_whitespace));
                let name = own.unwrap_or(if text.starts_with('-') { "" } else { &flag });
                let script = text.contains('\n');
                let care = if script {
                    Care::Prose
                } else if mention::names_image(name) {
                    Care::Named
                } else {
                    Care::Plain
                };
                let place = if name.is_empty() { format!("an entry of {list}") } else { format!("the flag {name}") };
                self.mentions(text, care, &format!("{pointer}/{list}/{i}"), &place);
                flag = if text.starts_with('-') && own.is_none() { text.to_owned() } else { String::new() };
            }
        }
    }

    fn mentions(&mut self, text: &str, care: Care, pointer: &str, place: &str) {
        for found in mention::mentions(text, care) {
            self.slots.push(ImageSlot {
                pointer: pointer.to_owned(),
                image: text[found.range.clone()].to_owned(),
                kind: SlotKind::Text { range: found.range, base64: false },
                source: SlotSource::Text,
                pull_policy: None,
                doubt: Some(format!("{place} looks like one: {}", found.why)),
            });
        }
    }

    /// Walks the rest of a map one of whose fields has been taken.
    fn without(&mut self, item: &Value, taken: &str, pointer: &str, within: Within, depth: usize) {
        if let Value::Object(map) = item {
            let rest: Map<String, Value> = map.iter().filter(|(key, _)| *key != taken).map(|(key, value)| (key.clone(), value.clone())).collect();
            self.map(&rest, pointer, within, depth + 1);
        }
    }
}

/// Not what a mesh or a workflow engine puts something else in place of. In Kubernetes' own kinds what is no image is a mistake, and told as one.
fn is_meant(image: &str, lenient: bool) -> bool {
    image != INJECTED && !(lenient && (image.contains("{{") || image.contains("$(") || image.contains("${") || image.parse::<Reference>().is_err()))
}

fn is_image(text: &str) -> bool {
    text.contains('/') && !text.contains("://") && text.parse::<Reference>().is_ok()
}

/// `{registry, repository, tag, digest}` in whatever selection, if it makes a name.
pub(super) fn group(map: &Map<String, Value>, pointer: &str) -> Option<ImageSlot> {
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
    is_image(&image).then(|| ImageSlot { pointer: pointer.to_owned(), image, kind, source: SlotSource::Field, pull_policy: None, doubt: None })
}

/// A key as a part of a JSON pointer (RFC 6901, section 3).
pub(super) fn escape(key: &str) -> String {
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
        assert_eq!(found("apiVersion: v1\nkind: ConfigMap\ndata: {logo: a/b:1}"), []);
        assert_eq!(found("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {image: a/b:1, containers: [{image: x}]}"), []);
        let custom = "apiVersion: x.io/v1\nkind: X\nspec: {image: a/b:1, baseImage: c/d, other: e/f, proxy: {registry: r.io, repository: g/h, tag: v1}, logo: {image: plain}}";
        let want = [("/spec/baseImage", "c/d"), ("/spec/image", "a/b:1"), ("/spec/proxy", "r.io/g/h:v1")];
        assert_eq!(found(custom), want.map(|(pointer, image)| (pointer.to_owned(), image.to_owned())));
    }
}
