//! The keys that a person trusts, and how many of them must have signed.

use super::{BundleError, PublicKey, bundle};
use crate::archive::{Refusal, SignedBy, Verifier};

/// The keys that a person trusts. A signature by any of them counts, each key once.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    keys: Vec<(Option<String>, PublicKey)>,
    required: usize,
}

impl TrustedKeys {
    /// Trusts these; one signature is enough.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self::named(keys.into_iter().map(|key| (None, key)).collect())
    }

    /// Trusts these, which are called by names; one signature is enough. A key that is there twice is one.
    pub fn named(keys: Vec<(Option<String>, PublicKey)>) -> Self {
        let mut distinct: Vec<(Option<String>, PublicKey)> = Vec::new();
        for (name, key) in keys {
            if distinct.iter().all(|(_, known)| *known != key) {
                distinct.push((name, key));
            }
        }
        Self { keys: distinct, required: 1 }
    }

    /// Wants signatures by so many of the keys.
    #[must_use]
    pub fn require(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    fn check(&self, payload: &[u8], bundle: &str) -> Result<SignedBy, BundleError> {
        let signed = bundle::Signed::parse(bundle)?;
        signed.check_digest(payload)?;
        // The hint chooses no key: it is not signed. But a bundle that names a key has to name the one that made it,
        // so that no byte of it can change unnoticed.
        let fits = |(_, key): &&(_, PublicKey)| signed.hint.as_ref().is_none_or(|hint| *hint == key.hint()) && signed.is_by(key, payload);
        if let Some((name, key)) = self.keys.iter().find(fits) {
            return Ok(SignedBy { fingerprint: key.fingerprint(), name: name.clone() });
        }
        let named = signed.hint.as_ref().is_some_and(|hint| self.keys.iter().any(|(_, key)| key.hint() == *hint));
        if named {
            return Err(BundleError::Wrong);
        }
        Err(BundleError::NotTrusted { hint: signed.hint, trusted: self.keys.iter().map(|(_, key)| key.hint()).collect() })
    }

    /// How many different keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

impl Verifier for TrustedKeys {
    fn verify(&self, payload: &[u8], bundle: &str) -> Result<SignedBy, Refusal> {
        self.check(payload, bundle).map_err(|error| {
            // What only cannot be checked here, as the keyless signatures of others.
            let stranger = matches!(error, BundleError::NotTrusted { .. } | BundleError::Certificate | BundleError::Attestation);
            Refusal { stranger, reason: error.into() }
        })
    }

    fn required(&self) -> usize {
        self.required
    }
}
