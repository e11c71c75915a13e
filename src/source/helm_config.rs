//! Helm's own repositories.yaml: names, URLs and credentials of chart repositories (helm, pkg/repo/repo.go).

use std::path::Path;

use reqwest::Url;
use serde_json::Value;

use super::{
    SourceError,
    http::{Access, Tls},
};
use crate::{goyaml, io::read_capped_text};

const CONFIG_MAX: u64 = 4 << 20;

/// The repositories that a person added to helm.
#[derive(Debug, Clone, Default)]
pub(super) struct HelmRepositories(Vec<HelmRepository>);

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct HelmRepository {
    pub(super) name: String,
    pub(super) url: String,
    access: Access,
}

impl HelmRepositories {
    /// Reads the file; one that is not there has nothing in it.
    pub(super) fn read(path: &Path) -> Result<Self, SourceError> {
        let text = match read_capped_text(path, CONFIG_MAX) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let value = goyaml::parse(&text).map_err(|source| SourceError::HelmConfig { path: path.into(), reason: source.to_string() })?;
        let entries = value.get("repositories").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Self(entries.iter().map(entry).collect()))
    }

    /// By the name it was added under.
    pub(super) fn named(&self, name: &str) -> Option<&HelmRepository> {
        self.0.iter().find(|repository| repository.name == name)
    }

    /// By its URL (helm, internal/urlutil, `Equal`).
    pub(super) fn at(&self, url: &str) -> Option<&HelmRepository> {
        self.0.iter().find(|repository| same(&repository.url, url))
    }
}

impl HelmRepository {
    /// How it is reached.
    pub(super) fn access(&self) -> Access {
        Access { origin: Url::parse(&self.url).ok(), plain_http: true, ..self.access.clone() }
    }
}

fn entry(value: &Value) -> HelmRepository {
    let text = |key: &str| value.get(key).and_then(goyaml::scalar_text).unwrap_or_default();
    let file = |key: &str| Some(text(key)).filter(|path| !path.is_empty()).map(Into::into);
    let truth = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
    let (user, password) = (text("username"), text("password"));
    let access = Access {
        account: (!user.is_empty() && !password.is_empty()).then(|| (user, password.into())),
        pass_credentials: truth("pass_credentials_all"),
        tls: Tls { ca_file: file("caFile"), cert_file: file("certFile"), key_file: file("keyFile"), insecure: truth("insecure_skip_tls_verify") },
        ..Access::default()
    };
    HelmRepository { name: text("name"), url: text("url"), access }
}

fn same(a: &str, b: &str) -> bool {
    match (Url::parse(a), Url::parse(b)) {
        (Ok(a), Ok(b)) => {
            let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
            (a.scheme(), a.host_str(), a.port_or_known_default(), path(&a), a.query())
                == (b.scheme(), b.host_str(), b.port_or_known_default(), path(&b), b.query())
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_urls_and_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repositories.yaml");
        assert!(HelmRepositories::read(&path).unwrap().named("corp").is_none());
        let text = "apiVersion: \"\"\nrepositories:\n- caFile: /ca.pem\n  insecure_skip_tls_verify: false\n  name: corp\n  pass_credentials_all: true\n  password: s3cret\n  url: https://charts.corp/stable/\n  username: me\n";
        std::fs::write(&path, text).unwrap();
        let found = HelmRepositories::read(&path).unwrap();
        let corp = found.named("corp").unwrap();
        assert!(corp.access().pass_credentials && corp.access().tls.ca_file.is_some());
        assert!(!format!("{found:?}").contains("s3cret"));
        assert!(found.at("https://charts.corp:443/stable").is_some());
        assert!(found.at("https://charts.corp/other").is_none());
        std::fs::write(&path, "a: b: c").unwrap();
        assert!(matches!(HelmRepositories::read(&path), Err(SourceError::HelmConfig { .. })));
    }
}
