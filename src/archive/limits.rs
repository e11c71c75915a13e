//! How much a reader takes from an archive that nobody has vouched for yet.

use crate::oci::MANIFEST_MAX;

/// Upper bounds of what is read.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries in the tar.
    pub entries: usize,
    /// Bytes of index.json, of a manifest and of a config, each.
    pub document: u64,
    /// Bytes of manifest.json.
    pub docker_list: u64,
    /// Bytes of all documents together.
    pub documents: u64,
    /// Bytes of a layer.
    pub layer: u64,
    /// Bytes of one signature.
    pub signature: u64,
    /// Further signatures.
    pub signatures: usize,
    /// Indexes within indexes.
    pub depth: usize,
    /// Bytes of a blob that is read into memory.
    pub read: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            document: MANIFEST_MAX,
            docker_list: 16 << 20,
            documents: 128 << 20,
            layer: 1 << 40,
            signature: 64 << 10,
            signatures: 9,
            depth: 4,
            read: 64 << 20,
        }
    }
}
