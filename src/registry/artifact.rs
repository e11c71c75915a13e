//! What is in a registry besides images: small blobs of artifacts such as charts.

use bytes::Bytes;

use super::{Problem, Registries, RegistryError, blob::Memory};
use crate::oci::{Descriptor, Reference};

impl Registries {
    /// A blob of an artifact, whole, and held against its digest.
    pub async fn content(&self, artifact: &Reference, blob: &Descriptor, max: u64) -> Result<Bytes, RegistryError> {
        let target = self.target(artifact, "pull")?;
        let failed = |problem| target.error("pull", Some(&blob.digest), problem);
        if blob.size > max {
            return Err(failed(Problem::TooLarge { size: blob.size, max }));
        }
        let mut memory = Memory::default();
        self.blob(&target, blob, &mut memory).await.map_err(failed)?;
        Ok(memory.0.into())
    }
}
