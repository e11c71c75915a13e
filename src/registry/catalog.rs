//! Lists of a registry: the tags of a repository, and the repositories that there are.

use std::collections::BTreeSet;

use reqwest::Url;
use serde::Deserialize;

use super::{
    Problem, Registries, RegistryError,
    credentials::Credentials,
    host::{Host, Session, in_time},
    web::Page,
};
use crate::{oci::Reference, redact::Secret};

/// Names asked for at a time; registries may send fewer.
const PAGE: usize = 1000;
/// Names of one list that are read.
const NAMES_MAX: usize = 100_000;

/// A page: tags or repositories (distribution-spec, "Listing Tags"; distribution, "Listing Repositories").
#[derive(Deserialize)]
struct Names {
    /// `null` where there are none.
    tags: Option<Vec<String>>,
    repositories: Option<Vec<String>>,
}

/// Registries that are known to have no catalog, and what to do instead.
const WITHOUT: [(&str, &str); 2] = [
    ("docker.io", "Docker Hub has no catalog: its repositories are listed on hub.docker.com only"),
    ("ghcr.io", "GHCR has no catalog: its packages are listed on github.com only"),
];

impl Registries {
    /// All tags of a repository, in the order of their characters.
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>, RegistryError> {
        let target = self.target(repository, "list the tags of")?;
        let name = &target.endpoint.repository;
        let listed = self.listed(&target.host, &format!("{name}/tags/list"), &format!("repository:{name}:pull")).await;
        listed.map_err(|problem| RegistryError { subject: repository.name(), ..target.error("list the tags of", None, problem) })
    }

    /// All repositories of a registry that the account may see, in the order of their characters.
    pub async fn repositories(&self, registry: &str) -> Result<Vec<String>, RegistryError> {
        let failed = |problem| about(registry, "list the repositories of", problem);
        if let Some((_, reason)) = WITHOUT.iter().find(|(host, _)| *host == registry) {
            return Err(failed(Problem::NoCatalog((*reason).to_owned())));
        }
        let listed = self.listed(&self.host(registry), "_catalog", "registry:catalog:*").await;
        listed.map_err(|problem| match problem {
            Problem::NotFound(_) | Problem::Server { status: 405 | 501, .. } => failed(Problem::NoCatalog("it has no catalog".to_owned())),
            problem => failed(problem),
        })
    }

    /// Asks a registry whether it lets somebody in with a password. Tells whether it has asked who that is at all.
    pub async fn let_in(&self, registry: &str, user: &str, password: &Secret<String>) -> Result<bool, RegistryError> {
        let failed = |problem| about(registry, "log in to", problem);
        let session = self.host(registry);
        let session = session.session_without_account().await.map_err(failed)?;
        let who = Credentials::of(user, password.clone());
        in_time(session.web.let_in(&who)).await.map_err(failed)
    }

    async fn listed(&self, host: &Host, path: &str, scope: &str) -> Result<Vec<String>, Problem> {
        let session = host.session().await?;
        let first = |last: Option<&str>| -> Result<Url, Problem> {
            let mut url = session.web.at(path)?;
            url.query_pairs_mut().append_pair("n", &PAGE.to_string());
            if let Some(last) = last {
                url.query_pairs_mut().append_pair("last", last);
            }
            Ok(url)
        };
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut url = first(None)?;
        loop {
            let page = self.page(host, session, url, scope).await?;
            let names = serde_json::from_slice::<Names>(&page.body).map_err(|error| Problem::Listing(format!("its list is not one: {error}")))?;
            let names = names.tags.or(names.repositories).unwrap_or_default();
            let (count, before, last) = (names.len(), found.len(), names.last().cloned());
            found.extend(names);
            if found.len() > NAMES_MAX {
                return Err(Problem::TooLarge { size: found.len() as u64, max: NAMES_MAX as u64 });
            }
            url = match (page.next, last) {
                // A link that leads in a circle brings nothing new.
                _ if found.len() == before => break,
                (Some(next), _) => next,
                // Some registries page without saying so; others do not page at all, and send the same again.
                (None, Some(last)) if count >= PAGE => first(Some(&last))?,
                (None, _) => break,
            };
        }
        Ok(found.into_iter().collect())
    }

    pub(super) async fn page(&self, host: &Host, session: &Session, url: Url, scope: &str) -> Result<Page, Problem> {
        let ask = || {
            in_time(async {
                let _turn = self.turn(host).await;
                session.web.page(url.clone(), &session.credentials, scope).await
            })
        };
        host.patiently(ask).await
    }
}

fn about(registry: &str, action: &'static str, problem: Problem) -> RegistryError {
    RegistryError { action, subject: registry.to_owned(), host: registry.to_owned(), problem: Box::new(problem) }
}
