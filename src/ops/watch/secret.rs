//! Whether a sender knows the shared secret, told in a time that says nothing about how much of it was right.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::redact::Secret;

/// The shortest secret that is taken: what is shorter is guessed.
pub(super) const SECRET_MIN: usize = 16;

/// A secret, as what it is compared by.
pub(super) struct SharedSecret([u8; 32]);

impl SharedSecret {
    pub(super) fn new(secret: &Secret<String>) -> Self {
        Self(Sha256::digest(secret.expose().as_bytes()).into())
    }

    /// Whether a word is the secret. Digests are compared, so that not even its length shows.
    fn is(&self, word: &[u8]) -> bool {
        let found: [u8; 32] = Sha256::digest(word).into();
        self.0.ct_eq(&found).into()
    }

    /// Whether an `Authorization` header has it: `Bearer SECRET`, as Docker Registry is told to send it, or `SECRET` alone, as Harbor sends what
    /// stands in its field.
    pub(super) fn in_header(&self, header: &[u8]) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let bare = match header.get(..SCHEME.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => &header[SCHEME.len()..],
            _ => header,
        };
        self.is(bare.trim_ascii())
    }

    /// Whether the end of a path has it: Docker Hub can send nothing but its URL.
    pub(super) fn in_path(&self, word: &str) -> bool {
        self.is(word.as_bytes())
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_and_nothing_else() {
        let secret = SharedSecret::new(&"correct horse battery".into());
        for good in ["Bearer correct horse battery", "bearer  correct horse battery ", "correct horse battery"] {
            assert!(secret.in_header(good.as_bytes()), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic correct horse battery", "correct horse", "Bearer correct horse batterY", "correct horse battery!"] {
            assert!(!secret.in_header(bad.as_bytes()), "{bad}");
        }
        assert_eq!(format!("{secret:?}"), "***");
    }
}
