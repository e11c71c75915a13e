//! The names that entries may have, and no others.

use crate::oci::Digest;

/// The marker of an OCI layout (image-spec, image-layout.md).
pub(crate) const LAYOUT: &str = "oci-layout";
/// What `oci-layout` holds; always these bytes.
pub(crate) const LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The table of contents, which the signature covers.
pub const INDEX: &str = "index.json";
/// The signature over the bytes of index.json.
pub const SIGNATURE: &str = "index.json.sigstore.json";
/// Docker's own list, for Docker before 25.
pub(crate) const DOCKER_LIST: &str = "manifest.json";

/// What an entry is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Layout,
    Index,
    Signature,
    /// `index.json.N.sigstore.json`, N from 1 to 9.
    FurtherSignature(u8),
    DockerList,
    Blob(Digest),
}

impl Name {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            LAYOUT => Some(Self::Layout),
            INDEX => Some(Self::Index),
            SIGNATURE => Some(Self::Signature),
            DOCKER_LIST => Some(Self::DockerList),
            _ => {
                if let Some(hex) = name.strip_prefix("blobs/sha256/") {
                    return format!("sha256:{hex}").parse().ok().map(Self::Blob);
                }
                let number = name.strip_prefix("index.json.")?.strip_suffix(".sigstore.json")?;
                match number.as_bytes() {
                    [digit @ b'1'..=b'9'] => Some(Self::FurtherSignature(digit - b'0')),
                    _ => None,
                }
            }
        }
    }

    pub(crate) fn is_signature(&self) -> bool {
        matches!(self, Self::Signature | Self::FurtherSignature(_))
    }
}

/// The entry that holds a further signature, with a number from 1 to 9.
pub(crate) fn further_signature(number: usize) -> String {
    format!("index.json.{number}.sigstore.json")
}

/// Whether it is one of those.
pub(crate) fn is_further_signature(name: &str) -> bool {
    matches!(Name::parse(name), Some(Name::FurtherSignature(_)))
}

/// The entry that holds a blob.
pub(crate) fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
