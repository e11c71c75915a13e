//! Image references, with Docker's normalisation (distribution/reference, reference.go and normalize.go).

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Digest;

/// A fully qualified image reference: host, repository, and a tag, a digest or both.
///
/// `nginx` reads as `docker.io/library/nginx:latest`, as in Docker, containerd and the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a string is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// What was read.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

const NAME_MAX: usize = 255;
const TAG_REASON: &str = "the tag may hold letters, digits, `_`, `.` and `-`, at most 128 of them";

impl Reference {
    /// Host, with port where there is one: `docker.io`, `registry.dev:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path on the host: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Host and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository, named by digest alone, as the kubelet looks for `repo@digest` and `repo:tag@digest`.
    #[must_use]
    pub fn by_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), tag: None, ..self.clone() }
    }

    /// The same without its digest; a tag stays.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        Self { digest: None, ..self.clone() }
    }

    /// The same repository under a tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !valid_tag(tag) {
            return Err(ReferenceError { text: format!("{}:{tag}", self.name()), reason: TAG_REASON });
        }
        Ok(Self { digest: None, tag: Some(tag.to_owned()), ..self.clone() })
    }

    /// The same image under another host and path prefix: `registry.shop.internal/mirror` makes
    /// `docker.io/library/nginx:1` into `registry.shop.internal/mirror/library/nginx:1`.
    pub fn moved_to(&self, prefix: &str) -> Result<Self, ReferenceError> {
        let mut text = format!("{}/{}", prefix.trim_end_matches('/'), self.repository);
        if let Some(tag) = &self.tag {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = &self.digest {
            text = format!("{text}@{digest}");
        }
        text.parse()
    }

    /// What goes after the repository in registry requests: the digest if there is one, else the tag.
    pub fn identifier(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn valid_host(host: &str) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') {
            return false;
        }
        (None, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("x") }))
    } else {
        match host.split_once(':') {
            Some((name, port)) => (Some(name), Some(port)),
            None => (Some(host), None),
        }
    };
    let label = |l: &str| !l.is_empty() && !l.starts_with('-') && !l.ends_with('-') && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    name.is_none_or(|n| n.split('.').all(label)) && port.is_none_or(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()))
}

/// `path-component := [a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*`
fn valid_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        while i < bytes.len() && !alphanumeric(bytes[i]) {
            i += 1;
        }
        let separator = &part[start..i];
        if !(separator.is_empty() || matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-')) {
            return false;
        }
        while i < bytes.len() && alphanumeric(bytes[i]) {
            i += 1;
        }
    }
    true
}

fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !tag.is_empty() && tag.len() <= 128 && word(tag.as_bytes()[0]) && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError { text: text.to_owned(), reason };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| error("after `@` stands no sha256 digest"))?)),
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|t| !valid_tag(t)) {
            return Err(error(TAG_REASON));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if is_host(first) => (first, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        // docker.io's other name, and its one-word repositories (normalize.go).
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let repository = if registry == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path };
        if !valid_host(registry) {
            return Err(error("the registry is no host name with an optional port"));
        }
        if !repository.split('/').all(valid_component) {
            return Err(error("the repository may hold lower-case letters and digits, parted by `/`, `.`, `_`, `__` or `-`"));
        }
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return Err(error("its name is longer than 255 characters"));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_docker_does() {
        let zeros = "0".repeat(64);
        for (text, want) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1.27", "docker.io/library/nginx:1.27".to_owned()),
            ("docker.io/nginx", "docker.io/library/nginx:latest".to_owned()),
            ("index.docker.io/a/b:c", "docker.io/a/b:c".to_owned()),
            ("bitnami/redis", "docker.io/bitnami/redis:latest".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("registry.dev:5000/a__b/c--d:v1_2", "registry.dev:5000/a__b/c--d:v1_2".to_owned()),
            ("[::1]:5000/x:1", "[::1]:5000/x:1".to_owned()),
            (&format!("quay.io/a/b@sha256:{zeros}"), format!("quay.io/a/b@sha256:{zeros}")),
            (&format!("b:1@sha256:{zeros}"), format!("docker.io/library/b:1@sha256:{zeros}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for bad in
            ["", "Nginx", "a//b", "a:b:c", "-a", "a-", "a___b", "a:", "a@sha256:12", "host.dev:port/a", "a/../b", "a b", ":tag", "http://x/y", "x.dev/a\nb"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn moves_keep_path_tag_and_digest() {
        let image: Reference = "ghcr.io/acme/worker:2.1".parse().unwrap();
        assert_eq!(image.moved_to("registry.shop.internal/mirror").unwrap().to_string(), "registry.shop.internal/mirror/acme/worker:2.1");
    }
}
