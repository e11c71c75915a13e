//! Registries: credentials, resolving references, pulling manifests and layers.
//!
//! Several hosts with options of their own, mirrors, typed failures, retries that go on where a transfer broke, and bounds on how much is asked
//! at a time. From `oci-client` come the errors that registries tell.

mod artifact;
mod attachments;
mod blob;
mod catalog;
mod challenge;
mod credentials;
mod endpoint;
mod error;
mod helper;
mod host;
mod image;
mod login;
mod pool;
mod reach;
mod secure;
mod store;
mod tags;
mod web;

pub use attachments::{Attachment, Attachments, Attested};
pub use blob::{BlobSink, Memory};
pub use credentials::{CredentialError, account};
pub use endpoint::{HostOptions, is_loopback};
pub use error::{Problem, RegistryError};
pub use host::Patience;
pub use image::{Documents, Image, ImageError, gather};
pub use login::{Kept, forget, keep};
pub use pool::{Registries, RemoteImage, Turn};
pub use reach::Reach;
pub(crate) use secure::through;
