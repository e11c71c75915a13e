//! Signature packets (RFC 9580, section 5.2).

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::{PgpError, packet::Cursor, structural, unsupported};

/// Over a text whose ends of lines do not matter; besides 0, over bytes.
pub(super) const TEXT: u8 = 0x01;
/// A user identifier belongs to a key; 0x11 to 0x13 say the same with other certainty.
pub(super) const CERTIFICATION: std::ops::RangeInclusive<u8> = 0x10..=0x13;
/// A subkey belongs to a key.
pub(super) const SUBKEY: u8 = 0x18;
/// A key belongs to a subkey: said by the subkey.
pub(super) const CROSS: u8 = 0x19;
/// Something about the key itself.
pub(super) const DIRECT: u8 = 0x1f;
/// A key is taken back.
pub(super) const KEY_REVOKED: u8 = 0x20;
/// A subkey is taken back.
pub(super) const SUBKEY_REVOKED: u8 = 0x28;
/// A certification is taken back.
pub(super) const CERTIFICATION_REVOKED: u8 = 0x30;

/// The key may sign (section 5.2.3.29).
const MAY_SIGN: u8 = 0x02;

/// A signature.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) version: u8,
    /// What it says; one of the constants above.
    pub(super) kind: u8,
    pub(super) algorithm: u8,
    pub(super) hash: Hash,
    /// Bytes hashed before what is signed.
    pub(super) salt: Vec<u8>,
    /// Bytes hashed after what is signed.
    pub(super) suffix: Vec<u8>,
    /// The first bytes of the hash.
    pub(super) tag: [u8; 2],
    pub(super) value: Value,
    /// What else it says.
    pub(super) said: Said,
}

/// Numbers that an algorithm makes.
#[derive(Debug)]
pub(super) enum Value {
    /// RSA.
    One(Vec<u8>),
    /// DSA, ECDSA, and Ed25519 in its old form.
    Two(Vec<u8>, Vec<u8>),
    /// Ed25519.
    Ed25519([u8; 64]),
}

/// Subpackets that count (section 5.2.3.7).
#[derive(Debug, Default)]
pub(super) struct Said {
    created: Option<u32>,
    lifetime: u32,
    pub(super) key_lifetime: u32,
    pub(super) issuer: Option<u64>,
    pub(super) issuer_fingerprint: Option<Vec<u8>>,
    pub(super) primary: bool,
    flags: Option<u8>,
    /// A notation that must be understood.
    pub(super) critical_notation: Option<String>,
    /// What the subkey says.
    pub(super) cross: Option<Box<Signature>>,
}

/// Hash algorithms (section 9.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn by_id(id: u8, version: u8) -> Option<Self> {
        Some(match id {
            2 if version < 6 => Self::Sha1,
            8 => Self::Sha256,
            9 => Self::Sha384,
            10 => Self::Sha512,
            11 => Self::Sha224,
            _ => return None,
        })
    }

    /// Of a version 6 signature with this hash.
    fn salt(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha224 | Self::Sha256 => 16,
            Self::Sha384 => 24,
            Self::Sha512 => 32,
        }
    }

    pub(super) fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn each<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            parts.iter().fold(D::new(), D::chain_update).finalize().to_vec()
        }
        match self {
            Self::Sha1 => parts.iter().fold(sha1::Sha1::new(), sha1::Sha1::chain_update).finalize().to_vec(),
            Self::Sha224 => each::<Sha224>(parts),
            Self::Sha256 => each::<Sha256>(parts),
            Self::Sha384 => each::<Sha384>(parts),
            Self::Sha512 => each::<Sha512>(parts),
        }
    }
}

impl Signature {
    pub(super) fn parse(body: &[u8]) -> Result<Self, PgpError> {
        Self::parse_in(body, true)
    }

    /// Only one that is not inside of another may hold one.
    fn parse_in(body: &[u8], outermost: bool) -> Result<Self, PgpError> {
        let mut cursor = Cursor(body);
        let version = cursor.octet()?;
        if !matches!(version, 4 | 6) {
            return Err(unsupported(format!("signature packet version {version}")));
        }
        let (kind, algorithm, hash_id) = (cursor.octet()?, cursor.octet()?, cursor.octet()?);
        if !matches!(algorithm, 1 | 3 | 17 | 19 | 22 | 27) {
            return Err(unsupported(format!("public key algorithm {algorithm}")));
        }
        let hash = Hash::by_id(hash_id, version).ok_or_else(|| unsupported(format!("hash function {hash_id}")))?;
        let size = if version == 6 { 4 } else { 2 };
        let length = cursor.length(size)?;
        let hashed = cursor.take(length)?;
        let head = &body[..4 + size + length];
        let total = u32::try_from(head.len()).map_err(|_| PgpError::Cut)?.to_be_bytes();
        let suffix = [head, &[version, 0xff], &total].concat();
        let mut said = Said::default();
        said.read(hashed, version, true, outermost)?;
        if said.created.is_none() {
            return Err(structural("no creation time in signature"));
        }
        let length = cursor.length(size)?;
        said.read(cursor.take(length)?, version, false, outermost)?;
        let tag = [cursor.octet()?, cursor.octet()?];
        let salt = if version == 6 { cursor.short()?.to_owned() } else { Vec::new() };
        if version == 6 && salt.len() != hash.salt() {
            return Err(structural("unexpected salt size for the given hash algorithm"));
        }
        let value = match algorithm {
            1 | 3 => Value::One(cursor.mpi()?.to_owned()),
            27 => Value::Ed25519(cursor.take(64)?.try_into().expect("64 were taken")),
            _ => Value::Two(cursor.mpi()?.to_owned(), cursor.mpi()?.to_owned()),
        };
        Ok(Self { version, kind, algorithm, hash, salt, suffix, tag, value, said })
    }

    /// When it was made, in seconds since 1970.
    pub(super) fn created(&self) -> u32 {
        self.said.created.unwrap_or_default()
    }

    /// `SigExpired`: its time is over, or has not come.
    pub(super) fn expired(&self, now: u64) -> bool {
        out_of_time(self.created(), self.said.lifetime, now)
    }

    /// Whether the key that it is about may sign.
    pub(super) fn may_sign(&self) -> bool {
        self.said.flags.is_some_and(|flags| flags & MAY_SIGN != 0)
    }
}

/// Whether something that was made then and lasts so long, zero for ever, is not to be used now.
pub(super) fn out_of_time(created: u32, lifetime: u32, now: u64) -> bool {
    u64::from(created) > now || (lifetime != 0 && now > u64::from(created) + u64::from(lifetime))
}

impl Said {
    fn read(&mut self, subpackets: &[u8], version: u8, hashed: bool, outermost: bool) -> Result<(), PgpError> {
        let mut cursor = Cursor(subpackets);
        while !cursor.0.is_empty() {
            let (kind, critical, content) = cursor.subpacket()?;
            // What is not hashed anybody may have put there: it may name a key, and bring what that key says.
            if hashed || matches!(kind, 16 | 32 | 33) {
                self.one(kind, critical, content, (version, hashed, outermost))?;
            }
        }
        Ok(())
    }

    fn one(&mut self, kind: u8, critical: bool, content: &[u8], (version, hashed, outermost): (u8, bool, bool)) -> Result<(), PgpError> {
        let seconds = |what: &str| <[u8; 4]>::try_from(content).map(u32::from_be_bytes).map_err(|_| structural(what));
        match kind {
            2 => self.created = Some(seconds("signature creation time not four bytes")?),
            3 => self.lifetime = seconds("expiration subpacket with bad length")?,
            4 if content.first().is_none_or(|octet| *octet == 0) => return Err(unsupported("signature with non-exportable certification")),
            9 => self.key_lifetime = seconds("key expiration subpacket with bad length")?,
            16 if version > 4 && hashed => return Err(structural("issuer subpacket found in v6 key")),
            16 => {
                let id: [u8; 8] = content.try_into().map_err(|_| structural("issuer subpacket with bad length"))?;
                if version == 4 {
                    self.issuer = Some(u64::from_be_bytes(id));
                }
            }
            20 => self.notation(critical, content)?,
            25 => self.primary = content.first().is_some_and(|octet| *octet > 0),
            27 => self.flags = Some(content.first().copied().unwrap_or_default()),
            32 if self.cross.is_some() => return Err(structural("Cannot have multiple embedded signatures")),
            32 if !outermost => return Err(structural("a signature in a signature in a signature")),
            32 => {
                let cross = Signature::parse_in(content, false)?;
                if cross.kind != CROSS {
                    return Err(structural(format!("cross-signature has unexpected type {}", cross.kind)));
                }
                self.cross = Some(Box::new(cross));
            }
            33 => self.fingerprint(content)?,
            // Preferences, trust, policies and reasons decide nothing here.
            4..=7 | 11 | 12 | 21..=24 | 26 | 28..=31 | 35 | 39 => {}
            _ if critical => return Err(unsupported(format!("unknown critical signature subpacket type {kind}"))),
            _ => {}
        }
        Ok(())
    }

    fn notation(&mut self, critical: bool, content: &[u8]) -> Result<(), PgpError> {
        let bad = |_| structural("notation data subpacket with bad length");
        let mut cursor = Cursor(content);
        cursor.take(4).map_err(bad)?;
        let (name, value) = (cursor.length(2).map_err(bad)?, cursor.length(2).map_err(bad)?);
        let name = cursor.take(name).map_err(bad)?;
        if cursor.0.len() != value {
            return Err(bad(PgpError::Cut));
        }
        if critical {
            self.critical_notation = Some(String::from_utf8_lossy(name).into_owned());
        }
        Ok(())
    }

    fn fingerprint(&mut self, content: &[u8]) -> Result<(), PgpError> {
        let (version, fingerprint) = content.split_first().ok_or_else(|| structural("empty issuer fingerprint subpacket"))?;
        let (length, id) = if *version >= 5 { (32, 0) } else { (20, 12) };
        if fingerprint.len() != length {
            return Err(structural("bad fingerprint length"));
        }
        self.issuer = Some(u64::from_be_bytes(fingerprint[id..id + 8].try_into().expect("eight octets")));
        self.issuer_fingerprint = Some(fingerprint.to_owned());
        Ok(())
    }
}
