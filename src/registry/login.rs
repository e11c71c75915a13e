//! Logging in and out: docker's config.json and its helpers, so that docker, podman, skopeo and this program know the same accounts
//! (docker/cli, cli/config/configfile/file.go and cli/config/credentials).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::{
    credentials::{CONFIG_MAX, CredentialError, server},
    helper::run,
};
use crate::{
    io::{FileError, read_capped_text, write_private_atomic},
    redact::Secret,
};

/// Where an account is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In config.json, where everybody who can read the file can read the password.
    File(PathBuf),
    /// With a helper.
    Helper(String),
}

/// Keeps the account for a registry: with the helper that config.json names for it, else in config.json itself.
pub fn keep(config: &Path, registry: &str, user: &str, password: &Secret<String>) -> Result<Kept, CredentialError> {
    let config = followed(config);
    let mut settings = read(&config)?;
    let server = server(registry);
    let (entry, kept) = if let Some(helper) = helper(&settings, server) {
        let account = zeroize::Zeroizing::new(json!({"ServerURL": server, "Username": user, "Secret": password.expose()}).to_string());
        run(&config, registry, &helper, "store", account.as_bytes())?;
        // An empty entry tells that the helper has the rest (credentials/native_store.go, `Store`).
        (json!({}), Kept::Helper(helper))
    } else {
        let text = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
        (json!({"auth": base64::engine::general_purpose::STANDARD.encode(text.as_bytes())}), Kept::File(config.clone()))
    };
    let accounts = settings.entry("auths").or_insert_with(|| json!({}));
    let Value::Object(accounts) = accounts else { return Err(shape(&config, registry, "`auths` is no mapping")) };
    accounts.insert(server.to_owned(), entry);
    write(&config, &settings)?;
    Ok(kept)
}

/// Forgets the account for a registry. Tells where it was; nothing where it was nowhere.
pub fn forget(config: &Path, registry: &str) -> Result<Option<Kept>, CredentialError> {
    let config = followed(config);
    let mut settings = read(&config)?;
    let server = server(registry);
    let removed = settings.get_mut("auths").and_then(Value::as_object_mut).and_then(|accounts| accounts.remove(server));
    if removed.is_some() {
        write(&config, &settings)?;
    }
    match helper(&settings, server) {
        Some(helper) => {
            let known = run(&config, registry, &helper, "erase", server.as_bytes())?.is_some();
            Ok((known || removed.is_some()).then_some(Kept::Helper(helper)))
        }
        None => Ok(removed.map(|_| Kept::File(config))),
    }
}

/// `GetCredentialsStore`: a helper of the registry's own goes before the one for all.
fn helper(settings: &Map<String, Value>, server: &str) -> Option<String> {
    let own = settings.get("credHelpers").and_then(|helpers| helpers.get(server));
    let name = own.or_else(|| settings.get("credsStore")).and_then(Value::as_str)?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn shape(config: &Path, registry: &str, reason: &str) -> CredentialError {
    CredentialError::Config { path: config.into(), host: registry.to_owned(), reason: reason.to_owned() }
}

/// The file that a link leads to, even where that is not there yet (configfile, `Save`).
fn followed(config: &Path) -> PathBuf {
    match std::fs::read_link(config) {
        Ok(target) => config.parent().unwrap_or(Path::new(".")).join(target),
        Err(_) => config.to_owned(),
    }
}

fn read(config: &Path) -> Result<Map<String, Value>, CredentialError> {
    let text = match read_capped_text(config, CONFIG_MAX) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(Map::new()),
        Err(error) => return Err(CredentialError::File(error)),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let read = serde_json::from_str(&text);
    // Written anew it would lose what cannot be read now.
    read.map_err(|error| CredentialError::Unreadable { path: config.into(), reason: error.to_string() })
}

fn write(config: &Path, settings: &Map<String, Value>) -> Result<(), CredentialError> {
    let mut text = Vec::new();
    // As docker indents it.
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, serde_json::ser::PrettyFormatter::with_indent(b"\t"));
    serde::Serialize::serialize(settings, &mut serializer).expect("JSON serialises");
    text.push(b'\n');
    if let Some(folder) = config.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        std::fs::create_dir_all(folder).map_err(|source| CredentialError::File(FileError::new("create", folder, source)))?;
    }
    write_private_atomic(config, &text).map_err(CredentialError::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &Path) -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn accounts_come_and_go_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.json");
        let password = Secret::from("a:b");
        assert_eq!(keep(&path, "docker.io", "me", &password).unwrap(), Kept::File(path.clone()));
        assert_eq!(settings(&path), json!({"auths": {"https://index.docker.io/v1/": {"auth": "bWU6YTpi"}}}));
        std::fs::write(&path, r#"{"HttpHeaders":{"X":"1"},"auths":{"other.dev":{"auth":"eDp5"}},"psFormat":"t"}"#).unwrap();
        keep(&path, "r.dev:5000", "me", &password).unwrap();
        assert_eq!(super::super::account(std::slice::from_ref(&path), "r.dev:5000").unwrap().unwrap().1.expose(), "a:b");
        assert_eq!(forget(&path, "r.dev:5000").unwrap(), Some(Kept::File(path.clone())));
        assert_eq!(forget(&path, "r.dev:5000").unwrap(), None);
        assert_eq!(settings(&path), json!({"HttpHeaders": {"X": "1"}, "auths": {"other.dev": {"auth": "eDp5"}}, "psFormat": "t"}));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for broken in ["{", "[]", r#"{"auths": 7}"#] {
            std::fs::write(&path, broken).unwrap();
            assert!(keep(&path, "r.dev", "me", &password).is_err(), "{broken}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), broken, "left alone");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        keep(&link, "r.dev", "me", &Secret::from("p")).unwrap();
        assert!(link.is_symlink() && real.is_file());
    }
}
