//! References inside longer texts: arguments, environment variables, scripts, settings. What is found is a guess, so the shape must say a lot:
//! paths, URLs, Go packages, labels and addresses of services look much the same.

use std::ops::Range;

use crate::oci::Reference;

/// What looks like an image in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Where in the text.
    pub range: Range<usize>,
    /// Why it looks like one.
    pub why: &'static str,
}

/// How much a text has to look like an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Its name says that it is one.
    Named,
    /// Nothing is known of it.
    Plain,
    /// It is prose, a script or a setting: only names of registries count.
    Prose,
}

/// Text longer than this is not looked at.
pub(super) const TEXT_MAX: usize = 1 << 20;
/// Parts that never hold a reference end one.
const BREAKS: [char; 18] = ['"', '\'', '`', ',', ';', '|', '(', ')', '[', ']', '{', '}', '<', '>', '=', '&', '\\', '$'];
/// Registries that people pull from, and the endings and beginnings of such.
const HOSTS: [&str; 14] = [
    "docker.io",
    "index.docker.io",
    "quay.io",
    "ghcr.io",
    "gcr.io",
    "registry.k8s.io",
    "k8s.gcr.io",
    "public.ecr.aws",
    "mcr.microsoft.com",
    "nvcr.io",
    "lscr.io",
    "registry.gitlab.com",
    "xpkg.upbound.io",
    "cgr.dev",
];
const HOST_ENDS: [&str; 9] = [".gcr.io", ".pkg.dev", ".azurecr.io", ".amazonaws.com", ".aliyuncs.com", ".jfrog.io", ".icr.io", ".quay.io", ".ocir.io"];
const HOST_STARTS: [&str; 7] = ["registry.", "docker.", "cr.", "harbor.", "images.", "oci.", "registry-"];
/// Hosts of source code, names of labels and API groups, and services inside a cluster.
const NO_HOSTS: [&str; 8] = ["github.com", "gitlab.com", "bitbucket.org", "golang.org", "gopkg.in", "go.uber.org", "k8s.io", "raw.githubusercontent.com"];
const NO_HOST_ENDS: [&str; 7] = [".k8s.io", ".kubernetes.io", ".svc", ".local", ".internal", ".localdomain", ".github.io"];

/// Everything in a text that looks like an image with a tag or a digest.
pub fn mentions(text: &str, care: Care) -> Vec<Mention> {
    if text.len() > TEXT_MAX || !text.contains([':', '@']) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if !(c.is_whitespace() || BREAKS.contains(&c)) {
            continue;
        }
        let before = text[..start].chars().next_back();
        // What a variable is part of cannot be known.
        let whole = !matches!(before, Some('}' | ')' | '$' | '>')) && !matches!(c, '$' | '{' | '(' | '<' | '\\');
        if whole && start < at {
            found.extend(token(text, start, at, care));
        }
        start = at + c.len_utf8();
    }
    found
}

fn token(text: &str, mut start: usize, end: usize, care: Care) -> Option<Mention> {
    if let Some(rest) = text[start..end].strip_prefix("docker://") {
        start = end - rest.len();
    }
    let trimmed = text[start..end].trim_end_matches(['.', ':']);
    let range = start..start + trimmed.len();
    shape(trimmed, care).map(|why| Mention { range, why })
}

/// Why a whole text looks like an image that has a tag or a digest; none if it does not.
pub fn shape(text: &str, care: Care) -> Option<&'static str> {
    if text.len() < 4 || text.contains("://") || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let reference: Reference = text.parse().ok()?;
    if text.contains('@') {
        return Some("it has a digest");
    }
    let last = text.rfind('/').map_or(text, |slash| &text[slash + 1..]);
    let (name, tag) = last.split_once(':')?;
    let host = text.split_once('/').map(|(first, _)| first).filter(|first| first.contains(['.', ':']) || *first == "localhost");
    let Some(host) = host else { return without_host(text, name, tag, care) };
    let (bare, port) = host.split_once(':').map_or((host, None), |(bare, port)| (bare, Some(port)));
    if NO_HOSTS.contains(&bare) || (NO_HOST_ENDS.iter().any(|end| bare.ends_with(end)) && !is_registry(bare)) {
        return None;
    }
    if is_registry(reference.registry()) {
        return Some("its host is a registry's");
    }
    if care == Care::Named {
        return Some("its name says that it is an image");
    }
    let domain = bare.rsplit('.').next().is_some_and(|last| last.len() > 1 && last.bytes().all(|b| b.is_ascii_lowercase())) && bare.contains('.');
    (care == Care::Plain && domain && port.is_none_or(|port| port != tag) && is_version(tag)).then_some("it has a host, a path and a version")
}

fn without_host(text: &str, name: &str, tag: &str, care: Care) -> Option<&'static str> {
    let path = text.contains('/');
    let port = tag.len() >= 4 && tag.bytes().all(|b| b.is_ascii_digit()) && tag.parse::<u32>().is_ok_and(|port| port < 65_536);
    match care {
        Care::Named if path || (!port && name.bytes().any(|b| b.is_ascii_lowercase())) => Some("its name says that it is an image"),
        Care::Plain if path && text.matches('/').count() == 1 && is_version(tag) && tag.contains('.') => Some("it has a path and a version"),
        _ => None,
    }
}

/// Whether a host is one that images are pulled from, as far as its name tells.
pub(super) fn is_registry(host: &str) -> bool {
    let numbered = || host.split_once('.').is_some_and(|(first, _)| first.trim_end_matches(|c: char| c.is_ascii_digit()) == "registry");
    let begins = || host.contains('.') && HOST_STARTS.iter().any(|start| host.starts_with(start));
    HOSTS.contains(&host) || HOST_ENDS.iter().any(|end| host.ends_with(end)) || begins() || numbered()
}

/// `1.2`, `v3`, `2024-05-01`, `latest`.
fn is_version(tag: &str) -> bool {
    let numbers = tag.strip_prefix('v').unwrap_or(tag);
    numbers.starts_with(|c: char| c.is_ascii_digit()) || tag == "latest"
}

/// Whether a key, a flag or a variable says that its value is an image.
pub fn names_image(name: &str) -> bool {
    let words = words(name);
    let other = |word: &String| OTHERS.iter().any(|other| word.contains(other)) || SHORT_OTHERS.contains(&word.as_str());
    words.iter().any(|word| word.contains("image")) && !words.iter().any(other)
}

/// Words beside `image` in the names of what is none.
const OTHERS: [&str; 4] = ["pull", "policy", "secret", "registry"];
/// Such that other words have in them, as `curl` has `url`.
const SHORT_OTHERS: [&str; 8] = ["dir", "path", "paths", "url", "urls", "uri", "size", "directory"];

/// The words of a name in any of the usual spellings: `imagePullPolicy`, `image-pull-policy`, `IMAGE_PULL_POLICY`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (small && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        small = c.is_ascii_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, care: Care) -> Vec<&str> {
        mentions(text, care).into_iter().map(|mention| &text[mention.range]).collect()
    }

    #[test]
    fn what_looks_like_an_image() {
        for (text, care, want) in [
            ("--reloader=quay.io/x/reloader:v0.7", Care::Plain, vec!["quay.io/x/reloader:v0.7"]),
            (
                "3.4.0=quay.io/s/kafka:0.36-kafka-3.4.0\n3.5.0=quay.io/s/kafka:0.36-kafka-3.5.0",
                Care::Prose,
                vec!["quay.io/s/kafka:0.36-kafka-3.4.0", "quay.io/s/kafka:0.36-kafka-3.5.0"],
            ),
            ("docker run --rm alpine/helm:3.14.0 version.", Care::Plain, vec!["alpine/helm:3.14.0"]),
            ("redis:7", Care::Named, vec!["redis:7"]),
            ("{\"image\":\"ghcr.io/a/b:1\"}", Care::Prose, vec!["ghcr.io/a/b:1"]),
            ("docker://docker.io/a/b:1", Care::Plain, vec!["docker.io/a/b:1"]),
            ("r.corp.example/team/app:1.2", Care::Plain, vec!["r.corp.example/team/app:1.2"]),
        ] {
            assert_eq!(found(text, care), want, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one() {
        for text in [
            "http://web.shop.svc:8080/api",
            "web.shop.svc:8080/api:v1",
            "/etc/app/config:ro",
            "github.com/acme/tool:v1.2.3",
            "app.kubernetes.io/name:web",
            "apps/v1:Deployment",
            "redis:6379",
            "redis:7.2",
            "$(REGISTRY)/acme/tool:1.2",
            "${REGISTRY}acme/tool:1.2",
            "quay.io/x/reloader:$TAG",
            "a/b/c:1.2.3",
            "localhost:5000/x",
            "sha256:0123456789",
            "12:30/13:45",
        ] {
            assert_eq!(found(text, Care::Plain), Vec::<&str>::new(), "{text}");
        }
        assert_eq!(found("imgsrv:8080", Care::Named), Vec::<&str>::new());
    }

    #[test]
    fn names() {
        for (name, want) in [
            ("RELATED_IMAGE_X", true),
            ("--sidecar-image", true),
            ("curlContainerImage", true),
            ("imagePullPolicy", false),
            ("imagePullSecrets", false),
            ("IMAGE_PULL_POLICY", false),
            ("image-registry", false),
            ("imageURL", false),
            ("HOST", false),
        ] {
            assert_eq!(names_image(name), want, "{name}");
        }
    }
}
