//! Credentials from docker's config.json and podman's auth.json: `auths`, `credHelpers`, `credsStore` (docker/cli,
//! cli/config/configfile/file.go; containers/image, docs/containers-auth.json.5.md, whose entries may be for a part of a host).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::Engine as _;
use serde::Deserialize;

use super::helper;
use crate::{
    io::{FileError, read_capped},
    redact::Secret,
};

/// The largest config.json that is read.
pub(super) const CONFIG_MAX: u64 = 1 << 20;
/// Who asks with an identity token, for messages.
const IDENTITY: &str = "<identity token>";
/// The user that helpers give with an identity token (docker-credential-helpers; docker/cli, cli/config/credentials/native_store.go).
const TOKEN_USER: &str = "<token>";
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
    #[error("there is an identity token for {host}, which only registries take; log in with a user name and a password or an access token")]
    IdentityToken {
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
    let found = Credentials::look_up(configs, host, None)?;
    if found.identity.is_some() || found.token.is_some() {
        return Err(CredentialError::IdentityToken { host: host.to_owned() });
    }
    Ok(found.account)
}

/// A file of docker's form, as far as it is about credentials. What it has besides is for others.
#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// An entry of `auths`. An empty one stands for a store that holds the rest, or for nobody.
#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<Secret<String>>,
    username: Option<String>,
    password: Option<Secret<String>>,
    identitytoken: Option<Secret<String>>,
    registrytoken: Option<Secret<String>>,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret<String>,
}

impl File {
    /// Nothing where there is no such file.
    fn read(path: &Path) -> Result<Option<Result<Self, serde_json::Error>>, CredentialError> {
        match read_capped(path, CONFIG_MAX) {
            Ok(text) if text.trim_ascii().is_empty() => Ok(None),
            Ok(text) => Ok(Some(serde_json::from_slice(&zeroize::Zeroizing::new(text)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(CredentialError::File(error)),
        }
    }

    /// The entry of a host, or of a part of it: under the very name, else under one that means the same.
    fn entry(&self, name: &str) -> Option<&Entry> {
        let auths = self.auths.as_ref()?;
        auths.get(server(name)).or_else(|| auths.get(name)).or_else(|| auths.iter().find(|(key, _)| normal(key) == name).map(|(_, entry)| entry))
    }

    fn helper(&self, host: &str) -> Option<&str> {
        let own = self.helpers.as_ref().and_then(|helpers| helpers.get(server(host)).or_else(|| helpers.get(host)));
        own.or(self.store.as_ref()).map(String::as_str).filter(|name| !name.is_empty())
    }
}

/// A key of `auths` as host, and path where it has one: `https://index.docker.io/v1/` is docker.io (docker/cli, `ConvertToHostname`;
/// containers/image, pkg/docker/config, `normalizeAuthFileKey`).
fn normal(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let legacy = bare.is_some();
    let text = bare.unwrap_or(key).trim_end_matches('/');
    let (host, path) = text.split_once('/').map_or((text, ""), |(host, path)| (host, path));
    if matches!(host, "index.docker.io" | "registry-1.docker.io") && (path.is_empty() || legacy || path.starts_with("v1") || path.starts_with("v2")) {
        return "docker.io";
    }
    if legacy || path.is_empty() { host } else { text }
}

/// Parts of hosts for which some file has an entry of its own.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    /// Reads the names of all entries; a file that cannot be read is told of when somebody's credentials are looked up in it.
    pub(super) fn of(configs: &[PathBuf]) -> Self {
        let files = configs.iter().filter_map(|path| File::read(path).ok().flatten()?.ok());
        let keys = files.flat_map(|file| file.auths.unwrap_or_default().into_keys());
        Self(keys.map(|key| normal(&key).to_owned()).filter(|key| key.contains('/')).collect())
    }

    /// The longest part that a repository is in.
    pub(super) fn of_repository(&self, host: &str, repository: &str) -> Option<String> {
        let name = format!("{host}/{repository}");
        let holds = |key: &&String| name.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().filter(holds).max_by_key(|key| key.len()).cloned()
    }
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    account: Option<(String, Secret<String>)>,
    identity: Option<Secret<String>>,
    token: Option<Secret<String>>,
}

impl Credentials {
    /// Looks a registry up in one file after the other, in each for `scope` and what it is in before the host. May run a helper, so it blocks.
    pub(super) fn look_up(configs: &[PathBuf], host: &str, scope: Option<&str>) -> Result<Self, CredentialError> {
        for path in configs {
            let found = Self::in_file(path, host, scope)?;
            if found.is_somebody() {
                return Ok(found);
            }
        }
        Ok(Self::default())
    }

    fn is_somebody(&self) -> bool {
        self.account.is_some() || self.identity.is_some() || self.token.is_some()
    }

    fn in_file(path: &Path, host: &str, scope: Option<&str>) -> Result<Self, CredentialError> {
        let wrong = |reason: String| CredentialError::Config { path: path.into(), host: host.to_owned(), reason };
        let Some(file) = File::read(path)? else { return Ok(Self::default()) };
        let file = file.map_err(|error| wrong(error.to_string()))?;
        let mut name = scope;
        while let Some(part) = name.filter(|part| part.len() > host.len()) {
            if let Some(entry) = file.entry(part) {
                return Self::of_entry(entry).map_err(wrong);
            }
            name = part.rsplit_once('/').map(|(parent, _)| parent);
        }
        if let Some(helper) = file.helper(host)
            && let Some(said) = helper::run(path, host, helper, "get", server(host).as_bytes())?
        {
            let Answer { username, secret } =
                serde_json::from_str(said.expose()).map_err(|_| wrong(format!("`docker-credential-{helper} get` gives no account")))?;
            return Ok(match username.as_str() {
                TOKEN_USER => Self { identity: Some(secret), ..Self::default() },
                _ => Self::of(&username, secret),
            });
        }
        file.entry(host).map_or(Ok(Self::default()), |entry| Self::of_entry(entry).map_err(wrong))
    }

    fn of_entry(entry: &Entry) -> Result<Self, String> {
        let given = |secret: &Option<Secret<String>>| secret.clone().filter(|secret| !secret.expose().is_empty());
        let mut found = Self { identity: given(&entry.identitytoken), token: given(&entry.registrytoken), account: None };
        if let Some(auth) = given(&entry.auth) {
            let decoded = base64::engine::general_purpose::STANDARD.decode(auth.expose()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new);
            let decoded = decoded.ok_or_else(|| "its `auth` is no base64".to_owned())?;
            let (user, password) = decoded.expose().split_once(':').ok_or_else(|| "its `auth` holds no user and password".to_owned())?;
            // docker pads passwords with NUL (configfile, `decodeAuth`).
            found.account = Some((user.to_owned(), password.trim_matches('\0').into()));
        } else if let (Some(user), Some(password)) = (&entry.username, given(&entry.password)) {
            found.account = Some((user.clone(), password));
        }
        found.account = found.account.filter(|(user, _)| !user.is_empty());
        Ok(found)
    }

    /// Somebody with a password.
    pub(super) fn of(user: &str, password: Secret<String>) -> Self {
        Self { account: Some((user.to_owned(), password)), ..Self::default() }
    }

    /// Name and password of who asks.
    pub(super) fn account(&self) -> Option<&(String, Secret<String>)> {
        self.account.as_ref()
    }

    /// A refresh token: it goes before the password.
    pub(super) fn identity(&self) -> Option<&Secret<String>> {
        self.identity.as_ref()
    }

    /// A token that the registry takes as it is.
    pub(super) fn token(&self) -> Option<&Secret<String>> {
        self.token.as_ref()
    }

    /// Name of who asks.
    pub(super) fn user(&self) -> Option<&str> {
        let tokens = self.identity.as_ref().or(self.token.as_ref()).map(|_| IDENTITY);
        tokens.or_else(|| self.account.as_ref().map(|(user, _)| user.as_str()))
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
        let look_up = |host: &str| Credentials::look_up(std::slice::from_ref(&path), host, None);
        let found = look_up("localhost:5000").unwrap();
        assert_eq!(found.user(), Some("me"));
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(look_up("docker.io").unwrap().user(), Some("hub"));
        assert_eq!(look_up("other.dev").unwrap().user(), None);
        assert_eq!(Credentials::look_up(&[folder.path().join("none")], "other.dev", None).unwrap().user(), None);
        let identity = look_up("id.dev").unwrap();
        assert_eq!(identity.identity().map(|token| token.expose().as_str()), Some("t"));
        assert!(!format!("{identity:?}").contains("\"t\""));
        assert!(matches!(account(std::slice::from_ref(&path), "id.dev"), Err(CredentialError::IdentityToken { .. })));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Credentials::look_up(std::slice::from_ref(&path), "x.dev", None), Err(CredentialError::Config { .. })));
    }

    /// containers-auth.json(5): "the most specific entry wins"; and the keys that docker has written over the years.
    #[test]
    fn the_longest_part_of_a_repository_decides() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("config.json"), folder.path().join("auth.json"));
        std::fs::write(&first, r#"{"auths":{"https://old.dev/v1/":{"auth":"b2xkOng="},"empty.dev":{}}}"#).unwrap();
        let auth = r#"{"auths":{"r.dev":{"auth":"aG9zdDp4"},"r.dev/team":{"auth":"dGVhbTp4"},"r.dev/team/app":{"auth":"YXBwOng="},
            "docker.io/me":{"username":"mine","password":"x"},"index.docker.io":{"auth":"aHViOng="},"empty.dev":{"auth":"c2Vjb25kOng="}}}"#;
        std::fs::write(&second, auth).unwrap();
        let configs = [first, second];
        let scopes = Scopes::of(&configs);
        for (host, repository, wanted) in [
            ("r.dev", "x/y", Some("host")),
            ("r.dev", "team/other", Some("team")),
            ("r.dev", "teams/other", Some("host")),
            ("r.dev", "team/app", Some("app")),
            ("r.dev", "team/app/part", Some("app")),
            ("r.dev", "team/apps", Some("team")),
            ("docker.io", "me/x", Some("mine")),
            ("docker.io", "library/x", Some("hub")),
            ("old.dev", "x", Some("old")),
            ("empty.dev", "x", Some("second")),
            ("none.dev", "x", None),
        ] {
            let scope = scopes.of_repository(host, repository);
            let found = Credentials::look_up(&configs, host, scope.as_deref()).unwrap();
            assert_eq!(found.user(), wanted, "{host}/{repository}: {scope:?}");
        }
    }
}
