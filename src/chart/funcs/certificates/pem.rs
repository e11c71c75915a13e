//! PEM as Go's encoding/pem has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `pem.EncodeToMemory`.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.extend(line.iter().map(|b| char::from(*b)));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

/// `pem.Decode`: the label and the bytes of the first block.
pub(super) fn decode(text: &str) -> Option<(String, Vec<u8>)> {
    let mut rest = text;
    loop {
        let at = if rest.starts_with("-----BEGIN ") { 0 } else { rest.find("\n-----BEGIN ")? + 1 };
        rest = &rest[at + "-----BEGIN ".len()..];
        let line = rest.lines().next()?;
        let Some(label) = line.trim_end().strip_suffix("-----") else { continue };
        let end = format!("-----END {label}-----");
        let Some(stop) = rest.find(&end) else { continue };
        let mut body = &rest[line.len()..stop];
        // Headers end with an empty line.
        if body.lines().any(|line| line.contains(": ")) {
            body = body.split_once("\n\n").map_or(body, |(_, body)| body);
        }
        let clean: String = body.split_ascii_whitespace().collect();
        if let Ok(bytes) = STANDARD.decode(clean) {
            return Some((label.to_owned(), bytes));
        }
    }
}
