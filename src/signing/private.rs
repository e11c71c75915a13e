//! Private keys.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rand_core::OsRng;
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, bundle, encrypted};
use crate::{archive::Signer, redact::Secret};

enum Kind {
    P256(p256::ecdsa::SigningKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A private key. Both kinds sign deterministically: ECDSA as in RFC 6979, Ed25519 by design.
pub struct PrivateKey {
    kind: Kind,
    public: PublicKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public.fingerprint()).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a new ECDSA P-256 key, the kind that cosign makes.
    pub fn generate() -> Result<Self, KeyError> {
        Self::p256(p256::ecdsa::SigningKey::random(&mut OsRng))
    }

    /// Reads a key: cosign's encrypted ones, PKCS#8 or SEC1. The password is for the encrypted ones only.
    pub fn from_pem(pem: &str, password: Option<&Secret<String>>) -> Result<Self, KeyError> {
        match label(pem)? {
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                let password = password.ok_or(KeyError::NoPassword)?;
                Self::from_pkcs8(&encrypted::unseal(&body(pem)?, password)?)
            }
            "PRIVATE KEY" => Self::from_pkcs8(&body(pem)?),
            "EC PRIVATE KEY" => {
                let key = p256::SecretKey::from_sec1_der(&body(pem)?).map_err(|_| KeyError::Algorithm)?;
                Self::p256(key.into())
            }
            other => Err(KeyError::Label { label: other.to_owned(), wanted: "an ENCRYPTED SIGSTORE PRIVATE KEY, a PRIVATE KEY or an EC PRIVATE KEY" }),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(der) {
            return Self::p256(key);
        }
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Algorithm)?;
        Ok(Self { public: PublicKey::ed25519(key.verifying_key())?, kind: Kind::Ed25519(key.into()) })
    }

    fn p256(key: p256::ecdsa::SigningKey) -> Result<Self, KeyError> {
        Ok(Self { public: PublicKey::p256(*key.verifying_key())?, kind: Kind::P256(key) })
    }

    /// The key, encrypted with a password, as cosign writes it.
    pub fn to_encrypted_pem(&self, password: &Secret<String>) -> Result<String, KeyError> {
        let failed = |e: p256::pkcs8::Error| KeyError::System(e.to_string());
        let der = match &self.kind {
            Kind::P256(key) => key.to_pkcs8_der().map_err(failed)?,
            Kind::Ed25519(key) => key.to_pkcs8_der().map_err(failed)?,
        };
        encrypted::seal(der.as_bytes(), password)
    }

    /// The key that others check with.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl Signer for PrivateKey {
    fn sign(&self, payload: &[u8]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let signature = match &self.kind {
            Kind::P256(key) => {
                let signature: p256::ecdsa::DerSignature = key.try_sign(payload)?;
                signature.as_bytes().to_vec()
            }
            Kind::Ed25519(key) => key.try_sign(payload)?.to_bytes().to_vec(),
        };
        Ok(bundle::write(&self.public, payload, &signature))
    }
}

/// The keys that sign together: at least one, each once.
#[derive(Debug)]
pub struct Signers(Vec<PrivateKey>);

impl Signers {
    /// These keys; none where there are none.
    pub fn new(keys: Vec<PrivateKey>) -> Option<Self> {
        let mut distinct: Vec<PrivateKey> = Vec::new();
        for key in keys {
            if distinct.iter().all(|known| known.public != key.public) {
                distinct.push(key);
            }
        }
        (!distinct.is_empty()).then_some(Self(distinct))
    }

    /// The keys, in the order in which they were named.
    pub fn keys(&self) -> &[PrivateKey] {
        &self.0
    }
}

/// The label of the first PEM block.
pub(crate) fn label(pem: &str) -> Result<&str, KeyError> {
    pem.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")).ok_or(KeyError::NotPem)
}

/// What stands in the first PEM block.
fn body(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let lines = pem.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN ")).skip(1);
    let encoded: Zeroizing<String> = lines.take_while(|line| !line.starts_with("-----END ")).collect::<String>().into();
    STANDARD.decode(encoded.as_bytes()).map(Zeroizing::new).map_err(|_| KeyError::NotPem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive::Verifier as _, signing::TrustedKeys};

    /// RFC 6979, A.2.5: P-256, SHA-256, message "sample".
    #[test]
    fn ecdsa_is_deterministic_as_in_rfc_6979() {
        let hex = |text: &str| -> Vec<u8> { (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect() };
        let key = p256::ecdsa::SigningKey::from_slice(&hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")).unwrap();
        let signature: p256::ecdsa::Signature = key.try_sign(b"sample").unwrap();
        let wanted = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
        assert_eq!(signature.to_bytes().to_vec(), hex(wanted));
    }

    #[test]
    fn keys_survive_encryption_and_sign_the_same() {
        let password = "pässword".into();
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_encrypted_pem(&password).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
        let again = PrivateKey::from_pem(&pem, Some(&password)).unwrap();
        assert_eq!(again.sign(b"x").unwrap(), key.sign(b"x").unwrap());
        assert!(matches!(PrivateKey::from_pem(&pem, Some(&"other".into())), Err(KeyError::WrongPassword)));
        assert!(matches!(PrivateKey::from_pem(&pem, None), Err(KeyError::NoPassword)));
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap(), *key.public());
    }

    #[test]
    fn a_key_without_a_password_is_opened_in_half_the_time() {
        let key = PrivateKey::generate().unwrap();
        for (password, cost) in [("", r#""N":32768,"#), ("x", r#""N":65536,"#)] {
            let pem = key.to_encrypted_pem(&password.into()).unwrap();
            let json = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
            assert!(String::from_utf8(json).unwrap().contains(cost), "{password}");
            assert_eq!(PrivateKey::from_pem(&pem, Some(&password.into())).unwrap().sign(b"x").unwrap(), key.sign(b"x").unwrap());
        }
    }

    #[test]
    fn the_cost_of_a_key_is_bounded() {
        for params in [r#"{"N":1073741824,"r":8,"p":1}"#, r#"{"N":65536,"r":800,"p":1}"#, r#"{"N":65536,"r":8,"p":1000}"#, r#"{"N":65537,"r":8,"p":1}"#] {
            let nonce = STANDARD.encode([0; 24]);
            let json = format!(
                r#"{{"kdf":{{"name":"scrypt","params":{params},"salt":"AAAA"}},"cipher":{{"name":"nacl/secretbox","nonce":"{nonce}"}},"ciphertext":"AAAA"}}"#
            );
            let pem = encrypted::armour("ENCRYPTED COSIGN PRIVATE KEY", json.as_bytes());
            assert!(matches!(PrivateKey::from_pem(&pem, Some(&"x".into())), Err(KeyError::Cost { .. })), "{params}");
        }
    }

    #[test]
    fn ed25519_and_plain_keys_are_read() {
        let ed = ed25519_dalek::SigningKey::generate(&mut OsRng);
        let pem = encrypted::armour("PRIVATE KEY", ed.to_pkcs8_der().unwrap().as_bytes());
        let ed = PrivateKey::from_pem(&pem, None).unwrap();
        let p256 = p256::SecretKey::random(&mut OsRng);
        let sec1 = PrivateKey::from_pem(&p256.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap(), None).unwrap();
        let pkcs8 = PrivateKey::from_pem(&encrypted::armour("PRIVATE KEY", p256.to_pkcs8_der().unwrap().as_bytes()), None).unwrap();
        assert_eq!(sec1.public(), pkcs8.public());
        for key in [ed, sec1] {
            let public = PublicKey::from_pem(&key.public().to_pem()).unwrap();
            let trusted = TrustedKeys::new(vec![public]);
            let bundle = key.sign(b"content").unwrap();
            assert_eq!(trusted.verify(b"content", &bundle).unwrap().fingerprint, key.public().fingerprint());
            assert!(trusted.verify(b"other", &bundle).is_err());
        }
    }

    #[test]
    fn what_is_no_key_says_so() {
        let public = PrivateKey::generate().unwrap().public().to_pem();
        assert!(matches!(PrivateKey::from_pem(&public, None), Err(KeyError::Label { .. })));
        assert!(matches!(PublicKey::from_pem("hello"), Err(KeyError::NotPem)));
        assert!(matches!(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), Err(KeyError::Algorithm)));
    }
}
