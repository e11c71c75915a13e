//! Public keys.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::signature::Verifier as _,
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _},
};
use sha2::{Digest as _, Sha256};

use super::KeyError;
use crate::oci::Digest;

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
