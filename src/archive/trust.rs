//! Who vouches for an archive. `signing` implements both traits.

use std::{error::Error, fmt};

use schemars::JsonSchema;
use serde::Serialize;

/// Makes signatures.
pub trait Signer {
    /// A Sigstore bundle, as JSON, with the signature over the payload. The same payload gives the same bundle.
    fn sign(&self, payload: &[u8]) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// Checks signatures.
pub trait Verifier: Send + Sync {
    /// Checks one Sigstore bundle over the payload. Ok only if a trusted key made it over exactly these bytes.
    fn verify(&self, payload: &[u8], bundle: &str) -> Result<SignedBy, Refusal>;

    /// How many different keys must have signed.
    fn required(&self) -> usize {
        1
    }
}

/// Why a signature does not count.
#[derive(Debug)]
pub struct Refusal {
    /// Whether it is well-formed, and only by somebody who is not known here. Anything else is damage, and never passed over.
    pub stranger: bool,
    /// What is wrong with it.
    pub reason: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// Which trusted key made a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignedBy {
    /// SHA-256 of the public key (DER, `SubjectPublicKeyInfo`), as `sha256:…`.
    pub fingerprint: String,
    /// What the key is called here, where it is pinned by a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.fingerprint),
            None => f.write_str(&self.fingerprint),
        }
    }
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// Whose key.
    pub by: SignedBy,
    /// The entry that holds it.
    pub entry: String,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "standing")]
pub enum Standing {
    /// A trusted key has signed it.
    Signed {
        /// Whose key.
        by: SignedBy,
        /// The entry that holds the signature.
        entry: String,
        /// Signatures by other trusted keys.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        also: Vec<Signature>,
    },
    /// It carries signatures, but nobody asked for them to be checked.
    Unchecked,
    /// It carries none.
    Unsigned,
}
