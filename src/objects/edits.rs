//! What has to be written where, so that an object names other images.

use std::{collections::BTreeMap, ops::Range};

use serde_json::Value;

use super::{
    embedded,
    walk::{ImageSlot, SlotKind},
};

/// New texts by JSON pointer.
#[derive(Debug, Default)]
pub struct Edits {
    whole: BTreeMap<String, String>,
    parts: BTreeMap<String, Parts>,
    added: BTreeMap<String, String>,
}

/// Replacements within one text.
#[derive(Debug, Default)]
struct Parts {
    base64: bool,
    ranges: Vec<(Range<usize>, String)>,
}

impl Edits {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the image of a slot another name.
    pub fn rename(&mut self, slot: &ImageSlot, image: &str) {
        match &slot.kind {
            SlotKind::Container | SlotKind::Volume | SlotKind::Field => self.replace(slot.pointer.clone(), image.to_owned()),
            SlotKind::Derived => {
                self.added.insert(slot.pointer.clone(), image.to_owned());
            }
            SlotKind::Text { range, base64 } => {
                let parts = self.parts.entry(slot.pointer.clone()).or_default();
                parts.base64 = *base64;
                if !parts.ranges.iter().any(|(other, _)| other.start < range.end && range.start < other.end) {
                    parts.ranges.push((range.clone(), image.to_owned()));
                }
            }
            SlotKind::Group { registry, repository, tag, digest } => {
                let parts = [registry.as_deref(), Some(repository), tag.as_deref(), digest.as_deref()];
                self.group(&slot.pointer, parts, image);
            }
        }
    }

    fn group(&mut self, pointer: &str, [registry, repository, tag, digest]: [Option<&str>; 4], image: &str) {
        let (name, new_digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        let colon = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
        let (path, new_tag) = colon.map_or((name, None), |colon| (&name[..colon], Some(&name[colon + 1..])));
        let mut write = |key: Option<&str>, text: Option<&str>| {
            if let (Some(key), Some(text)) = (key, text) {
                self.whole.insert(format!("{pointer}/{key}"), text.to_owned());
            }
        };
        match path.split_once('/').filter(|_| registry.is_some()) {
            Some((host, rest)) => {
                write(registry, Some(host));
                write(repository, Some(rest));
            }
            None => write(repository, Some(path)),
        }
        write(tag, new_tag);
        write(digest, new_digest);
    }

    /// Replaces a text.
    pub fn replace(&mut self, pointer: String, text: String) {
        self.whole.insert(pointer, text);
    }

    /// Adds a text where none is; what is above it must be there.
    pub fn add(&mut self, pointer: String, text: String) {
        self.added.insert(pointer, text);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty() && self.added.is_empty()
    }

    /// Texts to replace and texts to add, whole ones, for an object as it is.
    pub fn resolve(self, value: &Value) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let Self { mut whole, parts, added } = self;
        for (pointer, Parts { base64, mut ranges }) in parts {
            let Some(written) = value.pointer(&pointer).and_then(Value::as_str) else { continue };
            let text = if base64 { embedded::decode(written) } else { Some(written.to_owned()) };
            let Some(mut text) = text else { continue };
            ranges.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
            for (range, new) in ranges {
                text.replace_range(range, &new);
            }
            whole.insert(pointer, if base64 { embedded::encode(&text) } else { text });
        }
        (whole, added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{goyaml, objects::image_slots};

    fn renamed(text: &str, to: &str) -> Vec<(String, String)> {
        let value = goyaml::parse(text).unwrap();
        let mut edits = Edits::new();
        for slot in image_slots(&value) {
            edits.rename(&slot, to);
        }
        edits.resolve(&value).0.into_iter().collect()
    }

    #[test]
    fn groups_are_edited_by_part() {
        let got = renamed("apiVersion: x.io/v1\nkind: X\nspec: {registry: r.io, repository: g/h, tag: v1}", "m.corp:5000/x/g/h:v1");
        let want = [("/spec/registry", "m.corp:5000"), ("/spec/repository", "x/g/h"), ("/spec/tag", "v1")];
        assert_eq!(got, want.map(|(pointer, text)| (pointer.to_owned(), text.to_owned())));
    }

    #[test]
    fn texts_are_edited_where_the_reference_stands() {
        let text = "apiVersion: v1\nkind: ConfigMap\ndata: {a: 'x quay.io/a/b:1, quay.io/a/c:1.'}";
        assert_eq!(renamed(text, "r/n:1"), [("/data/a".to_owned(), "x r/n:1, r/n:1.".to_owned())]);
        let secret = format!("apiVersion: v1\nkind: Secret\ndata: {{a: {}}}", embedded::encode("quay.io/a/b:1"));
        assert_eq!(renamed(&secret, "r.io/n:1"), [("/data/a".to_owned(), embedded::encode("r.io/n:1"))]);
    }
}
