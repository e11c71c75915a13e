//! What is in a registry besides images: tags, and small blobs of artifacts such as charts.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    Problem, Registries, RegistryError,
    blob::{self, Memory},
    pool::{ATTEMPTS, DOCUMENT_TIME, Target},
};
use crate::oci::{Descriptor, Digest, Reference};

/// Tags asked for at a time; registries may send fewer.
const PAGE: usize = 1000;
/// Tags of one repository that are read.
const TAGS_MAX: usize = 50_000;

impl Registries {
    /// All tags of a repository, in the order of their characters (distribution-spec, "Listing Tags").
    pub async fn tags(&self, repository: &Reference) -> Result<Vec<String>, RegistryError> {
        let target = self.target(repository, "list the tags of")?;
        self.all_tags(&target).await.map_err(|problem| target.error("list the tags of", None, problem))
    }

    /// A blob of an artifact, whole, and held against its digest.
    pub async fn content(&self, artifact: &Reference, blob: &Descriptor, max: u64) -> Result<Bytes, RegistryError> {
        let target = self.target(artifact, "pull")?;
        let failed = |problem| target.error("pull", Some(&blob.digest), problem);
        if blob.size > max {
            return Err(failed(Problem::TooLarge { size: blob.size, max }));
        }
        let mut memory = Memory::default();
        self.blob(&target, blob, &mut memory).await.map_err(failed)?;
        let found = Digest::of(&memory.0);
        if found != blob.digest {
            return Err(failed(Problem::Digest { wanted: blob.digest.clone(), found }));
        }
        Ok(memory.0.into())
    }

    async fn all_tags(&self, target: &Target<'_>) -> Result<Vec<String>, Problem> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut last: Option<String> = None;
        loop {
            let page = self.page(target, last.as_deref()).await?;
            let before = found.len();
            last = page.last().cloned();
            found.extend(page);
            // Some registries do not page at all and send the same again.
            if last.is_none() || found.len() == before {
                return Ok(found.into_iter().collect());
            }
            if found.len() > TAGS_MAX {
                return Err(Problem::TooLarge { size: found.len() as u64, max: TAGS_MAX as u64 });
            }
        }
    }

    async fn page(&self, target: &Target<'_>, last: Option<&str>) -> Result<Vec<String>, Problem> {
        let name = target.endpoint.name(target.image, None);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let asked = tokio::time::timeout(DOCUMENT_TIME, async {
                let _overall = self.overall.acquire().await.expect("the semaphore is never closed");
                let _slot = target.host.slots.acquire().await.expect("the semaphore is never closed");
                let session = target.host.admitted(&name).await?;
                session.client.list_tags(&name, &session.credentials.auth(), Some(PAGE), last).await.map_err(|e| session.problem(e))
            });
            match asked.await.unwrap_or(Err(Problem::Stalled(DOCUMENT_TIME.as_secs()))) {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => tokio::time::sleep(blob::backoff(attempt)).await,
                answer => return answer.map(|page| page.tags),
            }
        }
    }
}
