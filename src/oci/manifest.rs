//! Manifests, indexes and image configs: the parts that we read (image-spec, manifest.md, image-index.md, config.md).
//!
//! Bytes from a registry are kept as they are; these types are for looking into them, never for writing them anew.

use serde::{Deserialize, Serialize};

use super::{Descriptor, media_type};

/// The largest manifest or config that is read into memory, in bytes. The distribution specification asks for 4 MiB.
pub const MANIFEST_MAX: u64 = 4 << 20;

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type; OCI allows leaving it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Kind of artifact, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's config.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// What this is about (signatures, SBOMs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// An index: one image for several platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own media type; OCI allows leaving it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests, one a platform, or further indexes.
    pub manifests: Vec<Descriptor>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// The root file system part of an image config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Digests of the layers when not compressed, base first.
    #[serde(default)]
    pub diff_ids: Vec<super::Digest>,
}

/// The parts of an image config that we read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `GOARCH` of the image.
    #[serde(default)]
    pub architecture: String,
    /// `GOOS` of the image.
    #[serde(default)]
    pub os: String,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// When the image was made, as it says (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The layers' contents.
    #[serde(default = "no_rootfs")]
    pub rootfs: RootFs,
}

fn no_rootfs() -> RootFs {
    RootFs { diff_ids: Vec::new() }
}

/// What a document with a digest turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, looked at and taken apart at once")]
pub enum ManifestKind {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of the wanted shape.
    #[error("it is no image manifest: {0}")]
    Json(#[source] serde_json::Error),
    /// Docker's first format, without content digests for its configs.
    #[error("it is a schema 1 manifest, which registries and runtimes no longer accept; push the image again with a current tool")]
    Schema1,
    /// Neither manifest nor index.
    #[error("its media type is `{0}`, which is no image")]
    MediaType(String),
}

impl ManifestKind {
    /// Reads a manifest or an index; `media_type` is what the registry or the descriptor said, if anything.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            schema_version: Option<u32>,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if head.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        // What the document says of itself is covered by its digest; a header is not.
        let said = head.media_type.as_deref().or(media_type).unwrap_or(if head.manifests.is_some() { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST });
        if media_type::is_index(said) {
            serde_json::from_slice(bytes).map(Self::Index).map_err(ManifestError::Json)
        } else if media_type::is_manifest(said) {
            serde_json::from_slice(bytes).map(Self::Manifest).map_err(ManifestError::Json)
        } else {
            Err(ManifestError::MediaType(said.to_owned()))
        }
    }
}
