//! Secrets that do not leak by accident: masked when shown, wiped when dropped, never serialisable.

use std::fmt;

use zeroize::Zeroize;

/// What is shown in place of a secret.
const MASK: &str = "***";

/// A password, token or key.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a secret into custody.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret itself; every caller of this is a place to look at in a review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Zeroize + serde::Deserialize<'de>> serde::Deserialize<'de> for Secret<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

impl From<&str> for Secret<String> {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl From<String> for Secret<String> {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A URL that is shown without its user, password, query and fragment: presigned URLs carry their right in the query.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUrl(String);

impl SafeUrl {
    /// Takes a URL as text; it is not checked.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, for making a request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").map_or(("", self.0.as_str()), |(scheme, rest)| (scheme, rest));
        if !scheme.is_empty() {
            write!(f, "{scheme}://")?;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => write!(f, "{MASK}@{host}")?,
            None => f.write_str(authority)?,
        }
        match rest.find(['?', '#']) {
            Some(i) => write!(f, "{}{MASK}", &rest[..=i]),
            None => f.write_str(rest),
        }
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Drop for SafeUrl {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        let secret: Secret<String> = "pass".into();
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "pass");
    }

    #[test]
    fn urls_lose_what_grants_access() {
        for (url, shown) in [
            ("https://u:p@h.dev:5000/a", "https://***@h.dev:5000/a"),
            ("https://u:p@x@h.dev/a@b", "https://***@h.dev/a@b"),
            ("https://h.dev/a?sig=1#x", "https://h.dev/a?***"),
            ("https://h.dev#t=1", "https://h.dev#***"),
            ("https://h.dev", "https://h.dev"),
            ("u:p@h/x", "***@h/x"),
        ] {
            assert_eq!(SafeUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", SafeUrl::new(url)), shown);
        }
    }
}
