//! Public keys (RFC 9580, section 5.5.2), and what they verify (section 5.2.3).

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};

use super::{
    PgpError, dsa,
    packet::Cursor,
    signature::{Hash, Signature, Value, out_of_time},
    structural, unsupported,
};

/// Largest RSA key, in bits.
const RSA_BITS: usize = 16_384;

/// A public key, or a subkey.
pub(super) struct PublicKey {
    pub(super) version: u8,
    pub(super) subkey: bool,
    created: u32,
    algorithm: u8,
    material: Material,
    /// The packet's body; of a private key the public part.
    body: Vec<u8>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) id: u64,
}

enum Material {
    Rsa(RsaPublicKey),
    Dsa([Vec<u8>; 4]),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    /// It encrypts.
    NotForSignatures,
}

impl std::fmt::Debug for PublicKey {
    /// Not all libraries show their keys; its name says enough.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:016X})", self.id)
    }
}

impl PublicKey {
    pub(super) fn parse(body: &[u8], subkey: bool) -> Result<Self, PgpError> {
        let mut cursor = Cursor(body);
        let version = cursor.octet()?;
        if !matches!(version, 4 | 6) {
            return Err(unsupported(format!("public key version {version}")));
        }
        let (created, algorithm) = (cursor.number(4)?, cursor.octet()?);
        if version == 6 {
            cursor.number(4)?;
        }
        let material = Material::parse(algorithm, version, &mut cursor)?;
        let body = body[..body.len() - cursor.0.len()].to_owned();
        let mut key = Self { version, subkey, created, algorithm, material, body, fingerprint: Vec::new(), id: 0 };
        let hash = if version == 6 { Hash::Sha256 } else { Hash::Sha1 };
        key.fingerprint = hash.of(&[&key.hashed()]);
        let at = if version == 6 { 0 } else { 12 };
        key.id = u64::from_be_bytes(key.fingerprint[at..at + 8].try_into().expect("eight octets"));
        Ok(key)
    }

    /// Itself, as signatures over it hash it (section 5.2.4).
    pub(super) fn hashed(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let head: &[u8] = if self.version == 6 { &[&[0x9b], &length[..]].concat() } else { &[0x99, length[2], length[3]] };
        [head, &self.body].concat()
    }

    pub(super) fn can_sign(&self) -> bool {
        !matches!(self.material, Material::NotForSignatures)
    }

    /// `CheckKeyIdOrFingerprint`: whether it says that this key made it.
    pub(super) fn is_named_by(&self, signature: &Signature) -> bool {
        match &signature.said.issuer_fingerprint {
            Some(fingerprint) => *fingerprint == self.fingerprint,
            None => signature.said.issuer == Some(self.id),
        }
    }

    /// `KeyExpired`, as a signature over it says.
    pub(super) fn expired(&self, signature: &Signature, now: u64) -> bool {
        out_of_time(self.created, signature.said.key_lifetime, now)
    }

    /// Whether the key made this signature over these parts (`packet/public_key.go`, `VerifySignature`).
    pub(super) fn verify(&self, signature: &Signature, parts: &[&[u8]]) -> Result<(), PgpError> {
        if !self.can_sign() {
            return Err(PgpError::Argument("public key cannot generate signatures"));
        }
        let all: Vec<&[u8]> = [signature.salt.as_slice()].into_iter().chain(parts.iter().copied()).chain([signature.suffix.as_slice()]).collect();
        let hash = signature.hash.of(&all);
        if signature.version == 6 && hash[..2] != signature.tag {
            return Err(PgpError::Signature("hash tag doesn't match"));
        }
        if self.algorithm != signature.algorithm {
            return Err(PgpError::Argument("public key and signature use different algorithms"));
        }
        let (good, what) = self.material.verify(signature.hash, &hash, &signature.value);
        if good { Ok(()) } else { Err(PgpError::Signature(what)) }
    }
}

impl Material {
    fn parse(algorithm: u8, version: u8, cursor: &mut Cursor<'_>) -> Result<Self, PgpError> {
        let mut numbers = |count: usize| (0..count).map(|_| cursor.mpi().map(<[u8]>::to_owned)).collect::<Result<Vec<_>, _>>();
        Ok(match algorithm {
            1..=3 => {
                let [n, e] = [cursor.mpi()?, cursor.mpi()?].map(BigUint::from_bytes_be);
                let key = RsaPublicKey::new_with_max_size(n, e, RSA_BITS).map_err(|error| unsupported(error.to_string()))?;
                if algorithm == 2 { Self::NotForSignatures } else { Self::Rsa(key) }
            }
            16 => numbers(3).map(|_| Self::NotForSignatures)?,
            17 => Self::Dsa(numbers(4)?.try_into().expect("four were read")),
            18 => {
                cursor.short()?;
                cursor.mpi()?;
                cursor.short()?;
                Self::NotForSignatures
            }
            19 => Self::ecdsa(cursor)?,
            22 if version == 4 => Self::old_ed25519(cursor)?,
            25 => cursor.take(32).map(|_| Self::NotForSignatures)?,
            26 => cursor.take(56).map(|_| Self::NotForSignatures)?,
            27 => Self::ed25519(cursor.take(32)?)?,
            _ => return Err(unsupported(format!("public key type: {algorithm}"))),
        })
    }

    /// Curves by identifier (section 9.2).
    fn ecdsa(cursor: &mut Cursor<'_>) -> Result<Self, PgpError> {
        let (curve, point) = (cursor.short()?, cursor.mpi()?);
        let bad = |_| structural("failed to parse EC point");
        match curve {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P256).map_err(bad),
            [0x2b, 0x81, 4, 0, 0x22] => p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P384).map_err(bad),
            [0x2b, 0x81, 4, 0, 0x23] => p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P521).map_err(bad),
            _ => Err(unsupported(format!("unknown oid: {curve:x?}"))),
        }
    }

    /// `EdDSALegacy`: the point with an octet before it that says so.
    fn old_ed25519(cursor: &mut Cursor<'_>) -> Result<Self, PgpError> {
        let (curve, point) = (cursor.short()?, cursor.mpi()?);
        match (curve, point) {
            ([0x2b, 6, 1, 4, 1, 0xda, 0x47, 0x0f, 1], [0x40, point @ ..]) => Self::ed25519(point),
            _ => Err(unsupported(format!("unknown oid: {curve:x?}"))),
        }
    }

    fn ed25519(point: &[u8]) -> Result<Self, PgpError> {
        let bad = || structural("failed to parse EdDSA point");
        let point: &[u8; 32] = point.try_into().map_err(|_| bad())?;
        ed25519_dalek::VerifyingKey::from_bytes(point).map(Self::Ed25519).map_err(|_| bad())
    }

    fn verify(&self, algorithm: Hash, hash: &[u8], value: &Value) -> (bool, &'static str) {
        match (self, value) {
            (Self::Rsa(key), Value::One(value)) => (rsa(key, algorithm, hash, value), "RSA verification failure"),
            (Self::Dsa(key), Value::Two(r, s)) => (dsa::verifies(key, hash, [r, s]), "DSA verification failure"),
            (Self::P256(key), Value::Two(r, s)) => {
                let signature = joined(r, s, 32).and_then(|both| p256::ecdsa::Signature::from_slice(&both).ok());
                (signature.is_some_and(|signature| key.verify_prehash(hash, &signature).is_ok()), "ECDSA verification failure")
            }
            (Self::P384(key), Value::Two(r, s)) => {
                let signature = joined(r, s, 48).and_then(|both| p384::ecdsa::Signature::from_slice(&both).ok());
                (signature.is_some_and(|signature| key.verify_prehash(hash, &signature).is_ok()), "ECDSA verification failure")
            }
            (Self::P521(key), Value::Two(r, s)) => {
                let signature = joined(r, s, 66).and_then(|both| p521::ecdsa::Signature::from_slice(&both).ok());
                (signature.is_some_and(|signature| key.verify_prehash(hash, &signature).is_ok()), "ECDSA verification failure")
            }
            (Self::Ed25519(key), Value::Two(r, s)) => {
                let signature = joined(r, s, 32).and_then(|both| <[u8; 64]>::try_from(both).ok());
                (signature.is_some_and(|signature| ed25519(key, hash, &signature)), "EdDSA verification failure")
            }
            (Self::Ed25519(key), Value::Ed25519(signature)) => (ed25519(key, hash, signature), "Ed25519 verification failure"),
            _ => (false, "Unsupported public key algorithm used in signature"),
        }
    }
}

fn ed25519(key: &ed25519_dalek::VerifyingKey, hash: &[u8], signature: &[u8; 64]) -> bool {
    key.verify_strict(hash, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
}

/// PKCS #1 v1.5, with leading zeros that the packet leaves out.
fn rsa(key: &RsaPublicKey, algorithm: Hash, hash: &[u8], value: &[u8]) -> bool {
    use rsa::traits::PublicKeyParts as _;
    use sha2::{Sha224, Sha256, Sha384, Sha512};
    let scheme = match algorithm {
        // DigestInfo of RFC 8017, section 9.2, note 1.
        Hash::Sha1 => Pkcs1v15Sign { hash_len: Some(20), prefix: Box::new([0x30, 0x21, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x14]) },
        Hash::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    };
    padded(value, key.size()).is_some_and(|value| key.verify(scheme, hash, &value).is_ok())
}

fn joined(r: &[u8], s: &[u8], size: usize) -> Option<Vec<u8>> {
    Some([padded(r, size)?, padded(s, size)?].concat())
}

/// A number with as many leading zeros as it needs; none if it is too large.
fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let missing = size.checked_sub(number.len())?;
    Some([vec![0; missing].as_slice(), number].concat())
}
