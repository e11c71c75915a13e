//! Keyrings, and whether a key of one made a signature (go-crypto, openpgp/keys.go and read.go).

use std::fmt::Write as _;

use super::{
    Cleartext, PgpError, armor,
    key::PublicKey,
    packet::{self, Packet},
    signature::{CERTIFICATION, CERTIFICATION_REVOKED, DIRECT, Hash, KEY_REVOKED, SUBKEY, SUBKEY_REVOKED, Signature, TEXT},
    structural,
};

/// Keys of those who may sign.
#[derive(Debug)]
pub struct Keyring {
    /// Packets by primary key. What they say about each other is checked for the keys that are used.
    certificates: Vec<Vec<Packet>>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, in upper-case hexadecimal digits as `gpg` shows it.
    pub fingerprint: String,
    /// Names that the key has, as in `NAME <ADDRESS>`.
    pub identities: Vec<String>,
}

/// A key with what is said about it: an entity, as go-crypto calls it.
struct Certificate<'a> {
    primary: &'a PublicKey,
    identities: Vec<Identity<'a>>,
    subkeys: Vec<Subkey<'a>>,
    revocations: Vec<&'a Signature>,
    /// What a version 6 key says about itself.
    direct: Option<&'a Signature>,
}

struct Identity<'a> {
    name: &'a [u8],
    signature: &'a Signature,
    revocations: Vec<&'a Signature>,
}

struct Subkey<'a> {
    key: &'a PublicKey,
    binding: &'a Signature,
    revocations: Vec<&'a Signature>,
}

impl Keyring {
    /// Reads a keyring, binary or armored, as `gpg --export` writes it. Keys that cannot be used are passed over while there is another.
    pub fn read(bytes: &[u8]) -> Result<Self, PgpError> {
        let armored = armor::is_armored(bytes).then(|| dearmored(bytes)).transpose()?;
        let mut ring = Self { certificates: Vec::new() };
        for packet in packet::all(armored.as_deref().unwrap_or(bytes))? {
            let begins = matches!(&packet, Packet::Key(key) if !key.subkey) || matches!(packet, Packet::UnknownKey { subkey: false });
            match ring.certificates.last_mut() {
                Some(last) if !begins => last.push(packet),
                None if !begins => return Err(structural("first packet was not a public/private key")),
                _ => ring.certificates.push(vec![packet]),
            }
        }
        Ok(ring)
    }

    /// Who of the ring signed the text (`CheckDetachedSignature`). `now` is in seconds since 1970.
    ///
    /// The first signature that names a key of the ring decides. SHA-1, which go-crypto takes, is no proof any more.
    pub fn signer(&self, message: &Cleartext, now: u64) -> Result<Signer, PgpError> {
        for packet in packet::all(&message.signatures)? {
            let signature = match packet {
                Packet::Signature(signature) => signature,
                Packet::Broken(error) => return Err(error),
                Packet::Key(_) | Packet::UserId(_) => return Err(structural("non signature packet found")),
                Packet::UnknownKey { .. } | Packet::Other => continue,
            };
            let issuer = signature.said.issuer.ok_or_else(|| structural("signature doesn't have an issuer"))?;
            let certificates: Vec<Certificate<'_>> = self.with(issuer).collect();
            let keys: Vec<_> = certificates.iter().flat_map(|certificate| certificate.signing_keys(issuer)).collect();
            if keys.is_empty() {
                continue;
            }
            if signature.kind > TEXT || signature.hash == Hash::Sha1 {
                let what = if signature.kind > TEXT { format!("signature type {}", signature.kind) } else { "hash function SHA-1".to_owned() };
                return Err(PgpError::Unsupported(what));
            }
            let mut failed = PgpError::UnknownIssuer;
            for (certificate, subkey) in keys {
                let key = subkey.map_or(certificate.primary, |subkey| subkey.key);
                match key.verify(&signature, &[&message.signed]) {
                    Ok(()) => return certificate.check(subkey, &signature, now).map(|()| certificate.signer()),
                    Err(error) => failed = error,
                }
            }
            return Err(failed);
        }
        Err(PgpError::UnknownIssuer)
    }

    /// Certificates with a key of this name that are in order.
    fn with(&self, id: u64) -> impl Iterator<Item = Certificate<'_>> {
        let named = move |packet: &Packet| matches!(packet, Packet::Key(key) if key.id == id);
        self.certificates.iter().filter(move |packets| packets.iter().any(named)).filter_map(move |packets| match Certificate::read(packets) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                tracing::warn!(%error, key = %format_args!("{id:016X}"), "a key of the keyring is passed over");
                None
            }
        })
    }
}

/// All blocks would be more than go-crypto reads: it takes the first.
fn dearmored(bytes: &[u8]) -> Result<Vec<u8>, PgpError> {
    let text = std::str::from_utf8(bytes).map_err(|_| structural("armor invalid"))?;
    let block = armor::first(text)?.ok_or(PgpError::Argument("no armored data found"))?;
    match block.kind.as_str() {
        "PGP PUBLIC KEY BLOCK" | "PGP PRIVATE KEY BLOCK" => Ok(block.body),
        _ => Err(PgpError::Argument("expected public or private key block")),
    }
}

impl<'a> Certificate<'a> {
    /// `ReadEntity`: everything that the key says about itself must be signed by it.
    fn read(packets: &'a [Packet]) -> Result<Self, PgpError> {
        let Some((Packet::Key(primary), rest)) = packets.split_first() else { return Err(structural("first packet was not a public/private key")) };
        if !primary.can_sign() {
            return Err(structural("primary key cannot be used for signatures"));
        }
        let mut found = Self { primary, identities: Vec::new(), subkeys: Vec::new(), revocations: Vec::new(), direct: None };
        let mut rest = rest;
        while let Some((packet, after)) = rest.split_first() {
            let (signatures, next) = signatures(after);
            match packet {
                Packet::Broken(error) => return Err(error.clone()),
                Packet::Signature(signature) => {
                    found.about_itself(signature)?;
                    rest = after;
                    continue;
                }
                Packet::UserId(name) => found.identity(name, &signatures)?,
                Packet::Key(key) => found.subkey(key, &signatures)?,
                Packet::UnknownKey { .. } | Packet::Other => {}
            }
            rest = next;
        }
        if primary.version == 6 && found.direct.is_none() {
            return Err(structural("v6 entity without a valid direct-key signature"));
        }
        if primary.version < 6 && found.identities.is_empty() {
            return Err(structural("v4 entity without any identities"));
        }
        Ok(found)
    }

    fn about_itself(&mut self, signature: &'a Signature) -> Result<(), PgpError> {
        match signature.kind {
            KEY_REVOKED => {
                // Others who may take it back are not known (section 5.2.3.23): rather no key than one that was taken back.
                self.primary.verify(signature, &[&self.primary.hashed()]).map_err(|_| structural("revocation signature signed by alternate key"))?;
                self.revocations.push(signature);
            }
            DIRECT if self.primary.version == 6 && self.primary.is_named_by(signature) => {
                self.primary.verify(signature, &[&self.primary.hashed()])?;
                if self.direct.is_none_or(|before| signature.created() > before.created()) {
                    self.direct = Some(signature);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn identity(&mut self, name: &'a [u8], signatures: &[&'a Signature]) -> Result<(), PgpError> {
        let (mut own, mut revocations) = (None::<&Signature>, Vec::new());
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes();
        let hashed = [&self.primary.hashed(), &[0xb4][..], &length, name].concat();
        for signature in signatures {
            if !CERTIFICATION.contains(&signature.kind) && signature.kind != CERTIFICATION_REVOKED {
                return Err(structural("user ID signature with wrong type"));
            }
            if !self.primary.is_named_by(signature) {
                continue;
            }
            self.primary.verify(signature, &[&hashed]).map_err(|error| structural(format!("user ID self-signature invalid: {error}")))?;
            if signature.kind == CERTIFICATION_REVOKED {
                revocations.push(*signature);
            } else if own.is_none_or(|before| signature.created() > before.created()) {
                own = Some(signature);
            }
        }
        self.identities.extend(own.map(|signature| Identity { name, signature, revocations }));
        Ok(())
    }

    fn subkey(&mut self, key: &'a PublicKey, signatures: &[&'a Signature]) -> Result<(), PgpError> {
        let (mut binding, mut revocations) = (None::<&Signature>, Vec::new());
        let hashed = [self.primary.hashed(), key.hashed()].concat();
        for signature in signatures {
            let invalid = |error: PgpError| structural(format!("subkey signature invalid: {error}"));
            if !matches!(signature.kind, SUBKEY | SUBKEY_REVOKED) {
                return Err(structural("subkey signature with wrong type"));
            }
            self.primary.verify(signature, &[&hashed]).map_err(invalid)?;
            // A subkey that signs says itself whose it is, so that nobody can claim another's.
            if signature.may_sign() {
                let cross = signature.said.cross.as_ref().ok_or_else(|| structural("signing subkey is missing cross-signature"))?;
                key.verify(cross, &[&hashed]).map_err(invalid)?;
            }
            if signature.kind == SUBKEY_REVOKED {
                revocations.push(*signature);
            } else if binding.is_none_or(|before| signature.created() > before.created()) {
                binding = Some(signature);
            }
        }
        let binding = binding.ok_or_else(|| structural("subkey packet not followed by signature"))?;
        self.subkeys.push(Subkey { key, binding, revocations });
        Ok(())
    }

    /// `PrimarySelfSignature`: what the key says about itself, with the identity that it says it with.
    fn about(&self) -> (&'a Signature, Option<&Identity<'a>>) {
        if let Some(direct) = self.direct {
            return (direct, None);
        }
        let rank = |identity: &&Identity<'a>| {
            let revocations = usize::MAX - identity.revocations.len();
            (revocations, identity.signature.said.primary, identity.signature.created())
        };
        let best = self.identities.iter().max_by_key(rank).expect("a certificate without identities has a direct signature");
        (best.signature, Some(best))
    }

    /// `KeysByIdUsage`: the key, and those of its subkeys, that have this name and may sign. None stands for the key itself.
    fn signing_keys(&self, id: u64) -> impl Iterator<Item = (&Self, Option<&Subkey<'a>>)> {
        let primary = (self.primary.id == id && self.about().0.may_sign()).then_some((self, None));
        let subkeys = self.subkeys.iter().filter(move |subkey| subkey.key.id == id && subkey.binding.may_sign());
        primary.into_iter().chain(subkeys.map(move |subkey| (self, Some(subkey))))
    }

    /// `checkMessageSignatureDetails`: nothing that leads to the signature is taken back or out of time.
    fn check(&self, subkey: Option<&Subkey<'a>>, signature: &Signature, now: u64) -> Result<(), PgpError> {
        let (about, identity) = self.about();
        let binding = subkey.map(|subkey| subkey.binding);
        let cross = binding.and_then(|binding| binding.said.cross.as_deref());
        let on_the_way: Vec<&Signature> = [Some(signature), Some(about), binding, cross].into_iter().flatten().collect();
        if let Some(name) = on_the_way.iter().find_map(|signature| signature.said.critical_notation.clone()) {
            return Err(PgpError::Notation(name));
        }
        // Whatever the reason and the time: one that is taken back later on may have been stolen before.
        let identity_revoked = identity.is_some_and(|identity| !identity.revocations.is_empty());
        if !self.revocations.is_empty() || subkey.is_some_and(|subkey| !subkey.revocations.is_empty()) || identity_revoked {
            return Err(PgpError::KeyRevoked);
        }
        if self.primary.expired(about, now) || subkey.is_some_and(|subkey| subkey.key.expired(subkey.binding, now)) {
            return Err(PgpError::KeyExpired);
        }
        if on_the_way.iter().any(|signature| signature.expired(now)) {
            return Err(PgpError::SignatureExpired);
        }
        Ok(())
    }

    fn signer(&self) -> Signer {
        let mut fingerprint = String::new();
        for octet in &self.primary.fingerprint {
            write!(fingerprint, "{octet:02X}").expect("writing to a string does not fail");
        }
        let identities = self.identities.iter().map(|identity| String::from_utf8_lossy(identity.name).into_owned()).collect();
        Signer { fingerprint, identities }
    }
}

/// Signatures up to what comes after them.
fn signatures(packets: &[Packet]) -> (Vec<&Signature>, &[Packet]) {
    let mut found = Vec::new();
    for (at, packet) in packets.iter().enumerate() {
        match packet {
            Packet::Signature(signature) => found.push(signature.as_ref()),
            // Trust, and signatures that are not known.
            Packet::Other => {}
            _ => return (found, &packets[at..]),
        }
    }
    (found, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The certificate of RFC 9580, appendix A.3, and the text that it signed, appendix A.6.
    const RING: &str = include_str!("../../tests/fixtures/openpgp/v6.asc");
    const MESSAGE: &str = include_str!("../../tests/fixtures/openpgp/v6-message.asc");
    const NOW: u64 = 1_750_000_000;

    #[test]
    fn keys_of_version_6() {
        let (ring, message) = (Keyring::read(RING.as_bytes()).unwrap(), Cleartext::find(MESSAGE).unwrap());
        assert_eq!(ring.signer(&message, NOW).unwrap().fingerprint, "CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9");
        assert_eq!(ring.signer(&message, 1_000_000_000), Err(PgpError::KeyExpired), "long before it was made");
        assert_eq!(Keyring::read(b"").unwrap().signer(&message, NOW), Err(PgpError::UnknownIssuer));
    }

    /// No byte of a signed text can be changed, and no change of ring or signature ends in a panic.
    #[test]
    fn changed_bytes_are_seen() {
        let (ring, message) = (Keyring::read(RING.as_bytes()).unwrap(), Cleartext::find(MESSAGE).unwrap());
        for at in 0..message.signed.len() {
            let mut changed = message.clone();
            changed.signed[at] ^= 1;
            assert!(ring.signer(&changed, NOW).is_err(), "{at}");
        }
        for at in 0..message.signatures.len() {
            let mut changed = message.clone();
            changed.signatures[at] ^= 0x41;
            let _ = ring.signer(&changed, NOW);
            changed.signatures.truncate(at);
            assert!(ring.signer(&changed, NOW).is_err(), "{at}");
        }
        let packets = dearmored(RING.as_bytes()).unwrap();
        for at in (0..packets.len()).step_by(5) {
            let mut changed = packets.clone();
            changed[at] ^= 0x41;
            let _ = Keyring::read(&changed).map(|ring| ring.signer(&message, NOW));
            let _ = Keyring::read(&packets[..at]).map(|ring| ring.signer(&message, NOW));
        }
    }
}
