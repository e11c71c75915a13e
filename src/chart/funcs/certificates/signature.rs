//! RSA signatures, PKCS #1 version 1.5 with SHA-256 (RFC 8017, 8.2.1), over the key's two primes. The `rsa` crate's take several times as long.

use num_bigint_dig::BigUint;
use rsa::RsaPrivateKey;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use sha2::{Digest as _, Sha256};

/// `DigestInfo` up to the hash (RFC 8017, 9.2, note 1).
const SHA256: &[u8] = &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Signs a message.
pub(super) fn sign(key: &RsaPrivateKey, message: &[u8]) -> Result<Vec<u8>, String> {
    let length = key.n().bits().div_ceil(8);
    let quick = padded(message, length).and_then(|padded| by_primes(key, &padded, length));
    if let Some(signature) = quick {
        return Ok(signature);
    }
    // A key of three primes, or of an unusual size.
    rsa::pkcs1v15::SigningKey::<Sha256>::new(key.clone()).try_sign(message).map(|signature| signature.to_vec()).map_err(|e| e.to_string())
}

/// `EMSA-PKCS1-v1_5`; none if the key is too short.
fn padded(message: &[u8], length: usize) -> Option<Vec<u8>> {
    let fill = length.checked_sub(3 + SHA256.len() + 32).filter(|fill| *fill >= 8)?;
    Some([&[0, 1], vec![0xff; fill].as_slice(), &[0], SHA256, &Sha256::digest(message)].concat())
}

/// `RSASP1` (RFC 8017, 5.2.1) by the theorem of Chinese remainders; held against the message, as a fault would tell the primes.
fn by_primes(key: &RsaPrivateKey, padded: &[u8], length: usize) -> Option<Vec<u8>> {
    let [p, q] = key.primes() else { return None };
    let (dp, dq, inverse) = (key.dp()?, key.dq()?, key.qinv()?.to_biguint()?);
    let power = |base: &[u8], exponent: &BigUint, modulus: &BigUint| {
        offline_primes::power(base, &exponent.to_bytes_be(), &modulus.to_bytes_be()).map(|bytes| BigUint::from_bytes_be(&bytes))
    };
    let (over_p, over_q) = (power(padded, dp, p)?, power(padded, dq, q)?);
    let difference = (over_p + p - &over_q % p) % p;
    let signature = over_q + (inverse * difference % p) * q;
    if power(&signature.to_bytes_be(), key.e(), key.n())? != BigUint::from_bytes_be(padded) {
        return None;
    }
    let bytes = signature.to_bytes_be();
    Some([vec![0; length - bytes.len()], bytes].concat())
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn signatures_are_those_of_the_rsa_crate() {
        for bits in [512, 1024, 1030, 2048] {
            let key = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
            let length = key.n().bits().div_ceil(8);
            for message in [&b""[..], b"a certificate", &[0xff; 1000]] {
                let theirs = rsa::pkcs1v15::SigningKey::<Sha256>::new(key.clone()).try_sign(message).unwrap().to_vec();
                assert_eq!(by_primes(&key, &padded(message, length).unwrap(), length).as_ref(), Some(&theirs), "{bits}");
                assert_eq!(sign(&key, message), Ok(theirs));
            }
        }
    }

    #[test]
    fn keys_that_are_unusual_are_left_to_the_rsa_crate() {
        let key = RsaPrivateKey::new(&mut OsRng, 480).unwrap();
        assert_eq!(padded(b"", 60), None, "too short for a hash");
        assert!(sign(&key, b"").is_err());
    }
}
