//! sprig's keys and certificates (crypto.go). Made of the `RustCrypto` crates, as they are pure Rust and the only ones that make RSA
//! keys without C. What takes most of the time, to look for primes, is `offline-primes`; the little DER there is, is written here.

mod build;
mod der;
mod keys;
mod pem;

use std::sync::Arc;

use super::Kind::{Certificate as Cert, Int, List, Str};
use super::{Call, Function, codec, fixed};
use crate::chart::meter;
use crate::chart::value::{Go, Host};
use build::{Parent, Request};
use keys::Key;

pub(super) const ALL: &[Function] = &[
    fixed("genPrivateKey", &[Str], |c| {
        meter::secrets(if &*c.str(0) == "rsa" { LONG_KEY } else { 1 })?;
        match Key::generate(&c.str(0)) {
            Ok(Some(key)) => Ok(key.pem()?.into()),
            Ok(None) => Ok(format!("Unknown type {}", c.str(0)).into()),
            Err(e) => Ok(format!("failed to generate private key: {e}").into()),
        }
    }),
    fixed("genCA", &[Str, Int], |c| authority(c, &rsa()?)),
    fixed("genCAWithKey", &[Str, Int, Str], |c| authority(c, &parse(&c.str(2))?)),
    fixed("genSelfSignedCert", &[Str, List, List, Int], |c| self_signed(c, &rsa()?)),
    fixed("genSelfSignedCertWithKey", &[Str, List, List, Int, Str], |c| self_signed(c, &parse(&c.str(4))?)),
    fixed("genSignedCert", &[Str, List, List, Int, Cert], |c| signed(c, &rsa()?)),
    fixed("genSignedCertWithKey", &[Str, List, List, Int, Cert, Str], |c| signed(c, &parse(&c.str(5))?)),
    fixed("buildCustomCert", &[Str, Str], custom),
];

/// sprig's `certificate`. Its key is a secret: it is not debugged.
pub(super) struct Certificate {
    cert: String,
    key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl Host for Certificate {
    fn type_name(&self) -> &'static str {
        "sprig.certificate"
    }

    fn field(&self, name: &str) -> Option<Go> {
        match name {
            "Cert" => Some(self.cert.as_str().into()),
            "Key" => Some(self.key.as_str().into()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        format!("{{{} {}}}", self.cert, self.key)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({"Cert": self.cert, "Key": self.key})
    }
}

/// What the RSA keys of certificates (2048 bits) and those of `genPrivateKey` (4096 bits) take of the budget. Measured, on two threads, 20 and 320 ms
/// in the mean. Of the public charts bitnami/apisix makes the most, three long ones and seven short ones.
const KEY: u64 = 15;
/// See [`KEY`].
const LONG_KEY: u64 = 160;

fn rsa() -> Result<Key, String> {
    meter::secrets(KEY)?;
    Key::rsa(2048)
}

fn parse(text: &str) -> Result<Key, String> {
    Key::parse(text).map_err(|e| format!("parsing private key: {e}"))
}

fn finish(request: &Request, key: &Key, parent: Option<&Parent>, signer: &Key) -> Result<Go, String> {
    meter::secrets(1)?;
    let der = request.sign(key, parent, signer).map_err(|e| format!("error creating certificate: {e}"))?;
    Ok(Go::Host(Arc::new(Certificate { cert: pem::encode("CERTIFICATE", &der), key: key.pem()? })))
}

fn authority(c: &Call<'_>, key: &Key) -> Result<Go, String> {
    finish(&Request::new(&c.str(0), &Go::Nil, &Go::Nil, c.int(1), true)?, key, None, key)
}

fn self_signed(c: &Call<'_>, key: &Key) -> Result<Go, String> {
    finish(&Request::new(&c.str(0), &c.any(1), &c.any(2), c.int(3), false)?, key, None, key)
}

fn signed(c: &Call<'_>, key: &Key) -> Result<Go, String> {
    let (cert, signer) = match c.any(4) {
        Go::Host(host) => (host.field("Cert"), host.field("Key")),
        _ => (None, None),
    };
    let text = |value: Option<Go>| value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let (_, bytes) = pem::decode(&text(cert)).ok_or("unable to decode certificate")?;
    let parent = Parent::parse(&bytes).ok_or("error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate")?;
    let signer = Key::parse(&text(signer)).map_err(|e| format!("error parsing private key: {e}"))?;
    finish(&Request::new(&c.str(0), &c.any(1), &c.any(2), c.int(3), false)?, key, Some(&parent), &signer)
}

fn custom(c: &mut Call<'_>) -> Result<Go, String> {
    let decode = |i: usize, what: &str| codec::decode64(&c.str(i)).map_err(|_| format!("unable to decode base64 {what}"));
    let (cert, key) = (decode(0, "certificate")?, decode(1, "private key")?);
    let (cert, key) = (String::from_utf8_lossy(&cert).into_owned(), String::from_utf8_lossy(&key).into_owned());
    let (_, bytes) = pem::decode(&cert).ok_or("unable to decode certificate")?;
    Parent::parse(&bytes).ok_or("error parsing certificate: decodedCert.Bytes: x509: malformed certificate")?;
    Key::parse(&key).map_err(|e| format!("error parsing private key: {e}"))?;
    Ok(Go::Host(Arc::new(Certificate { cert, key })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::engine::Budget;

    #[test]
    fn the_keys_of_public_charts_fit_into_the_budget() {
        assert!(3 * LONG_KEY + 7 * (KEY + 1) <= Budget::default().secrets);
    }
}
