//! base64 and base32 as Go's encoding packages read and write them, with their errors.

const ALPHABET_64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const ALPHABET_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn corrupt<T>(base: u8, at: usize) -> Result<T, String> {
    Err(format!("illegal base{base} data at input byte {at}"))
}

/// `base64.StdEncoding.DecodeString`: line ends are skipped, what follows the padding is an error.
pub(super) fn decode64(text: &str) -> Result<Vec<u8>, String> {
    let source = text.as_bytes();
    let mut out = Vec::with_capacity(source.len() / 4 * 3);
    let mut at = 0;
    loop {
        let mut group = [0_u8; 4];
        let mut read = 0;
        while read < 4 {
            let Some(&byte) = source.get(at) else {
                return if read == 0 { Ok(out) } else { corrupt(64, at - read) };
            };
            at += 1;
            if let Some(value) = ALPHABET_64.iter().position(|b| *b == byte) {
                group[read] = u8::try_from(value).unwrap_or(0);
                read += 1;
            } else if newline(byte) {
            } else if byte != b'=' || read < 2 {
                return corrupt(64, at - 1);
            } else {
                let skip = |mut at: usize| {
                    while source.get(at).copied().is_some_and(newline) {
                        at += 1;
                    }
                    at
                };
                if read == 2 {
                    at = skip(at);
                    match source.get(at) {
                        None => return corrupt(64, source.len()),
                        Some(b'=') => at += 1,
                        Some(_) => return corrupt(64, at - 1),
                    }
                }
                at = skip(at);
                if at < source.len() {
                    return corrupt(64, at);
                }
                out.extend_from_slice(&bytes64(group)[..read - 1]);
                return Ok(out);
            }
        }
        out.extend_from_slice(&bytes64(group));
    }
}

fn bytes64(group: [u8; 4]) -> [u8; 3] {
    let [a, b, c, d] = group;
    [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]
}

/// `base32.StdEncoding.EncodeToString`.
pub(super) fn encode32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut group = [0; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let number = u64::from_be_bytes(group);
        let letters = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            let value = usize::try_from(number >> (35 - 5 * i) & 31).unwrap_or(0);
            out.push(if i < letters { char::from(ALPHABET_32[value]) } else { '=' });
        }
    }
    out
}

/// `base32.StdEncoding.DecodeString`.
pub(super) fn decode32(text: &str) -> Result<Vec<u8>, String> {
    let source: Vec<u8> = text.bytes().filter(|b| !newline(*b)).collect();
    let mut out = Vec::with_capacity(source.len() / 8 * 5);
    let mut at = 0;
    while at < source.len() {
        let (mut number, mut read, mut end) = (0_u64, 0, false);
        while read < 8 {
            let Some(&byte) = source.get(at) else { return corrupt(32, at - read) };
            at += 1;
            let rest = &source[at..];
            if byte == b'=' && read >= 2 && rest.len() < 8 {
                if rest.len() + read < 7 {
                    return corrupt(32, source.len());
                }
                if let Some(k) = rest.iter().take(7 - read).position(|b| *b != b'=') {
                    return corrupt(32, at + k - 1);
                }
                if matches!(read, 1 | 3 | 6) {
                    return corrupt(32, at - 1);
                }
                end = true;
                break;
            }
            let Some(value) = ALPHABET_32.iter().position(|b| *b == byte) else { return corrupt(32, at - 1) };
            number |= (value as u64) << (35 - 5 * read);
            read += 1;
        }
        out.extend_from_slice(&number.to_be_bytes()[3..3 + read * 5 / 8]);
        if end {
            break;
        }
    }
    Ok(out)
}
