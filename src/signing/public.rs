//! Public keys.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::signature::Verifier as _,
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _},
};
use sha2::{Digest as _, Sha256};

use super::{BundleError, KeyError, bundle};
use crate::{
    archive::{SignedBy, Verifier},
    oci::Digest,
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A public key: ECDSA on P-256 with SHA-256, or Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    /// `SubjectPublicKeyInfo`, from which both names of the key follow.
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY`.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let label = super::private::label(pem)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Label { label: label.to_owned(), wanted: "a PUBLIC KEY, such as the .pub file that keygen writes" });
        }
        let pem = pem.trim();
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Self::p256(key);
        }
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::Algorithm)?;
        Self::ed25519(key)
    }

    pub(crate) fn p256(key: p256::ecdsa::VerifyingKey) -> Result<Self, KeyError> {
        let der = key.to_public_key_der().map_err(|e| KeyError::System(e.to_string()))?.into_vec();
        Ok(Self { kind: Kind::P256(key), der })
    }

    pub(crate) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        let der = key.to_public_key_der().map_err(|e| KeyError::System(e.to_string()))?.into_vec();
        Ok(Self { kind: Kind::Ed25519(key), der })
    }

    /// The key as `BEGIN PUBLIC KEY`.
    pub fn to_pem(&self) -> String {
        super::encrypted::armour("PUBLIC KEY", &self.der)
    }

    /// SHA-256 of the key in DER, `sha256:…`: `openssl pkey -pubin -outform der | sha256sum` tells the same.
    pub fn fingerprint(&self) -> String {
        Digest::of(&self.der).to_string()
    }

    /// How bundles name the key: the same hash in base64 (cosign, pkg/cosign/bundle/sign.go).
    pub fn hint(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.der))
    }

    /// Whether it is the Ed25519 kind.
    pub(crate) fn is_ed25519(&self) -> bool {
        matches!(self.kind, Kind::Ed25519(_))
    }

    /// Whether the key made this signature over the payload.
    pub(crate) fn made(&self, payload: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|s| key.verify(payload, &s).is_ok()),
            Kind::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(payload, &s).is_ok()),
        }
    }
}

/// The keys that a person trusts; a signature by any of them counts.
#[derive(Debug, Clone)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Trusts these.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }
}

impl Verifier for TrustedKeys {
    fn verify(&self, payload: &[u8], bundle: &str) -> Result<SignedBy, Box<dyn std::error::Error + Send + Sync>> {
        let signed = bundle::Signed::parse(bundle)?;
        signed.check_digest(payload)?;
        // The hint chooses no key: it is not signed. But a bundle that names a key has to name the one that made it,
        // so that no byte of it can change unnoticed.
        let fits = |key: &&PublicKey| signed.hint.as_ref().is_none_or(|hint| *hint == key.hint()) && signed.is_by(key, payload);
        if let Some(key) = self.0.iter().find(fits) {
            return Ok(SignedBy { fingerprint: key.fingerprint() });
        }
        let named = signed.hint.as_ref().is_some_and(|hint| self.0.iter().any(|key| key.hint() == *hint));
        if named {
            return Err(BundleError::Wrong.into());
        }
        Err(BundleError::NotTrusted { hint: signed.hint, trusted: self.0.iter().map(PublicKey::hint).collect() }.into())
    }
}
