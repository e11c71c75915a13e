//! Private keys: RSA, DSA, ECDSA on P-256 and Ed25519, in the forms that sprig writes and reads.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use num_bigint_dig::{BigUint, RandBigInt as _};
use rand_core::RngCore as _;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _};
use rsa::pkcs8::EncodePublicKey as _;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use sha2::Sha256;

use super::{der, pem};
use crate::chart::chance::{self, Source};

const OID_EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const SHA256_RSA: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
const SHA256_ECDSA: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A private key.
#[derive(Clone)]
pub(super) enum Key {
    Rsa(Box<rsa::RsaPrivateKey>),
    Ecdsa(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
    /// Its DER; nothing can be signed with it.
    Dsa(Vec<u8>),
}

impl Key {
    /// A new RSA key, or one that was made before where that will do.
    pub(super) fn rsa(bits: usize) -> Result<Self, String> {
        old_or_new(bits, || Self::new_rsa(bits))
    }

    fn new_rsa(bits: usize) -> Result<Self, String> {
        let (p, q) = (prime(bits / 2, Source::new(1)), prime(bits - bits / 2, Source::new(2)));
        let key = rsa::RsaPrivateKey::from_p_q(p?, q?, BigUint::from(65_537_u32));
        key.map(|key| Key::Rsa(Box::new(key))).map_err(|e| format!("error generating rsa key: {e}"))
    }

    /// sprig's `generatePrivateKey`; none if the name is not one.
    pub(super) fn generate(kind: &str) -> Result<Option<Self>, String> {
        Ok(Some(match kind {
            "" | "rsa" => Self::rsa(4096)?,
            "dsa" => old_or_new(DSA, || Ok(Key::Dsa(dsa())))?,
            "ecdsa" => Key::Ecdsa(p256::ecdsa::SigningKey::random(&mut Source::new(random_number()?))),
            "ed25519" => Key::Ed25519(ed25519_dalek::SigningKey::generate(&mut Source::new(random_number()?))),
            _ => return Ok(None),
        }))
    }

    /// sprig's `pemBlockForKey`.
    pub(super) fn pem(&self) -> Result<String, String> {
        Ok(match self {
            Key::Rsa(key) => pem::encode("RSA PRIVATE KEY", key.to_pkcs1_der().map_err(|e| e.to_string())?.as_bytes()),
            Key::Dsa(bytes) => pem::encode("DSA PRIVATE KEY", bytes),
            Key::Ecdsa(key) => {
                let curve = der::element(0xa0, OID_P256);
                let point = der::element(0xa1, &der::bits(key.verifying_key().to_encoded_point(false).as_bytes()));
                pem::encode("EC PRIVATE KEY", &der::sequence(&[&der::integer(&[1]), &der::octets(&key.to_bytes()), &curve, &point]))
            }
            Key::Ed25519(key) => {
                let inner = der::octets(&der::octets(&key.to_bytes()));
                pem::encode("PRIVATE KEY", &der::sequence(&[&der::integer(&[0]), ED25519, &inner]))
            }
        })
    }

    /// sprig's `parsePrivateKeyPEM`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (label, bytes) = pem::decode(text).ok_or("no PEM data in input")?;
        if label == "PRIVATE KEY" {
            return pkcs8(&bytes).ok_or_else(|| format!("decoding PEM as PKCS#8: {}", malformed(&bytes)));
        }
        let Some(kind) = label.strip_suffix(" PRIVATE KEY") else { return Err(format!("no private key data in PEM block of type {label}")) };
        match kind {
            "RSA" => rsa::RsaPrivateKey::from_pkcs1_der(&bytes)
                .map(|key| Key::Rsa(Box::new(key)))
                .map_err(|_| format!("parsing RSA private key from PEM: {}", malformed(&bytes))),
            "EC" => sec1(&bytes, None).ok_or_else(|| format!("parsing EC private key from PEM: {}", ec_malformed(&bytes))),
            "DSA" => match der::read(&bytes) {
                Some(read) if read.tag == 0x30 && der::elements(read.content).is_some_and(|all| all.len() == 6) => Ok(Key::Dsa(bytes)),
                _ => Err(format!("parsing DSA private key from PEM: {}", malformed(&bytes))),
            },
            _ => Err(format!("invalid private key type {label}")),
        }
    }

    /// `SubjectPublicKeyInfo`; none for DSA.
    pub(super) fn public(&self) -> Option<Vec<u8>> {
        match self {
            Key::Rsa(key) => key.to_public_key().to_public_key_der().ok().map(|der| der.as_bytes().to_vec()),
            Key::Ecdsa(key) => {
                let algorithm = der::sequence(&[OID_EC, OID_P256]);
                Some(der::sequence(&[&algorithm, &der::bits(key.verifying_key().to_encoded_point(false).as_bytes())]))
            }
            Key::Ed25519(key) => Some(der::sequence(&[ED25519, &der::bits(key.verifying_key().as_bytes())])),
            Key::Dsa(_) => None,
        }
    }

    /// The algorithm identifier of its signatures.
    pub(super) fn algorithm(&self) -> Option<&'static [u8]> {
        match self {
            Key::Rsa(_) => Some(SHA256_RSA),
            Key::Ecdsa(_) => Some(SHA256_ECDSA),
            Key::Ed25519(_) => Some(ED25519),
            Key::Dsa(_) => None,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        Ok(match self {
            Key::Rsa(key) => rsa::pkcs1v15::SigningKey::<Sha256>::new((**key).clone()).try_sign(message).map_err(|e| e.to_string())?.to_vec(),
            Key::Ecdsa(key) => {
                let signature: p256::ecdsa::Signature = key.try_sign(message).map_err(|e| e.to_string())?;
                signature.to_der().as_bytes().to_vec()
            }
            Key::Ed25519(key) => ed25519_dalek::Signer::sign(key, message).to_vec(),
            Key::Dsa(_) => return Err("x509: certificate private key does not implement crypto.Signer".to_owned()),
        })
    }
}

/// Under which [`old_or_new`] keeps a DSA key; RSA keys are kept by their bits.
const DSA: usize = 0;

/// A new key; where what is rendered is only looked at, the first of its kind that this process has made for that.
fn old_or_new(kind: usize, make: impl FnOnce() -> Result<Key, String>) -> Result<Key, String> {
    static KEPT: Mutex<BTreeMap<usize, Key>> = Mutex::new(BTreeMap::new());
    if !chance::repeats() {
        return make();
    }
    // Held while a key is made: who waits for it needs the same.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = kept.get(&kind) {
        return Ok(key.clone());
    }
    let key = make()?;
    kept.insert(kind, key.clone());
    Ok(key)
}

/// What tells one short key from another, where they repeat.
fn random_number() -> Result<u64, String> {
    let mut bytes = [0; 8];
    chance::fill(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

/// A prime for half a key.
fn prime(bits: usize, mut random: Source) -> Result<BigUint, String> {
    let found = offline_primes::prime(bits, &mut |bytes| random.fill_bytes(bytes));
    found.map(|bytes| BigUint::from_bytes_be(&bytes)).ok_or_else(|| format!("error generating rsa key: no primes of {bits} bits"))
}

/// Tested as often as FIPS 186-5, table B.1, asks for the parameters of DSA.
fn is_prime(number: &BigUint, random: &mut Source) -> bool {
    offline_primes::is_prime(&number.to_bytes_be(), 20, &mut |bytes| random.fill_bytes(bytes))
}

/// encoding/asn1's words for what is no sequence.
fn malformed(bytes: &[u8]) -> &'static str {
    match bytes {
        [] | [_] => "asn1: syntax error: truncated tag or length",
        [0x30, ..] => "asn1: structure error: length too large",
        _ if der::read(bytes).is_none() => "asn1: syntax error: data truncated",
        _ => "asn1: structure error: tags don't match",
    }
}

fn ec_malformed(bytes: &[u8]) -> String {
    format!("x509: failed to parse EC private key: {}", malformed(bytes))
}

/// RFC 5915, for P-256.
fn sec1(bytes: &[u8], curve: Option<&[u8]>) -> Option<Key> {
    let parts = der::elements(der::read(bytes)?.content)?;
    let curve = parts.iter().find(|part| part.tag == 0xa0).map(|part| part.content).or(curve)?;
    if curve != OID_P256 {
        return None;
    }
    p256::ecdsa::SigningKey::from_slice(parts.get(1)?.content).ok().map(Key::Ecdsa)
}

fn pkcs8(bytes: &[u8]) -> Option<Key> {
    let parts = der::elements(der::read(bytes)?.content)?;
    let algorithm = der::elements(parts.get(1)?.content)?;
    let key = parts.get(2)?.content;
    match algorithm.first()?.whole {
        OID_RSA => rsa::RsaPrivateKey::from_pkcs1_der(key).ok().map(|key| Key::Rsa(Box::new(key))),
        OID_EC => sec1(key, algorithm.get(1).map(|oid| oid.whole)),
        OID_ED25519 => <[u8; 32]>::try_from(der::read(key)?.content).ok().map(|seed| Key::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))),
        _ => None,
    }
}

/// crypto/dsa's `GenerateParameters` for L2048N256 and `GenerateKey`, as sprig's `DSAKeyFormat`.
#[expect(clippy::many_single_char_names, reason = "FIPS 186 names them so")]
fn dsa() -> Vec<u8> {
    let mut random = Source::new(3);
    let one = BigUint::from(1_u8);
    let top = |bits: usize| BigUint::from(1_u8) << (bits - 1);
    let (p, q) = 'found: loop {
        let q = (random.gen_biguint(256) % top(256)) + top(256);
        let q = if (&q % 2_u8) == one { q } else { q + 1_u8 };
        if !is_prime(&q, &mut random) {
            continue;
        }
        for _ in 0..4 * 2048 {
            let candidate = (random.gen_biguint(2048) % top(2048)) + top(2048);
            let rest = &candidate % (&q * 2_u8);
            let p = candidate + 1_u8 - rest;
            if p.bits() == 2048 && is_prime(&p, &mut random) {
                break 'found (p, q);
            }
        }
    };
    let power = (&p - 1_u8) / &q;
    let mut h = BigUint::from(2_u8);
    let g = loop {
        let g = h.modpow(&power, &p);
        if g != one {
            break g;
        }
        h += 1_u8;
    };
    let x = random.gen_biguint_range(&one, &q);
    let y = g.modpow(&x, &p);
    let parts: Vec<Vec<u8>> = [BigUint::from(0_u8), p, q, g, y, x].iter().map(|n| der::integer(&n.to_bytes_be())).collect();
    der::element(0x30, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_repeat_only_where_that_was_said() {
        let pair = |repeatable| {
            let _chance = chance::repeat(repeatable);
            [0, 1].map(|_| Key::rsa(1024).and_then(|key| key.pem()).unwrap())
        };
        let [first, second] = pair(true);
        assert_eq!((&first, &first), (&second, &pair(true)[1]));
        let [one, other] = pair(false);
        assert!(one != other && one != first && other != first);
    }
}
