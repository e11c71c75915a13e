//! Public keys.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::signature::{Verifier as _, hazmat::PrehashVerifier as _},
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _},
};
use rsa::{RsaPublicKey, pkcs1v15, pss, traits::PublicKeyParts as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::KeyError;
use crate::oci::Digest;

/// Sizes of RSA keys, in bits, that sigstore takes (sigstore, pkg/cryptoutils/publickey.go, `ValidatePubKey`).
const RSA_BITS: [usize; 3] = [2048, 3072, 4096];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::PublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(Box<RsaPublicKey>),
}

/// A public key: ECDSA on P-256 with SHA-256, or Ed25519; for images also those of other kinds that cosign signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    /// `SubjectPublicKeyInfo`, from which both names of the key follow.
    der: Vec<u8>,
}

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY` of a key that archives are signed with.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::of_archives(labelled(pem)?)?.ok_or(KeyError::Algorithm)
    }

    /// Reads `BEGIN PUBLIC KEY` of any key that images are signed with: ECDSA on P-256, P-384 or P-521, Ed25519, RSA.
    pub fn for_images(pem: &str) -> Result<Self, KeyError> {
        let pem = labelled(pem)?;
        match Self::of_archives(pem)? {
            Some(key) => Ok(key),
            None => Self::of_others(pem),
        }
    }

    fn of_archives(pem: &str) -> Result<Option<Self>, KeyError> {
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Self::p256(key).map(Some);
        }
        ed25519_dalek::VerifyingKey::from_public_key_pem(pem).ok().map(Self::ed25519).transpose()
    }

    /// A key of a kind that we do not make.
    fn of_others(pem: &str) -> Result<Self, KeyError> {
        let encoded =
            |der: p256::pkcs8::spki::Result<p256::pkcs8::Document>| der.map(p256::pkcs8::Document::into_vec).map_err(|e| KeyError::System(e.to_string()));
        if let Ok(key) = p384::PublicKey::from_public_key_pem(pem) {
            return Ok(Self { der: encoded(key.to_public_key_der())?, kind: Kind::P384(key.into()) });
        }
        if let Ok(key) = p521::PublicKey::from_public_key_pem(pem) {
            return Ok(Self { der: encoded(key.to_public_key_der())?, kind: Kind::P521(key) });
        }
        let key = RsaPublicKey::from_public_key_pem(pem).map_err(|_| KeyError::ImageAlgorithm)?;
        if !RSA_BITS.contains(&(key.size() * 8)) {
            return Err(KeyError::RsaSize(key.n().bits()));
        }
        Ok(Self { der: encoded(key.to_public_key_der())?, kind: Kind::Rsa(Box::new(key)) })
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

    /// Whether the key made this signature over the payload, with one of the hashes that sigstore's programs use for such a key (sigstore,
    /// `pkg/signature/algorithm_registry.go`): of other curves than P-256, SHA-256 or the curve's own.
    pub(crate) fn made(&self, payload: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|s| key.verify(payload, &s).is_ok()),
            Kind::P384(key) => p384::ecdsa::Signature::from_der(signature).is_ok_and(|s| {
                let by = |hash: &[u8]| key.verify_prehash(hash, &s).is_ok();
                by(&Sha384::digest(payload)) || by(&Sha256::digest(payload))
            }),
            Kind::P521(key) => p521::ecdsa::Signature::from_der(signature).is_ok_and(|s| made_on_p521(key, payload, &s)),
            Kind::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(payload, &s).is_ok()),
            Kind::Rsa(key) => made_by_rsa(key, payload, signature),
        }
    }

    /// The same for what is attached to images, where Ed25519 may also have signed the SHA-512 of the payload (RFC 8032, Ed25519ph; cosign,
    /// `pkg/cosign/keys.go`, `GetDefaultLoadOptions`).
    pub(crate) fn made_for_image(&self, payload: &[u8], signature: &[u8]) -> bool {
        let Kind::Ed25519(key) = &self.kind else { return self.made(payload, signature) };
        let by_hash = |s| key.verify_prehashed_strict(Sha512::new_with_prefix(payload), None, &s).is_ok();
        self.made(payload, signature) || ed25519_dalek::Signature::from_slice(signature).is_ok_and(by_hash)
    }
}

/// The text, where it is a public key's.
fn labelled(pem: &str) -> Result<&str, KeyError> {
    let label = super::private::label(pem)?;
    if label != "PUBLIC KEY" {
        return Err(KeyError::Label { label: label.to_owned(), wanted: "a PUBLIC KEY, such as the .pub file that keygen writes" });
    }
    Ok(pem.trim())
}

fn made_on_p521(key: &p521::PublicKey, payload: &[u8], signature: &p521::ecdsa::Signature) -> bool {
    let Ok(key) = p521::ecdsa::VerifyingKey::from_affine(*key.as_affine()) else { return false };
    // The crate refuses hashes that are shorter than half the curve; with zeros before it SHA-256 stands for the same number.
    let padded = [&[0; 32], &Sha256::digest(payload)[..]].concat();
    [&Sha512::digest(payload)[..], &padded].iter().any(|hash| key.verify_prehash(hash, signature).is_ok())
}

/// PKCS #1 v1.5, which is sigstore's own choice, or PSS; both with SHA-256. Salts of PSS are as long as the hash, or as long as there is room for, as Go
/// makes them (`crypto/rsa`, `PSSSaltLengthAuto`).
fn made_by_rsa(key: &RsaPublicKey, payload: &[u8], signature: &[u8]) -> bool {
    let v15 = pkcs1v15::VerifyingKey::<Sha256>::new(key.clone());
    if pkcs1v15::Signature::try_from(signature).is_ok_and(|s| v15.verify(payload, &s).is_ok()) {
        return true;
    }
    let hash = <Sha256 as sha2::Digest>::output_size();
    let Ok(signature) = pss::Signature::try_from(signature) else { return false };
    let by = |salt: usize| pss::VerifyingKey::<Sha256>::new_with_salt_len(key.clone(), salt).verify(payload, &signature).is_ok();
    // RFC 8017, 9.1.1: of the whole the hash, and two bytes.
    by(hash) || by(key.size() - hash - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl 3.0.
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDJ+bLTj8IJj7ZYWg5TiaP9+MJ6
du8aB+4VeNC6QS4kY3MFKdV2tbWz2Qw3bfgLv6v5obQN3W0XTs2H/swR84bDhRQz
p6GzxE9cFje4UfHMx1nriXmI6gLLDe+WyquLdgEAM/yF5oXMxmFEi/e4n6g26nTp
NEojQuNquzCIAw+s9QIDAQAB
-----END PUBLIC KEY-----";
    const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEw4PMI4o8edCMsyYnWTOzoO21l0+SPCbb
KpunBiBmBK8Rh16BAy1PfFusbl4QjPmHPNW4Mxh0vJgvewmzWCzVFQ==
-----END PUBLIC KEY-----";

    #[test]
    fn weak_and_unknown_keys_are_refused() {
        assert!(matches!(PublicKey::for_images(RSA_1024), Err(KeyError::RsaSize(1024))));
        assert!(matches!(PublicKey::for_images(SECP256K1), Err(KeyError::ImageAlgorithm)));
        assert!(matches!(PublicKey::from_pem(RSA_1024), Err(KeyError::Algorithm)), "archives have keys of two kinds");
    }
}
