//! Registries: credentials, resolving references, pulling manifests and layers.
//!
//! The protocol is `oci-client`'s; around it stand what it leaves out: several hosts with options of their own, mirrors, typed failures,
//! retries that go on where a transfer broke, and bounds on how much is asked at a time.

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
mod store;
mod tags;
mod web;

pub use blob::BlobSink;
pub use credentials::{CredentialError, account};
pub use endpoint::{HostOptions, is_loopback};
pub use error::{Problem, RegistryError};
pub use image::{Documents, Image, ImageError, gather};
pub use login::{Kept, forget, keep};
pub use pool::{Registries, RemoteImage};
