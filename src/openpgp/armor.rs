//! ASCII armor (RFC 9580, section 6), as go-crypto's openpgp/armor reads it: the checksum does not count.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

use super::{PgpError, structural};

const START: &str = "-----BEGIN ";
const END_OF_LINE: &str = "-----";
const END: &str = "-----END ";
/// Longest line of a block.
const LINE: usize = 96;

/// An armored block.
#[derive(Debug)]
pub(super) struct Block {
    /// What is in it, as in `PGP SIGNATURE`.
    pub(super) kind: String,
    /// Its bytes.
    pub(super) body: Vec<u8>,
}

/// Whether a file looks armored rather than binary (helm 4, pkg/provenance, `isArmored`).
pub(super) fn is_armored(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(START.as_bytes())
}

/// The first block; what comes before it does not count.
pub(super) fn first(text: &str) -> Result<Option<Block>, PgpError> {
    let mut lines = text.lines().map(str::trim);
    'block: loop {
        let Some(head) = lines.find(|line| line.len() > START.len() + END_OF_LINE.len() && line.starts_with(START)) else { return Ok(None) };
        let kind = head[START.len()..].strip_suffix(END_OF_LINE).unwrap_or_default().to_owned();
        for line in lines.by_ref() {
            if line.is_empty() {
                return body(lines).map(|body| Some(Block { kind, body }));
            }
            if !line.contains(':') {
                continue 'block;
            }
        }
        return Ok(None);
    }
}

fn body<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, PgpError> {
    let mut digits = String::new();
    for line in lines {
        if line.starts_with(END) || (line.len() == 5 && line.starts_with('=')) {
            return decode(&digits);
        }
        if line.len() > LINE {
            return Err(structural("armor invalid"));
        }
        digits.push_str(line);
    }
    Err(PgpError::Cut)
}

fn decode(digits: &str) -> Result<Vec<u8>, PgpError> {
    // Go's decoder does not look at the bits that padding leaves over.
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    engine.decode(digits).map_err(|_| structural("illegal base64 data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_and_decoded() {
        let good = "noise\n-----BEGIN PGP SIGNATURE-----\nVersion: x\n\naGVs\nbG8=\n=abcd\n-----END PGP SIGNATURE-----\n";
        let block = first(good).unwrap().unwrap();
        assert_eq!((block.kind.as_str(), block.body.as_slice()), ("PGP SIGNATURE", b"hello".as_slice()));
        assert_eq!(first(&good.replace('\n', "\r\n")).unwrap().unwrap().body, b"hello");
        assert_eq!(first(&good.replace("=abcd\n", "")).unwrap().unwrap().body, b"hello");
        assert!(first(&good.replace("Version: x", "Version")).unwrap().is_none(), "a header without a colon");
        assert!(first("").unwrap().is_none());
        for bad in [good.replace("aGVs", "aG*s"), good.replace("aGVs", &"aGVs".repeat(25)), good[..good.find("bG8").unwrap()].to_owned()] {
            assert!(first(&bad).is_err(), "{bad}");
        }
    }
}
