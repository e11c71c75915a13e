//! `registry`: what a registry has, and who it is asked as.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::prepare::registry_failure;
use crate::{
    failure::{Failure, Kind},
    oci::Reference,
    redact::Secret,
    registry::{self, HostOptions, Kept, Reach, Registries},
    tag_policy::Pattern,
};

/// How a registry is reached.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// Docker's config.json, where credentials are.
    pub docker_config: Option<PathBuf>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// No TLS.
    pub plain_http: bool,
    /// Proxies, and further files with credentials.
    pub reach: Reach,
}

/// The repositories of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoriesOutcome {
    /// The registry.
    pub registry: String,
    /// Its repositories that match, in the order of their characters.
    pub repositories: Vec<String>,
}

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsOutcome {
    /// The repository, with its registry.
    pub repository: String,
    /// Tags that there are.
    pub total: usize,
    /// Its tags that match, in the order of their characters.
    pub tags: Vec<String>,
}

/// An account that was kept or forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountOutcome {
    /// The registry.
    pub registry: String,
    /// Name of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether the registry has asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<bool>,
    /// The file that has it, or had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The helper that has it, or had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helper: Option<String>,
}

/// A name that is no registry's, or says too much.
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("`{0}` is no registry: wanted a host, with a port if any, as in registry.example:5000")]
    Registry(String),
    #[error("`{0}` names a tag or a digest; wanted a repository, as in registry.example/team/app")]
    Tagged(String),
    #[error("there is no place for docker's config.json: neither HOME nor DOCKER_CONFIG is set")]
    NoConfig,
}

impl RegistryAccess {
    fn registries(&self, host: &str) -> Registries {
        let options = HostOptions { ca_file: self.ca_file.clone(), plain_http: self.plain_http, ..HostOptions::default() };
        Registries::new(BTreeMap::from([(host.to_owned(), options)]), self.docker_config.clone()).reached(&self.reach)
    }

    fn config(&self) -> Result<&PathBuf, Failure> {
        self.docker_config.as_ref().ok_or_else(|| Failure::new(Kind::Usage, NameError::NoConfig))
    }
}

/// A registry's host, as it is written in references.
fn host(written: &str) -> Result<String, Failure> {
    let text = ["https://", "http://", "oci://"].iter().find_map(|scheme| written.strip_prefix(scheme)).unwrap_or(written);
    let text = text.trim_end_matches('/').trim_end_matches("/v2").trim_end_matches("/v1");
    let text = if text == "index.docker.io" { "docker.io" } else { text };
    let read = format!("{text}/x").parse::<Reference>().ok().filter(|reference| reference.registry() == text);
    read.map(|_| text.to_owned()).ok_or_else(|| Failure::new(Kind::Usage, NameError::Registry(written.to_owned())))
}

/// An expression that matches whole names.
pub fn filter(text: Option<&str>) -> Result<Option<Pattern>, Failure> {
    text.map(Pattern::new).transpose().map_err(|error| Failure::new(Kind::Usage, error))
}

/// The repositories of a registry.
pub async fn repositories(registry: &str, filter: Option<&Pattern>, access: &RegistryAccess) -> Result<RepositoriesOutcome, Failure> {
    let registry = host(registry)?;
    let mut repositories = access.registries(&registry).repositories(&registry).await.map_err(registry_failure)?;
    repositories.retain(|name| filter.is_none_or(|filter| filter.matches(name)));
    Ok(RepositoriesOutcome { registry, repositories })
}

/// The tags of a repository.
pub async fn tags(repository: &str, filter: Option<&Pattern>, access: &RegistryAccess) -> Result<TagsOutcome, Failure> {
    let text = repository.strip_prefix("oci://").unwrap_or(repository);
    let reference: Reference = text.parse().map_err(|error: crate::oci::ReferenceError| Failure::new(Kind::Usage, error))?;
    if reference.digest().is_some() || text.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(Failure::new(Kind::Usage, NameError::Tagged(repository.to_owned())));
    }
    let mut tags = access.registries(reference.registry()).tags(&reference).await.map_err(registry_failure)?;
    let total = tags.len();
    tags.retain(|tag| filter.is_none_or(|filter| filter.matches(tag)));
    Ok(TagsOutcome { repository: reference.name(), total, tags })
}

/// Asks the registry whether it lets somebody in, and keeps the account where it does.
pub async fn login(registry: &str, user: &str, password: Secret<String>, access: &RegistryAccess) -> Result<AccountOutcome, Failure> {
    let (registry, config) = (host(registry)?, access.config()?.clone());
    let checked = access.registries(&registry).let_in(&registry, user, &password).await.map_err(registry_failure)?;
    let (name, account) = (registry.clone(), user.to_owned());
    // A helper is a process that is waited for.
    let kept = tokio::task::spawn_blocking(move || registry::keep(&config, &name, &account, &password)).await;
    let kept = kept.map_err(|error| Failure::new(Kind::Other, error))?.map_err(|error| Failure::new(Kind::Other, error))?;
    Ok(outcome(registry, Some(user.to_owned()), Some(checked), Some(kept)))
}

/// Forgets an account.
pub fn logout(registry: &str, access: &RegistryAccess) -> Result<AccountOutcome, Failure> {
    let registry = host(registry)?;
    let was = registry::forget(access.config()?, &registry).map_err(|error| Failure::new(Kind::Other, error))?;
    Ok(outcome(registry, None, None, was))
}

fn outcome(registry: String, user: Option<String>, checked: Option<bool>, kept: Option<Kept>) -> AccountOutcome {
    let (file, helper) = match kept {
        Some(Kept::File(path)) => (Some(path), None),
        Some(Kept::Helper(name)) => (None, Some(name)),
        None => (None, None),
    };
    AccountOutcome { registry, user, checked, file, helper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_as_people_write_them() {
        for (written, wanted) in [
            ("registry.example:5000", "registry.example:5000"),
            ("https://ghcr.io/", "ghcr.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("localhost", "localhost"),
            ("oci://127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert_eq!(host(written).unwrap(), wanted);
        }
        for bad in ["", "word", "ghcr.io/team", "a b.dev", "me:secret@r.dev"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
