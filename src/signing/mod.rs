//! Keys in cosign's formats and Sigstore bundles made with them; implements `archive::Signer` and `archive::Verifier`.
//!
//! The bundle (v0.3, a message signature by a key) is read and written with types of our own: sigstore-types refuses cosign's bundles by
//! Ed25519 keys, and sigstore-bundle's checks refuse every bundle without a log entry or a time stamp, which is what works offline.

mod attached;
mod bundle;
mod encrypted;
mod error;
mod private;
mod public;
mod source;
mod trusted;

pub use attached::{AttachedError, bundled, simple_signing};
pub use bundle::hint;
pub use error::{BundleError, KeyError};
pub use private::{PrivateKey, Signers};
pub use public::PublicKey;
pub use source::{KeySource, KeySourceError};
pub use trusted::TrustedKeys;

/// The largest key file that is read, in bytes.
pub const KEY_MAX: u64 = 64 << 10;
