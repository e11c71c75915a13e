//! Descriptors: what something is, its digest and its size (image-spec, descriptor.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Platform};

/// Annotation keys that we read or write.
pub mod annotation {
    /// The name of an image in a layout (image-spec, annotations.md).
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The full name under which containerd imports an image (containerd, images/annotations.go).
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// The name of a chart, file or other thing of ours that is not an image. Ours.
    pub const NAME: &str = "dev.offline.name";
    /// Digest of what an attachment is about: an image, or another attachment. Ours.
    pub const SUBJECT: &str = "dev.offline.subject";
    /// The version of the archive format. Ours.
    pub const FORMAT: &str = "dev.offline.format";
    /// Title of a blob, a file name (image-spec, annotations.md).
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// Version of what is packaged (image-spec, annotations.md).
    pub const VERSION: &str = "org.opencontainers.image.version";
}

/// A typed link to content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Kind of an artifact, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Which machines can run it, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where else the content may be had (foreign layers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes bytes in memory.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor with nothing optional set.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, artifact_type: None, platform: None, urls: Vec::new(), annotations: BTreeMap::new() }
    }

    /// The same with an annotation.
    #[must_use]
    pub fn with_annotation(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}
