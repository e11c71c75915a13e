//! The base of a delta archive: what holds the layers that were left out. Who it is, and which layers, is in index.json, and so it is signed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write as _,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::oci::Digest;

/// Annotation of index.json: what kind of thing the base is.
const KIND: &str = "dev.offline.base.kind";
/// The digest of what the base is known by.
const DIGEST: &str = "dev.offline.base.digest";
/// Its name.
const NAME: &str = "dev.offline.base.name";
/// Its version.
const VERSION: &str = "dev.offline.base.version";
/// Digest of the list of blobs that were left out.
const BLOBS: &str = "dev.offline.base.blobs";

/// What kind of thing a base is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BaseKind {
    /// Another archive, known by the digest of its index.json.
    Archive,
    /// A list of what is on the other side, an inventory of nodes or a delivery.lock, known by the digest of its file.
    Inventory,
}

/// Who the base of an archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// What it is.
    pub kind: BaseKind,
    /// Digest of its index.json, or of the list's file.
    pub digest: Digest,
    /// Name of its delivery, or of the list's file.
    pub name: String,
    /// Version of its delivery; none for a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.version) {
            (BaseKind::Archive, Some(version)) => write!(f, "{} {version} ({})", self.name, self.digest),
            (BaseKind::Archive, None) => write!(f, "{} ({})", self.name, self.digest),
            (BaseKind::Inventory, _) => write!(f, "the inventory {} ({})", self.name, self.digest),
        }
    }
}

/// A base, and what it is expected to hold.
#[derive(Debug, Clone)]
pub struct Held {
    /// Who it is.
    pub base: Base,
    /// Blobs that it holds.
    pub blobs: BTreeSet<Digest>,
}

impl Base {
    /// As index.json says it.
    pub(crate) fn annotations(&self, left_out: &BTreeMap<Digest, u64>) -> BTreeMap<String, String> {
        let kind = match self.kind {
            BaseKind::Archive => "archive",
            BaseKind::Inventory => "inventory",
        };
        let version = self.version.iter().map(|version| (VERSION, version.clone()));
        let all = [(KIND, kind.to_owned()), (DIGEST, self.digest.to_string()), (NAME, self.name.clone()), (BLOBS, list_digest(left_out).to_string())];
        all.into_iter().chain(version).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// What index.json says, and the digest of the list of what was left out; nothing if the archive is whole.
    pub(crate) fn read(annotations: &BTreeMap<String, String>) -> Result<Option<(Self, Digest)>, Fault> {
        let get = |key: &str| annotations.get(key);
        if [KIND, DIGEST, NAME, VERSION, BLOBS].iter().all(|key| get(key).is_none()) {
            return Ok(None);
        }
        let wrong = |key: &str| Fault::Format(format!("its annotation {key} is missing, or not what the format says"));
        let digest = |key: &str| get(key).and_then(|text| text.parse().ok()).ok_or_else(|| wrong(key));
        let plain = |key: &str, text: &String| {
            if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) { Err(wrong(key)) } else { Ok(text.clone()) }
        };
        let kind = match get(KIND).map(String::as_str) {
            Some("archive") => BaseKind::Archive,
            Some("inventory") => BaseKind::Inventory,
            _ => return Err(wrong(KIND)),
        };
        let name = plain(NAME, get(NAME).ok_or_else(|| wrong(NAME))?)?;
        let version = get(VERSION).map(|text| plain(VERSION, text)).transpose()?;
        Ok(Some((Self { kind, digest: digest(DIGEST)?, name, version }, digest(BLOBS)?)))
    }
}

/// The digest over what was left out: a line for each blob, sorted, as `sha256:HEX SIZE`.
///
/// Without it anybody could take more layers out of a signed archive, and it would still look like one that was made so.
pub(crate) fn list_digest(left_out: &BTreeMap<Digest, u64>) -> Digest {
    let mut text = String::new();
    for (digest, size) in left_out {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{digest} {size}");
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_read_back_and_nothing_may_be_missing() {
        let base = Base { kind: BaseKind::Archive, digest: Digest::of(b"index"), name: "shop".into(), version: Some("1.0".into()) };
        let left_out = BTreeMap::from([(Digest::of(b"a"), 1)]);
        let all = base.annotations(&left_out);
        assert_eq!(Base::read(&all).unwrap(), Some((base, list_digest(&left_out))));
        assert_eq!(Base::read(&BTreeMap::new()).unwrap(), None);
        for key in [KIND, DIGEST, NAME, BLOBS] {
            let mut less = all.clone();
            less.remove(key);
            assert!(Base::read(&less).unwrap_err().to_string().contains(key));
            less.insert(key.to_owned(), "\u{1b}[2J".to_owned());
            assert!(Base::read(&less).is_err(), "{key}");
        }
    }

    #[test]
    fn the_list_is_what_the_specification_says() {
        let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
        let text = format!("{b} 2\n{a} 1\n");
        assert!(b < a);
        assert_eq!(list_digest(&BTreeMap::from([(a, 1), (b, 2)])), Digest::of(text.as_bytes()));
    }
}
