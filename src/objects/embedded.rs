//! Documents and texts inside `ConfigMap`s and `Secret`s: pod templates that an operator applies, settings, scripts.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    mention::{self, Care},
    walk::{ImageSlot, SlotKind, SlotSource, embedded_slots, escape},
};
use crate::goyaml;

/// Larger texts are no settings.
const TEXT_MAX: usize = 512 << 10;
/// Documents of one text that are looked at.
const DOCUMENTS_MAX: usize = 500;
/// Texts inside texts inside texts.
const DEPTH_MAX: usize = 3;

/// An image in a text.
struct Found {
    range: Range<usize>,
    image: String,
    source: SlotSource,
    doubt: Option<String>,
}

/// What the entries of a `ConfigMap` or `Secret` name.
pub(super) fn slots(map: &Map<String, Value>, kind: &str, pointer: &str, slots: &mut Vec<ImageSlot>) {
    for field in ["data", "stringData"] {
        let Some(Value::Object(entries)) = map.get(field) else { continue };
        let base64 = kind == "Secret" && field == "data";
        for (key, value) in entries {
            let Some(written) = value.as_str().filter(|text| text.len() <= 2 * TEXT_MAX) else { continue };
            let decoded;
            let text = if base64 {
                let Some(text) = decode(written) else { continue };
                decoded = text;
                decoded.as_str()
            } else {
                written
            };
            if text.len() > TEXT_MAX {
                continue;
            }
            let pointer = format!("{pointer}/{field}/{}", escape(key));
            slots.extend(images(key, text, 0).into_iter().map(|found| ImageSlot {
                pointer: pointer.clone(),
                image: found.image,
                kind: SlotKind::Text { range: found.range, base64 },
                source: found.source,
                pull_policy: None,
                doubt: found.doubt,
            }));
        }
    }
}

/// The text that a value of a Secret stands for.
pub(super) fn decode(written: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(written.trim()).ok()?).ok()
}

/// The value of a Secret that stands for a text.
pub(super) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Documents first, and then what is mentioned besides.
fn images(key: &str, text: &str, depth: usize) -> Vec<Found> {
    let mut found = if speaks_of_images(text) { in_documents(text, depth) } else { Vec::new() };
    let care = if mention::names_image(key) && !text.contains('\n') { Care::Named } else { Care::Prose };
    for mention in mention::mentions(text, care) {
        if !found.iter().any(|known| known.range.start < mention.range.end && mention.range.start < known.range.end) {
            let image = text[mention.range.clone()].to_owned();
            found.push(Found { range: mention.range, image, source: SlotSource::Text, doubt: Some(format!("the entry {key} mentions it: {}", mention.why)) });
        }
    }
    found
}

/// Whether there is a key that has to do with images. Most large texts are dashboards and rules, which are not worth parsing.
fn speaks_of_images(text: &str) -> bool {
    text.match_indices("mage").any(|(at, word)| {
        let rest = text[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        rest.trim_start_matches(['"', '\'', ' ']).starts_with(':')
    })
}

fn in_documents(text: &str, depth: usize) -> Vec<Found> {
    let mut found = Vec::new();
    for part in documents(text).into_iter().take(DOCUMENTS_MAX) {
        let document = &text[part.clone()];
        let Ok(node) = goyaml::parse_nodes(document) else { continue };
        let Ok(value) = node.to_value() else { continue };
        if !value.is_object() && !value.is_array() {
            continue;
        }
        for slot in embedded_slots(&value) {
            let place = node.at(&slot.pointer).map(|node| node.span.start..node.span.end);
            // Only what stands there in so many words can be replaced.
            let range = place.and_then(|place| single(document, &place, &slot.image));
            if let (Some(range), false) = (range, matches!(slot.kind, SlotKind::Group { .. } | SlotKind::Derived)) {
                found.push(Found { range: part.start + range.start..part.start + range.end, image: slot.image, source: slot.source, doubt: slot.doubt });
            }
        }
        if depth < DEPTH_MAX {
            inner(&value, &node, document, depth, part.start, &mut found, "");
        }
    }
    found
}

/// Texts in the document that are documents again.
fn inner(value: &Value, root: &goyaml::Node, document: &str, depth: usize, offset: usize, found: &mut Vec<Found>, pointer: &str) {
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| inner(item, root, document, depth, offset, found, &format!("{pointer}/{i}"))),
        Value::Object(map) => map.iter().for_each(|(key, item)| inner(item, root, document, depth, offset, found, &format!("{pointer}/{}", escape(key)))),
        Value::String(text) if text.contains('\n') && speaks_of_images(text) => {
            let Some(place) = root.at(pointer).map(|node| node.span.start..node.span.end) else { return };
            for image in in_documents(text, depth + 1) {
                // Which of its appearances it is; indentation does not touch it.
                let nth = appearances(text, &image.image).iter().position(|at| *at == image.range.start);
                let outer = appearances(&document[place.clone()], &image.image);
                let range = nth.and_then(|nth| outer.get(nth)).map(|at| offset + place.start + at);
                if let Some(start) = range.filter(|_| outer.len() == appearances(text, &image.image).len()) {
                    found.push(Found { range: start..start + image.image.len(), ..image });
                }
            }
        }
        _ => {}
    }
}

/// Where a document ends: at a line that begins with `---`.
fn documents(text: &str) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            parts.push(start..at);
            start = at + line.len();
        }
        at += line.len();
    }
    parts.push(start..at);
    parts.retain(|part| !text[part.clone()].trim().is_empty());
    parts
}

fn single(document: &str, place: &Range<usize>, image: &str) -> Option<Range<usize>> {
    match appearances(document.get(place.clone())?, image).as_slice() {
        [at] => Some(place.start + at..place.start + at + image.len()),
        _ => None,
    }
}

fn appearances(text: &str, word: &str) -> Vec<usize> {
    text.match_indices(word).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use crate::{goyaml, objects::image_slots};

    fn found(text: &str) -> Vec<(String, bool)> {
        image_slots(&goyaml::parse(text).unwrap()).into_iter().map(|slot| (slot.image, slot.doubt.is_none())).collect()
    }

    #[test]
    fn objects_inside_config_maps() {
        let text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  jobs.yaml: |\n    apiVersion: batch/v1\n    kind: Job\n    spec: {template: {spec: {containers: [{name: a, image: 'busybox:1'}]}}}\n    ---\n    executor: {image: quay.io/a/exec:v1, logo: x/y}\n  run.sh: |\n    docker run ghcr.io/a/tool:2 sh\n    echo http://x/y:1 a/b:1\n  dashboard: '{\"expr\":\"container{image!=\\\"\\\"} foo/bar:1.2\"}'\n";
        let want = [("busybox:1", true), ("quay.io/a/exec:v1", false), ("ghcr.io/a/tool:2", false)];
        let mut got = found(text);
        got.sort_by_key(|(image, _)| want.iter().position(|(name, _)| name == image));
        assert_eq!(got, want.map(|(image, sure)| (image.to_owned(), sure)));
    }

    #[test]
    fn secrets_and_texts_in_texts() {
        let pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: redis:7\n";
        let encoded = super::encode(pod);
        assert_eq!(found(&format!("apiVersion: v1\nkind: Secret\ndata: {{pod: {encoded}}}")), [("redis:7".to_owned(), true)]);
        let indented: String = pod.lines().flat_map(|line| ["      ", line, "\n"]).collect();
        let nested = format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  a.yaml: |\n    image:\n    pod: |\n{indented}");
        assert_eq!(found(&nested), [("redis:7".to_owned(), true)]);
        assert_eq!(found("apiVersion: v1\nkind: ConfigMap\ndata: {t: 'spec: {containers: [{image: \"{{ .hub }}/x\"}]}'}"), []);
    }
}
