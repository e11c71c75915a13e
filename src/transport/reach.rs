//! Where an archive is, and what is needed to get there.

use std::{fmt, path::Path, path::PathBuf};

use reqwest::Url;

use super::{TransportError, TransportProblem};
use crate::{
    io,
    oci::Reference,
    redact::{SafeUrl, Secret},
    registry::{self, is_loopback},
};

const OCI: &str = "oci://";
/// The largest file with a token.
const TOKEN_MAX: u64 = 64 << 10;

/// What is needed to reach archives that lie elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// A bearer token for web servers. It goes to the host that a person named, and to no other.
    pub token: Option<Secret<String>>,
    /// A file with one, which goes before.
    pub token_file: Option<PathBuf>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Without TLS, also to other machines.
    pub plain_http: bool,
    /// Where docker keeps the accounts for registries.
    pub docker_config: Option<PathBuf>,
    /// The machine's proxies; for registries also its certificates, and further files with accounts.
    pub machine: registry::Reach,
}

/// Where an archive is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    File(PathBuf),
    /// On a web server.
    Web(SafeUrl),
    /// In a registry.
    Registry(Reference),
}

impl Place {
    /// Reads `https://HOST/PATH`, `oci://REGISTRY/REPOSITORY:TAG`, or the path of a file.
    pub fn parse(path: &Path) -> Result<Self, TransportError> {
        let Some(text) = path.to_str() else { return Ok(Self::File(path.into())) };
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Web(SafeUrl::new(text)));
        }
        let Some(name) = text.strip_prefix(OCI) else { return Ok(Self::File(path.into())) };
        let bad = |reason: String| TransportError::new("use", text, TransportProblem::Reference(reason));
        // Without its host a name would be one of Docker Hub's.
        let host = name.split('/').next().unwrap_or_default();
        let reference: Reference = name.parse().map_err(|e| bad(format!("{e}")))?;
        if reference.registry() != host || !name.contains('/') {
            return Err(bad("wanted oci://REGISTRY/REPOSITORY:TAG, the registry with a dot or a port in its name".to_owned()));
        }
        Ok(Self::Registry(reference))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Web(url) => url.fmt(f),
            Self::Registry(reference) => write!(f, "{OCI}{reference}"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Reach {
    /// What web servers are told of who asks (RFC 6750, section 2.1), where there is a token.
    pub(super) fn authorization(&self) -> Result<Option<Secret<String>>, TransportProblem> {
        let bearer = |token: &str| Some(Secret::new(format!("Bearer {token}")));
        let Some(file) = &self.token_file else { return Ok(self.token.as_ref().and_then(|token| bearer(token.expose()))) };
        let text = zeroize::Zeroizing::new(io::read_capped_text(file, TOKEN_MAX)?);
        Ok(bearer(text.trim()))
    }

    /// A URL that may be asked: with TLS, or on this machine, or as a person has said.
    pub(super) fn url(&self, text: &str) -> Result<Url, TransportProblem> {
        let url = Url::parse(text).map_err(|_| TransportProblem::Url)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(TransportProblem::Url)?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.plain_http || is_loopback(host) => Ok(url),
            "http" => Err(TransportProblem::PlainHttp),
            _ => Err(TransportProblem::Url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let parse = |text: &str| Place::parse(Path::new(text));
        assert_eq!(parse("a/b.tar").unwrap(), Place::File("a/b.tar".into()));
        assert_eq!(parse("https://u:p@h.dev/a?sig=1").unwrap().to_string(), "https://***@h.dev/a?***");
        assert_eq!(parse("oci://r.dev:5000/team/shop:1.0").unwrap().to_string(), "oci://r.dev:5000/team/shop:1.0");
        for bad in ["oci://", "oci://shop:1.0", "oci://team/shop:1.0", "oci://r.dev/UPPER", "oci://r.dev"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        let mut reach = Reach::default();
        assert!(reach.url("http://127.0.0.1:1/a").is_ok() && reach.url("https://h.dev/a").is_ok());
        assert!(matches!(reach.url("http://h.dev/a"), Err(TransportProblem::PlainHttp)));
        assert!(matches!(reach.url("ftp://h.dev/a"), Err(TransportProblem::Url)));
        reach.plain_http = true;
        assert!(reach.url("http://h.dev/a").is_ok());
    }
}
