//! Who vouches for an archive. `signing` implements both traits.

use std::{error::Error, fmt};

use serde::Serialize;

/// Makes signatures.
pub trait Signer {
    /// A Sigstore bundle, as JSON, with the signature over the payload. The same payload gives the same bundle.
    fn sign(&self, payload: &[u8]) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// Checks signatures.
pub trait Verifier: Send + Sync {
    /// Checks one Sigstore bundle over the payload. Ok only if a trusted key made it over exactly these bytes.
    fn verify(&self, payload: &[u8], bundle: &str) -> Result<SignedBy, Box<dyn Error + Send + Sync>>;
}

/// Which trusted key made a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// SHA-256 of the public key (DER, `SubjectPublicKeyInfo`), as `sha256:…`.
    pub fingerprint: String,
}

/// Whom to trust. There is no default: whoever opens an archive has to say.
pub enum Trust {
    /// A signature by one of the verifier's keys is wanted.
    Keys(Box<dyn Verifier>),
    /// A person said that no signature is needed. One that is there is not looked at.
    AllowUnsigned,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::AllowUnsigned => "AllowUnsigned",
        })
    }
}

/// What was found out about an archive's signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "standing")]
pub enum Standing {
    /// A trusted key has signed it.
    Signed {
        /// Whose key.
        by: SignedBy,
        /// The entry that holds the signature.
        entry: String,
    },
    /// It carries signatures, but nobody asked for them to be checked.
    Unchecked,
    /// It carries none.
    Unsigned,
}
