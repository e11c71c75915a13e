//! Registries: credentials, resolving references, pulling manifests and layers.
//!
//! Several hosts with options of their own, mirrors, typed failures, retries that go on where a transfer broke, and bounds on how much is asked
//! at a time. From `oci-client` come the errors that registries tell.

mod artifact;
mod blob;
mod catalog;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod host;
mod image;
mod login;
mod pool;
mod tags;
mod web;

pub use blob::BlobSink;
pub use credentials::{CredentialError, account};
pub use endpoint::{HostOptions, is_loopback};
pub use error::{Problem, RegistryError};
pub use host::Patience;
pub use image::{Documents, Image, ImageError, gather};
pub use login::{Kept, forget, keep};
pub use pool::{Registries, RemoteImage, Turn};
