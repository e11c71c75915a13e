//! Passwords, hashes and encryption (sprig's crypto.go).

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::{NoPadding, Pkcs7};
use cbc::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::Kind::{Str, Uint32};
use super::{Call, Function, codec, fixed};
use crate::chart::value::Go;
use crate::chart::{chance, meter};

pub(super) const ALL: &[Function] = &[
    fixed("bcrypt", &[Str], |c| {
        meter::secrets(HASH)?;
        Ok(bcrypt_text(&c.str(0)).into())
    }),
    fixed("htpasswd", &[Str, Str], |c| {
        meter::secrets(HASH)?;
        let user = c.str(0);
        Ok(if user.contains(':') { format!("invalid username: {user}") } else { format!("{user}:{}", bcrypt_text(&c.str(1))) }.into())
    }),
    fixed("derivePassword", &[Uint32, Str, Str, Str, Str], derive),
    fixed("encryptAES", &[Str, Str], encrypt),
    fixed("decryptAES", &[Str, Str], decrypt),
];

/// What hashing a password takes of the budget: a chart gets twelve by itself, and one more for each of its user's values.
const HASH: u64 = 50;
/// What deriving one takes: a chart gets three.
const DERIVATION: u64 = 160;
/// Go's bcrypt.DefaultCost.
const COST: u32 = 10;

/// sprig's `bcrypt`: what goes wrong is the text.
fn bcrypt_text(text: &str) -> String {
    if text.len() > 72 {
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned();
    }
    let mut salt = [0; 16];
    match chance::fill(&mut salt).and_then(|()| bcrypt::hash_with_salt(text, COST, salt).map_err(|e| e.to_string())) {
        Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
        Err(e) => format!("failed to encrypt string with bcrypt: {e}"),
    }
}

/// Master Password's seed.
const SEED: &str = "com.lyndir.masterpassword";

/// `passwordTypeTemplates`.
fn templates(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

/// `templateCharacters`.
fn letters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// A text behind its length.
fn counted(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()[..], text.as_bytes()].concat()
}

/// sprig's `derivePassword`: the Master Password algorithm.
fn derive(c: &mut Call<'_>) -> Result<Go, String> {
    let (kind, password, user, site) = (c.str(1), c.str(2), c.str(3), c.str(4));
    let Some(templates) = templates(&kind) else { return Ok(format!("cannot find password template {kind}").into()) };
    meter::secrets(DERIVATION)?;
    let counter = u32::try_from(c.int(0)).unwrap_or(0);
    let salt = [SEED.as_bytes(), &counted(&user)].concat();
    let parameters = scrypt::Params::new(15, 8, 2, 64).map_err(|e| e.to_string())?;
    let mut key = [0; 64];
    scrypt::scrypt(password.as_bytes(), &salt, &parameters, &mut key).map_err(|e| format!("failed to derive password: {e}"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|e| e.to_string())?;
    mac.update(&[SEED.as_bytes(), &counted(&site), &counter.to_be_bytes()].concat());
    let seed = mac.finalize().into_bytes();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let text = template.bytes().zip(&seed[1..]).map(|(class, number)| {
        let letters = letters(class);
        char::from(letters[usize::from(*number) % letters.len()])
    });
    Ok(text.collect::<String>().into())
}

/// A password as the key of AES-256: cut, or filled up with zeros.
fn aes_key(password: &str) -> [u8; 32] {
    let mut key = [0; 32];
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password.as_bytes()[..length]);
    key
}

fn encrypt(c: &mut Call<'_>) -> Result<Go, String> {
    let text = c.str(1);
    if text.is_empty() {
        return Ok("".into());
    }
    meter::reading(text.len() as u64 * 4)?;
    let mut vector = [0; 16];
    chance::fill(&mut vector)?;
    let sealed = cbc::Encryptor::<Aes256>::new(&aes_key(&c.str(0)).into(), &vector.into()).encrypt_padded_vec_mut::<Pkcs7>(text.as_bytes());
    Ok(STANDARD.encode([&vector[..], &sealed].concat()).into())
}

/// What goes wrong is what Go's panics say.
fn decrypt(c: &mut Call<'_>) -> Result<Go, String> {
    let text = c.str(1);
    if text.is_empty() {
        return Ok("".into());
    }
    meter::reading(text.len() as u64 * 4)?;
    let sealed = codec::decode64(&text)?;
    let Some((vector, sealed)) = sealed.split_first_chunk::<16>() else {
        return Err(format!("runtime error: slice bounds out of range [:16] with capacity {}", (text.len() / 4 * 3).max(sealed.len())));
    };
    if sealed.len() % 16 != 0 {
        return Err("crypto/cipher: input not full blocks".to_owned());
    }
    let mut open =
        cbc::Decryptor::<Aes256>::new(&aes_key(&c.str(0)).into(), vector.into()).decrypt_padded_vec_mut::<NoPadding>(sealed).map_err(|e| e.to_string())?;
    let Some(padding) = open.last().map(|b| usize::from(*b)) else { return Err("runtime error: index out of range [-1]".to_owned()) };
    match open.len().checked_sub(padding) {
        Some(length) => {
            open.truncate(length);
            Ok(Go::from_bytes(&open))
        }
        None => Err(format!("runtime error: slice bounds out of range [:-{}]", padding - open.len())),
    }
}
