//! What of a certificate is asked for and rustls does not tell: who issued it, when it is valid, what it is for (RFC 5280, 4.1 and 4.2.1.12).

use std::time::Duration;

use rustls::{CertificateError, pki_types::UnixTime};
use sec1::der::{
    self, Decode as _, Encode as _, ErrorKind, Reader as _, Tag, Tagged as _,
    asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime},
};

/// Extended key usage, with those of its values that let a server present a certificate.
const USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const FOR_SERVERS: [ObjectIdentifier; 2] = [ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"), ObjectIdentifier::new_unwrap("2.5.29.37.0")];

/// Some of a certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The issuer's name in DER.
    pub(super) issuer: Vec<u8>,
    from: Duration,
    until: Duration,
    for_servers: bool,
}

impl Certificate {
    /// Reads one in DER.
    pub(super) fn parse(der: &[u8]) -> der::Result<Self> {
        let outer = parts(AnyRef::from_der(der)?)?;
        let fields = parts(*outer.first().ok_or(ErrorKind::Failed)?)?;
        // The version is left out where it is 1.
        let first = usize::from(fields.first().is_some_and(|field| field.tag().is_context_specific()));
        // Serial number, signature, issuer, validity.
        let [_, _, issuer, validity, rest @ ..] = &fields[first..] else { return Err(ErrorKind::Failed.into()) };
        let [from, until] = parts(*validity)?[..] else { return Err(ErrorKind::Failed.into()) };
        let extensions = rest.iter().find(|field| matches!(field.tag(), Tag::ContextSpecific { number, .. } if number.value() == 3));
        let for_servers = extensions.map_or(Ok(true), |extensions| for_servers(AnyRef::from_der(extensions.value())?))?;
        Ok(Self { issuer: issuer.to_der()?, from: time(from)?, until: time(until)?, for_servers })
    }

    /// Whether a server may present it now.
    pub(super) fn serves(&self, now: UnixTime) -> Result<(), CertificateError> {
        let now = Duration::from_secs(now.as_secs());
        if now < self.from {
            return Err(CertificateError::NotValidYet);
        }
        if now > self.until {
            return Err(CertificateError::Expired);
        }
        if self.for_servers { Ok(()) } else { Err(CertificateError::InvalidPurpose) }
    }
}

/// What a sequence is made of.
fn parts(sequence: AnyRef<'_>) -> der::Result<Vec<AnyRef<'_>>> {
    sequence.sequence(|reader| {
        let mut found = Vec::new();
        while !reader.is_finished() {
            found.push(reader.decode()?);
        }
        Ok(found)
    })
}

fn time(of: AnyRef<'_>) -> der::Result<Duration> {
    match of.tag() {
        Tag::UtcTime => Ok(of.decode_as::<UtcTime>()?.to_unix_duration()),
        _ => Ok(of.decode_as::<GeneralizedTime>()?.to_unix_duration()),
    }
}

/// A certificate that does not say what it is for may be for anything.
fn for_servers(extensions: AnyRef<'_>) -> der::Result<bool> {
    for extension in parts(extensions)? {
        let fields = parts(extension)?;
        let (Some(name), Some(value)) = (fields.first(), fields.last()) else { return Err(ErrorKind::Failed.into()) };
        if name.decode_as::<ObjectIdentifier>()? == USAGE {
            let usages = parts(AnyRef::from_der(value.value())?)?;
            let usages = usages.into_iter().map(AnyRef::decode_as::<ObjectIdentifier>).collect::<der::Result<Vec<_>>>()?;
            return Ok(usages.iter().any(|usage| FOR_SERVERS.contains(usage)));
        }
    }
    Ok(true)
}
