//! Cleartext signatures (RFC 9580, section 7), as go-crypto's openpgp/clearsign reads them.

use super::armor;

const START: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "\n-----END PGP SIGNATURE-----";
const HASHES: [&str; 9] = ["MD5", "SHA1", "RIPEMD160", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"];

/// A text with a signature under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleartext {
    /// What was signed, with ends of lines as on Unix.
    pub text: String,
    /// What was signed, as it is hashed.
    pub(super) signed: Vec<u8>,
    /// Signature packets.
    pub(super) signatures: Vec<u8>,
}

impl Cleartext {
    /// The first signed text in a file; none where there is none, or it is cut or malformed.
    pub fn find(file: &str) -> Option<Self> {
        let from = if file.starts_with(START) { 0 } else { file.find(&format!("\n{START}"))? + 1 };
        let mut rest = line(&file[from + START.len()..]).filter(|(suffix, _)| suffix.is_empty())?.1;
        loop {
            let (header, after) = line(rest)?;
            rest = after;
            if header.trim().is_empty() {
                break;
            }
            if !is_hash_header(header) {
                return None;
            }
        }
        let mut lines = Vec::new();
        loop {
            let (one, after) = line(rest)?;
            if one == SIGNATURE {
                break;
            }
            rest = after;
            lines.push(one.strip_prefix("- ").unwrap_or(one).trim_end_matches([' ', '\t']));
        }
        let end = rest.find(END)? + END.len();
        let block = armor::first(&rest[..end]).ok()??;
        Some(Self { text: lines.join("\n"), signed: lines.join("\r\n").into_bytes(), signatures: block.body })
    }
}

/// The next line and what comes after it; none at the end.
fn line(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    Some((if rest.is_empty() && !text.ends_with('\n') { line } else { line.strip_suffix('\r').unwrap_or(line) }, rest))
}

/// `Hash: SHA512`; no other header may stand there.
fn is_hash_header(line: &str) -> bool {
    let Some((key, values)) = line.split_once(':') else { return false };
    line.bytes().all(|c| (0x20..=0x7e).contains(&c))
        && key.trim() == "Hash"
        && values.split(',').all(|value| HASHES.contains(&value.trim().to_ascii_uppercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\na: 1 \t\n- -b\n\n-----BEGIN PGP SIGNATURE-----\n\naGVsbG8=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn texts_are_unescaped_and_trimmed() {
        let found = Cleartext::find(GOOD).unwrap();
        assert_eq!(
            (found.text.as_str(), found.signed.as_slice(), found.signatures.as_slice()),
            ("a: 1\n-b\n", b"a: 1\r\n-b\r\n".as_slice(), b"hello".as_slice())
        );
        assert_eq!(Cleartext::find(&GOOD.replace('\n', "\r\n")), Some(found.clone()));
        assert_eq!(Cleartext::find(&format!("before\n{GOOD}after")), Some(found));
    }

    #[test]
    fn what_is_cut_or_malformed_is_none() {
        for (at, _) in GOOD.char_indices().take(GOOD.len() - 1) {
            assert_eq!(Cleartext::find(&GOOD[..at]), None, "{at}");
        }
        for (from, to) in [("Hash: SHA512", "Hash: SHA9"), ("Hash: SHA512", "Charset: UTF-8"), ("MESSAGE-----", "MESSAGE-----x"), ("aGVs", "*")] {
            assert_eq!(Cleartext::find(&GOOD.replacen(from, to, 1)), None, "{to}");
        }
    }
}
