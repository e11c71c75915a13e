//! Package URLs (package-url/purl-spec, PURL-SPECIFICATION.rst and types/).

use std::fmt::Write as _;

use crate::oci::{Digest, Platform, Reference};

/// An image (types/oci-definition): the last part of its repository, by digest.
pub(super) fn image(name: &Reference, digest: &Digest, platform: Option<&Platform>) -> String {
    let last = name.repository().rsplit('/').next().unwrap_or_default();
    let mut qualifiers = Vec::new();
    if let Some(platform) = platform {
        qualifiers.push(("arch", platform.architecture.clone()));
    }
    qualifiers.push(("repository_url", name.name()));
    if let Some(tag) = name.tag() {
        qualifiers.push(("tag", tag.to_owned()));
    }
    package("oci", last, digest.as_str(), &qualifiers)
}

/// A chart, with the repository that it came from, if it came from one.
pub(super) fn chart(name: &str, version: &str, source: Option<&str>) -> String {
    let source = source.filter(|source| source.contains("://")).map(|source| ("repository_url", source.to_owned()));
    package("helm", name, version, source.as_slice())
}

/// Qualifiers come sorted by their names.
fn package(kind: &str, name: &str, version: &str, qualifiers: &[(&str, String)]) -> String {
    let mut purl = format!("pkg:{kind}/{}@{}", encoded(name, ""), encoded(version, ":"));
    for (at, (key, value)) in qualifiers.iter().enumerate() {
        purl.push(if at == 0 { '?' } else { '&' });
        purl.extend([key, "=", &encoded(value, ":/")]);
    }
    purl
}

/// Percent-encoding (RFC 3986, section 2.1) of all but unreserved characters and those in `plain`.
fn encoded(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || plain.contains(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is what packageurl-python 0.17 makes of its own parse of it.
    #[test]
    fn purls_are_canonical() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let hex = digest.to_string();
        let arm = "linux/arm64".parse().unwrap();
        for (name, platform, wanted) in [
            ("nginx:1.27", None, format!("pkg:oci/nginx@{hex}?repository_url=docker.io/library/nginx&tag=1.27")),
            ("r.dev:5000/a/b_c:1", Some(&arm), format!("pkg:oci/b_c@{hex}?arch=arm64&repository_url=r.dev:5000/a/b_c&tag=1")),
            (&format!("ghcr.io/x/y@{hex}"), None, format!("pkg:oci/y@{hex}?repository_url=ghcr.io/x/y")),
        ] {
            assert_eq!(image(&name.parse().unwrap(), &digest, platform), wanted);
        }
        assert_eq!(chart("web", "1.2.3+b", None), "pkg:helm/web@1.2.3%2Bb");
        assert_eq!(chart("web", "1", Some("https://c.example/a b")), "pkg:helm/web@1?repository_url=https://c.example/a%20b");
        assert_eq!(chart("web", "1", Some("@name")), "pkg:helm/web@1");
    }
}
