//! Images that a `CustomResourceDefinition` gives to resources which name none: defaults of its schema (Kubernetes' handbook on
//! custom resources, "Defaulting"). The API server writes them into the resource, and the operator runs them.

use serde_json::{Map, Value};

use super::{
    mention::{self, Care},
    walk::{ImageSlot, MAX_DEPTH, SlotKind, SlotSource, escape, group},
};
use crate::oci::Reference;

/// Keys after which a definition's text may have an image, or the first part of one.
const KEYS: [&str; 3] = ["default", "image", "repository"];

/// Whether the text of a definition may hold such a default. Definitions are larger than all the rest of a chart and few have one, so those are not
/// parsed.
pub fn may_default_an_image(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches([' ', '-', '"']);
        let rest = KEYS.iter().find_map(|key| line.strip_prefix(key));
        let Some(value) = rest.and_then(|rest| rest.trim_start_matches('"').strip_prefix(':')) else { return false };
        let value = value.trim_matches([' ', '"', '\'', ',']);
        value.contains(['/', ':']) && (value.starts_with('{') || value.parse::<Reference>().is_ok())
    })
}

/// The defaults of a definition's schemas that are images.
pub(super) fn slots(definition: &Map<String, Value>, pointer: &str, slots: &mut Vec<ImageSlot>) {
    let Some(spec) = definition.get("spec") else { return };
    let kind = spec.pointer("/names/kind").and_then(Value::as_str).unwrap_or("resource");
    let mut walk = Walk { kind, slots };
    let mut schema = |at: &str| {
        if let Some(schema) = spec.pointer(at) {
            walk.schema(schema, &format!("{pointer}/spec{at}"), "", 0);
        }
    };
    schema("/validation/openAPIV3Schema");
    for version in 0..spec.get("versions").and_then(Value::as_array).map_or(0, Vec::len) {
        schema(&format!("/versions/{version}/schema/openAPIV3Schema"));
    }
}

struct Walk<'a> {
    /// What the definition defines.
    kind: &'a str,
    slots: &'a mut Vec<ImageSlot>,
}

impl Walk<'_> {
    /// A schema, where it stands, and the field that it describes, as in `spec.image`.
    fn schema(&mut self, schema: &Value, pointer: &str, field: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(Value::Object(properties)) = schema.get("properties") {
            self.parts(properties, &format!("{pointer}/properties"), field);
            for (name, property) in properties {
                let at = format!("{pointer}/properties/{}", escape(name));
                let field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
                if let Some(default) = property.get("default") {
                    self.default(default, name, &format!("{at}/default"), &field, depth + 1);
                }
                self.schema(property, &at, &field, depth + 1);
            }
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(schema) = schema.get(inner) {
                self.schema(schema, &format!("{pointer}/{inner}"), field, depth + 1);
            }
        }
    }

    /// A default, of a field or of what the field is in.
    fn default(&mut self, default: &Value, name: &str, pointer: &str, field: &str, depth: usize) {
        match default {
            Value::String(image) if is_image(name, image) => self.push(image.clone(), SlotKind::Field, pointer, field),
            Value::Object(fields) if depth <= MAX_DEPTH => {
                for (name, value) in fields {
                    self.default(value, name, &format!("{pointer}/{}", escape(name)), &format!("{field}.{name}"), depth + 1);
                }
            }
            _ => {}
        }
    }

    /// `repository` and `tag` side by side, each with a default.
    fn parts(&mut self, properties: &Map<String, Value>, pointer: &str, field: &str) {
        let text = |property: &Value| property.get("default").filter(|default| default.is_string()).cloned();
        let defaults = properties.iter().filter_map(|(name, property)| Some((name.clone(), text(property)?))).collect();
        if let Some(ImageSlot { image, kind: SlotKind::Group { registry, repository, tag, digest }, .. }) = group(&defaults, pointer) {
            let at = |key: String| format!("{key}/default");
            let kind = SlotKind::Group { registry: registry.map(at), repository: at(repository), tag: tag.map(at), digest: digest.map(at) };
            self.push(image, kind, pointer, field);
        }
    }

    fn push(&mut self, image: String, kind: SlotKind, pointer: &str, field: &str) {
        let doubt = Some(format!("a {} that leaves {field} out gets it", self.kind));
        self.slots.push(ImageSlot { pointer: pointer.to_owned(), image, kind, source: SlotSource::Operator, pull_policy: None, doubt });
    }
}

fn is_image(name: &str, text: &str) -> bool {
    let host = text.split_once('/').is_some_and(|(host, _)| mention::is_registry(host));
    mention::names_image(name) && (mention::shape(text, Care::Named).is_some() || (host && text.parse::<Reference>().is_ok()))
}

#[cfg(test)]
mod tests {
    use crate::{
        goyaml,
        objects::{Edits, edit, image_slots},
    };

    const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: brokers.example.com}
spec:
  group: example.com
  names: {kind: Broker}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
          spec:
            properties:
              image: {type: string, default: 'rabbitmq:3.8.21-management'}
              docker_image: {type: string, default: ghcr.io/acme/spilo}
              imagePullPolicy: {type: string, default: IfNotPresent}
              logo: {type: string, default: 'acme/logo:1.0'}
              sidecars:
                items:
                  properties:
                    repository: {default: docker.io/acme/side}
                    tag: {default: v2}
              exporter: {default: {image: 'acme/exporter:1.2'}}
";

    #[test]
    fn what_a_definition_gives_to_resources_without_an_image() {
        let slots = image_slots(&goyaml::parse(DEFINITION).unwrap());
        let found: Vec<(&str, &str)> = slots.iter().map(|slot| (slot.image.as_str(), slot.doubt.as_deref().unwrap())).collect();
        let want = [
            ("ghcr.io/acme/spilo", "a Broker that leaves spec.docker_image out gets it"),
            ("acme/exporter:1.2", "a Broker that leaves spec.exporter.image out gets it"),
            ("rabbitmq:3.8.21-management", "a Broker that leaves spec.image out gets it"),
            ("docker.io/acme/side:v2", "a Broker that leaves spec.sidecars out gets it"),
        ];
        assert_eq!(found, want);
        assert!(super::may_default_an_image(DEFINITION));
    }

    #[test]
    fn defaults_are_renamed_where_they_stand() {
        let value = goyaml::parse(DEFINITION).unwrap();
        let mut edits = Edits::new();
        for slot in image_slots(&value) {
            edits.rename(&slot, &format!("registry.example.com/{}", slot.image.trim_start_matches("docker.io/")));
        }
        let (replaced, added) = edits.resolve(&value);
        assert!(added.is_empty());
        let text = edit::replace(DEFINITION, &replaced).unwrap();
        let renamed = image_slots(&goyaml::parse(&text).unwrap());
        let images: Vec<&str> = renamed.iter().map(|slot| slot.image.as_str()).collect();
        assert_eq!(
            images,
            [
                "registry.example.com/ghcr.io/acme/spilo",
                "registry.example.com/acme/exporter:1.2",
                "registry.example.com/rabbitmq:3.8.21-management",
                "registry.example.com/acme/side:v2"
            ]
        );
    }

    #[test]
    fn definitions_without_such_a_default_need_not_be_parsed() {
        assert!(!super::may_default_an_image("properties:\n  image:\n    description: a/b\n  port:\n    default: 80\n"));
        for text in ["  default: a/b", "- default: 'a/b'", "\"default\": \"a/b\",", "image: a/b:1", "  repository: x.io/a", "default: rabbitmq:3.8"] {
            assert!(super::may_default_an_image(text), "{text}");
        }
    }
}
