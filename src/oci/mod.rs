//! The nouns of the OCI specifications: digests, descriptors, references, platforms, manifests.
//!
//! Nothing here does I/O. Every type checks its shape when it is made, so that the rest of the program may rely on it.

mod descriptor;
mod digest;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use descriptor::{Descriptor, annotation};
pub use digest::{Digest, DigestError, HashingReader};
pub use manifest::{ImageConfig, Index, MANIFEST_MAX, Manifest, ManifestError, ManifestKind, RootFs};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
