//! Certificates as Go's `x509.CreateCertificate` writes them for sprig's template (crypto.go, `getBaseCertTemplate`).

use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::der;
use super::keys::Key;
use crate::chart::chance;
use crate::chart::gotmpl::quote;
use crate::chart::value::{Go, sprint};

/// What a certificate says.
pub(super) struct Request {
    name: String,
    addresses: Vec<IpAddr>,
    hosts: Vec<String>,
    days: i64,
    authority: bool,
}

/// Who signs.
pub(super) struct Parent {
    subject: Vec<u8>,
    identifier: Option<Vec<u8>>,
    public: Vec<u8>,
}

impl Request {
    pub(super) fn new(name: &str, addresses: &Go, hosts: &Go, days: i64, authority: bool) -> Result<Self, String> {
        let text = |value: &Go| if let Go::Str(text) = value { Ok(text.to_string()) } else { Err(sprint(std::slice::from_ref(value))) };
        let items = |value: &Go| if let Go::List(items) = value { items.to_vec() } else { Vec::new() };
        let addresses = items(addresses).into_iter().map(|value| {
            let value = &value;
            let text = text(value).map_err(|shown| format!("error parsing ip: {shown} is not a string"))?;
            text.parse::<IpAddr>().map_err(|_| format!("error parsing ip: {text}"))
        });
        let addresses = addresses.collect::<Result<_, _>>()?;
        let hosts = items(hosts).into_iter().map(|value| text(&value).map_err(|shown| format!("error processing alternate dns name: {shown} is not a string")));
        Ok(Request { name: name.to_owned(), addresses, hosts: hosts.collect::<Result<_, _>>()?, days, authority })
    }

    /// The distinguished name: the common name alone.
    fn subject(&self) -> Vec<u8> {
        if self.name.is_empty() {
            return der::sequence(&[]);
        }
        let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
        let tag = if self.name.bytes().all(printable) { 0x13 } else { 0x0c };
        let attribute = der::sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &der::element(tag, self.name.as_bytes())]);
        der::sequence(&[&der::element(0x31, &attribute)])
    }

    /// From now on, for so many days.
    fn validity(&self) -> Result<Vec<u8>, String> {
        let now = chance::now();
        // Go's durations wrap.
        let nanoseconds = 86_400_000_000_000_i64.wrapping_mul(self.days);
        let end = now
            .checked_add(jiff::SignedDuration::from_nanos(nanoseconds))
            .map_err(|_| "asn1: structure error: cannot represent time as GeneralizedTime".to_owned())?;
        Ok(der::sequence(&[&time(now), &time(end)]))
    }

    /// `buildCertExtensions`, in its order.
    fn extensions(&self, key: &[u8], parent: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let usage: &[u8] = if self.authority { &[0x03, 0x02, 0x02, 0xa4] } else { &[0x03, 0x02, 0x05, 0xa0] };
        let purpose = |last: u8| der::element(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, last]);
        let constraints = if self.authority { der::sequence(&[&[0x01, 0x01, 0xff]]) } else { der::sequence(&[]) };
        let mut all = vec![extension(15, true, usage), extension(37, false, &der::sequence(&[&purpose(1), &purpose(2)])), extension(19, true, &constraints)];
        if self.authority {
            all.push(extension(14, false, &der::octets(&identifier(key))));
        }
        if let Some(parent) = parent {
            all.push(extension(35, false, &der::sequence(&[&der::element(0x80, parent)])));
        }
        if !self.hosts.is_empty() || !self.addresses.is_empty() {
            let mut names = Vec::new();
            for host in &self.hosts {
                if !host.is_ascii() {
                    return Err(format!("x509: {} cannot be encoded as an IA5String", quote(host)));
                }
                names.push(der::element(0x82, host.as_bytes()));
            }
            names.extend(self.addresses.iter().map(|address| match address {
                IpAddr::V4(address) => der::element(0x87, &address.octets()),
                IpAddr::V6(address) => match address.to_ipv4_mapped() {
                    Some(address) => der::element(0x87, &address.octets()),
                    None => der::element(0x87, &address.octets()),
                },
            }));
            all.push(extension(17, self.name.is_empty(), &der::element(0x30, &names.concat())));
        }
        Ok(der::element(0xa3, &der::element(0x30, &all.concat())))
    }

    /// The certificate in DER, signed by the parent, or by its own key.
    pub(super) fn sign(&self, key: &Key, parent: Option<&Parent>, signer: &Key) -> Result<Vec<u8>, String> {
        let algorithm = signer.algorithm().ok_or("x509: certificate private key does not implement crypto.Signer")?;
        let public = key.public().ok_or("x509: unsupported public key type: *dsa.PublicKey")?;
        if parent.is_some_and(|parent| signer.public().as_ref() != Some(&parent.public)) {
            return Err("x509: provided PrivateKey doesn't match parent's PublicKey".to_owned());
        }
        let mut serial = [0; 16];
        chance::fill(&mut serial)?;
        let subject = self.subject();
        let issuer = parent.map_or(&subject, |parent| &parent.subject);
        let identifier = parent.filter(|_| *issuer != subject).and_then(|parent| parent.identifier.as_deref());
        let version = der::element(0xa0, &der::integer(&[2]));
        let extensions = self.extensions(&public, identifier)?;
        let body = der::sequence(&[&version, &der::integer(&serial), algorithm, issuer, &self.validity()?, &subject, &public, &extensions]);
        let signature = signer.sign(&body)?;
        Ok(der::sequence(&[&body, algorithm, &der::bits(&signature)]))
    }
}

impl Parent {
    /// What a certificate says of its holder; none if it is not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let whole = der::read(bytes).filter(|read| read.tag == 0x30)?;
        let body = der::read(whole.content)?;
        let mut parts = der::elements(body.content)?;
        if parts.first()?.tag == 0xa0 {
            parts.remove(0);
        }
        let (subject, public) = (parts.get(4)?.whole.to_vec(), parts.get(5)?.whole.to_vec());
        let mut identifier = None;
        if let Some(extensions) = parts.iter().find(|part| part.tag == 0xa3) {
            for one in der::elements(der::read(extensions.content)?.content)? {
                let fields = der::elements(one.content)?;
                if fields.first()?.content == [0x55, 0x1d, 14] {
                    identifier = der::read(fields.last()?.content).map(|value| value.content.to_vec());
                }
            }
        }
        Some(Parent { subject, identifier, public })
    }
}

/// `id-ce` extensions.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    der::sequence(&[&[0x06, 0x03, 0x55, 0x1d, number], flag, &der::octets(value)])
}

/// RFC 7093, method 1: the start of the SHA-256 of the public key's bits.
fn identifier(public: &[u8]) -> Vec<u8> {
    let bits = der::read(public).and_then(|info| der::elements(info.content)).and_then(|parts| parts.get(1).map(|bits| bits.content.to_vec()));
    Sha256::digest(bits.as_deref().and_then(|bits| bits.get(1..)).unwrap_or_default())[..20].to_vec()
}

/// `UTCTime` up to 2049, `GeneralizedTime` beyond.
fn time(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", at.month(), at.day(), at.hour(), at.minute(), at.second());
    if (1950..2050).contains(&at.year()) {
        der::element(0x17, format!("{:02}{rest}", at.year() % 100).as_bytes())
    } else {
        der::element(0x18, format!("{:04}{rest}", at.year()).as_bytes())
    }
}
