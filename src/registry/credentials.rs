//! Credentials from docker's config.json: `auths`, `credHelpers`, `credsStore` (docker/cli, cli/config/configfile/file.go).

use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::{
    io::{FileError, read_capped},
    redact::Secret,
};

/// The largest config.json that is read.
pub(super) const CONFIG_MAX: u64 = 1 << 20;
/// The name under which docker keeps the credentials of docker.io (docker/cli, cli/registry, `IndexServer`).
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// config.json cannot be read.
    #[error(transparent)]
    File(FileError),
    /// config.json, or its helper, gives no usable credentials.
    #[error("cannot get the credentials for {host} that `{}` points to: {reason}", path.display())]
    Config {
        /// Docker's config.
        path: PathBuf,
        /// For which registry.
        host: String,
        /// Why not.
        reason: String,
    },
    /// config.json is not to be understood, so nothing is written into it.
    #[error("`{}` is no configuration of docker's, and was left alone: {reason}", path.display())]
    Unreadable {
        /// Docker's config.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A kind of credential that cannot be used.
    #[error("`{}` has an identity token for {host}, which cannot be used here; log in with a user name and a password or an access token", path.display())]
    IdentityToken {
        /// Docker's config.
        path: PathBuf,
        /// For which registry.
        host: String,
    },
}

/// The name under which config.json keeps a registry.
pub(super) fn server(host: &str) -> &str {
    if host == "docker.io" { DOCKER_HUB } else { host }
}

/// A user with the password that is kept for a host; the first of the files that knows the host decides. May run a helper, so it blocks.
pub fn account(configs: &[PathBuf], host: &str) -> Result<Option<(String, Secret<String>)>, CredentialError> {
    Credentials::look_up(configs, host).map(|found| found.account)
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    account: Option<(String, Secret<String>)>,
}

impl Credentials {
    /// Looks a registry up in one file after the other; may run a credential helper, so it blocks.
    pub(super) fn look_up(configs: &[PathBuf], host: &str) -> Result<Self, CredentialError> {
        for path in configs {
            let found = Self::in_file(path, host)?;
            if found.account.is_some() {
                return Ok(found);
            }
        }
        Ok(Self::default())
    }

    fn in_file(path: &Path, host: &str) -> Result<Self, CredentialError> {
        let text = match read_capped(path, CONFIG_MAX) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            Err(error) => return Err(CredentialError::File(error)),
        };
        match docker_credential::get_credential_from_reader(text.as_slice(), server(host)) {
            // Helpers say so when they do not know the host (docker-credential-helpers, credentials/error.go).
            Err(CredentialRetrievalError::HelperFailure { ref stdout, .. }) if stdout.contains("credentials not found") => Ok(Self::default()),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(Self::default()),
            // An empty entry `{}` stands for a store that holds the rest, or for nobody.
            Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => Ok(Self::default()),
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Self { account: Some((user, password.into())) }),
            Ok(DockerCredential::IdentityToken(_)) => Err(CredentialError::IdentityToken { path: path.into(), host: host.to_owned() }),
            Err(error) => Err(CredentialError::Config { path: path.into(), host: host.to_owned(), reason: describe(&error) }),
        }
    }

    /// Somebody with a password.
    pub(super) fn of(user: &str, password: Secret<String>) -> Self {
        Self { account: Some((user.to_owned(), password)) }
    }

    /// Name and password of who asks.
    pub(super) fn account(&self) -> Option<&(String, Secret<String>)> {
        self.account.as_ref()
    }

    /// Name of who asks.
    pub(super) fn user(&self) -> Option<&str> {
        self.account.as_ref().map(|(user, _)| user.as_str())
    }
}

/// A helper's standard output may hold the secret; only its errors are shown.
fn describe(error: &CredentialRetrievalError) -> String {
    match error {
        CredentialRetrievalError::HelperFailure { helper, stderr, .. } => format!("`{helper}` failed: {}", stderr.trim()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_auths_and_hides_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"auths":{"localhost:5000":{"auth":"bWU6c2VjcmV0"},"https://index.docker.io/v1/":{"auth":"aHViOng="},"id.dev":{"identitytoken":"t"}}}"#,
        )
        .unwrap();
        let found = Credentials::look_up(std::slice::from_ref(&path), "localhost:5000").unwrap();
        assert_eq!(found.user(), Some("me"));
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(Credentials::look_up(std::slice::from_ref(&path), "docker.io").unwrap().user(), Some("hub"));
        assert_eq!(Credentials::look_up(std::slice::from_ref(&path), "other.dev").unwrap().user(), None);
        assert_eq!(Credentials::look_up(&[folder.path().join("none")], "other.dev").unwrap().user(), None);
        assert!(matches!(Credentials::look_up(std::slice::from_ref(&path), "id.dev"), Err(CredentialError::IdentityToken { .. })));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Credentials::look_up(std::slice::from_ref(&path), "x.dev"), Err(CredentialError::Config { .. })));
    }
}
