//! cosign's encrypted private keys: PKCS#8 in a secretbox whose key comes from the password by scrypt, as JSON in PEM
//! (cosign, pkg/cosign/keys.go; go-securesystemslib, encrypted/encrypted.go).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{
    XSalsa20Poly1305,
    aead::{Aead as _, KeyInit as _},
};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::KeyError;
use crate::redact::Secret;

/// What cosign writes today.
const N: u64 = 65_536;
/// Where there is no password: what cosign wrote first, and still reads. A guess of nothing is right at once, so the rest of the time would be lost by
/// nobody but the owner of the key, with every archive that it signs.
const N_WITHOUT_PASSWORD: u64 = 32_768;
/// From cosign's first keys (32768) to the OWASP setting of go-securesystemslib (131072).
const N_ACCEPTED: std::ops::RangeInclusive<u64> = 16_384..=131_072;

#[derive(Serialize, Deserialize)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Encrypts a key in DER; the result is PEM.
pub(crate) fn seal(der: &[u8], password: &Secret<String>) -> Result<String, KeyError> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    let random = |bytes: &mut [u8]| OsRng.try_fill_bytes(bytes).map_err(|e| KeyError::System(e.to_string()));
    random(&mut salt)?;
    random(&mut nonce)?;
    let n = if password.expose().is_empty() { N_WITHOUT_PASSWORD } else { N };
    let params = Params { n, r: 8, p: 1 };
    let key = derive(password, &salt, &params)?;
    let ciphertext = XSalsa20Poly1305::new((&*key).into()).encrypt((&nonce).into(), der).map_err(|_| KeyError::System("encryption failed".into()))?;
    let envelope = Envelope {
        kdf: Kdf { name: "scrypt".into(), params, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext),
    };
    let json = serde_json::to_vec(&envelope).expect("strings and numbers serialise");
    Ok(armour("ENCRYPTED SIGSTORE PRIVATE KEY", &json))
}

/// Decrypts what stands in the PEM block.
pub(crate) fn unseal(json: &[u8], password: &Secret<String>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let envelope: Envelope = serde_json::from_slice(json).map_err(|e| KeyError::Envelope(e.to_string()))?;
    for (found, wanted) in [(&envelope.kdf.name, "scrypt"), (&envelope.cipher.name, "nacl/secretbox")] {
        if found != wanted {
            return Err(KeyError::Envelope(format!("it uses `{found}`; wanted `{wanted}`")));
        }
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|e| KeyError::Envelope(e.to_string()));
    let nonce: [u8; 24] = decode(&envelope.cipher.nonce)?.try_into().map_err(|_| KeyError::Envelope("the nonce has not 24 bytes".into()))?;
    let key = derive(password, &decode(&envelope.kdf.salt)?, &envelope.kdf.params)?;
    let opened = XSalsa20Poly1305::new((&*key).into()).decrypt((&nonce).into(), decode(&envelope.ciphertext)?.as_slice());
    opened.map(Zeroizing::new).map_err(|_| KeyError::WrongPassword)
}

fn derive(password: &Secret<String>, salt: &[u8], &Params { n, r, p }: &Params) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let cost = KeyError::Cost { n, r, p };
    if !n.is_power_of_two() || !N_ACCEPTED.contains(&n) || r != 8 || p != 1 {
        return Err(cost);
    }
    let n = usize::try_from(n).map_err(|_| cost)?;
    Ok(offline_scrypt::derive(password.expose().as_bytes(), salt, n))
}

/// Bytes as PEM (RFC 7468), 64 characters a line.
pub(crate) fn armour(label: &str, bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}
