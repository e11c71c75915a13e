//! `OpenPGP` as far as a signed text needs it: keyrings, and cleartext signatures by keys in them (RFC 4880, RFC 9580). Nothing is signed, nothing
//! is decrypted.
//!
//! What counts as a good signature, and what is said where there is none, follows github.com/ProtonMail/go-crypto, which Helm uses. RSA, DSA,
//! ECDSA (P-256, P-384, P-521) and Ed25519; other keys in a ring are passed over.

mod armor;
mod cleartext;
mod dsa;
mod key;
mod keyring;
mod packet;
mod signature;

pub use cleartext::Cleartext;
pub use keyring::{Keyring, Signer};

/// Why a keyring cannot be read, or a signature is not good; go-crypto's words (openpgp/errors/errors.go).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgpError {
    /// Not what the format demands.
    #[error("openpgp: invalid data: {0}")]
    Structural(String),
    /// Allowed, and not known here.
    #[error("openpgp: unsupported feature: {0}")]
    Unsupported(String),
    /// It ends too soon.
    #[error("unexpected EOF")]
    Cut,
    /// Not made by the key, or not over this.
    #[error("openpgp: invalid signature: {0}")]
    Signature(&'static str),
    /// A signature with a notation that must be understood.
    #[error("openpgp: invalid signature: unknown critical notation: {0}")]
    Notation(String),
    /// Key and signature do not fit.
    #[error("openpgp: invalid argument: {0}")]
    Argument(&'static str),
    /// Its time is over, or has not come.
    #[error("openpgp: signature expired")]
    SignatureExpired,
    /// The key's time is over, or has not come.
    #[error("openpgp: key expired")]
    KeyExpired,
    /// The key was taken back.
    #[error("openpgp: signature made by revoked key")]
    KeyRevoked,
    /// No key of the ring made it.
    #[error("openpgp: signature made by unknown entity")]
    UnknownIssuer,
}

fn structural(what: impl Into<String>) -> PgpError {
    PgpError::Structural(what.into())
}

fn unsupported(what: impl Into<String>) -> PgpError {
    PgpError::Unsupported(what.into())
}
