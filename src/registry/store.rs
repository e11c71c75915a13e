//! What archives need of a registry besides pulling images: putting blobs and manifests, and reading some bytes of a blob.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use oci_client::{RegistryOperation, client::BlobResponse, errors::OciDistributionError};
use reqwest::header::HeaderValue;

use super::{
    Problem, Registries, RegistryError, blob,
    host::Session,
    pool::{ATTEMPTS, DOCUMENT_TIME, Target},
};
use crate::oci::{Descriptor, Digest, Reference};

impl Registries {
    /// Asks to be let in for writing. What is put afterwards goes with the token that this gives.
    pub async fn may_push(&self, image: &Reference) -> Result<(), RegistryError> {
        let target = self.target(image, "push to")?;
        let result = async {
            let session = target.host.session().await?;
            let auth = session.credentials.auth();
            let name = target.endpoint.name(image, None);
            session.client.auth(&name, &auth, RegistryOperation::Push).await.map_err(|e| session.problem(e))
        };
        result.await.map(|_| ()).map_err(|problem| target.error("push to", None, problem))
    }

    /// Whether the repository has a blob already.
    pub async fn has(&self, image: &Reference, blob: &Digest) -> Result<bool, RegistryError> {
        let target = self.target(image, "look for")?;
        let result = async {
            let name = target.endpoint.name(image, None);
            let session = target.host.admitted(&name).await?;
            session.client.blob_exists(&name, blob.as_str()).await.map_err(|e| session.problem(e))
        };
        result.await.map_err(|problem| target.error("look for", Some(blob), problem))
    }

    /// Puts a blob, which `content` gives anew for every attempt.
    pub async fn put_blob<S>(&self, image: &Reference, blob: &Descriptor, content: impl Fn() -> S) -> Result<(), RegistryError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let target = self.target(image, "push")?;
        let mut attempt = 1;
        loop {
            match put_once(&target, blob, content()).await {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(blob::backoff(attempt)).await;
                    attempt += 1;
                }
                done => return done.map_err(|problem| target.error("push", Some(&blob.digest), problem)),
            }
        }
    }

    /// Puts a manifest under the name of `image`.
    pub async fn put_manifest(&self, image: &Reference, media_type: &'static str, bytes: Bytes) -> Result<(), RegistryError> {
        let target = self.target(image, "push")?;
        let name = target.endpoint.name(image, None);
        let mut attempt = 1;
        loop {
            let done = async {
                let session = target.host.session().await?;
                let put = session.client.push_manifest_raw(&name, bytes.clone(), HeaderValue::from_static(media_type));
                put.await.map_err(|e| session.problem(e))
            };
            match done.await {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(blob::backoff(attempt)).await;
                    attempt += 1;
                }
                done => return done.map(|_| ()).map_err(|problem| target.error("push", None, problem)),
            }
        }
    }

    /// Some bytes of a blob; none where the registry gives whole blobs only. They are not checked: the blob's digest is that of all of it.
    pub async fn range(&self, image: &Reference, blob: &Digest, offset: u64, length: usize) -> Result<Option<Bytes>, RegistryError> {
        let target = self.target(image, "read")?;
        let failed = |problem| target.error("read", Some(blob), problem);
        let mut attempt = 1;
        loop {
            let asked = tokio::time::timeout(DOCUMENT_TIME, range_once(&target, blob, offset, length)).await;
            match asked.unwrap_or(Err(Problem::Stalled(DOCUMENT_TIME.as_secs()))) {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(blob::backoff(attempt)).await;
                    attempt += 1;
                }
                answer => return answer.map_err(failed),
            }
        }
    }
}

async fn put_once(target: &Target<'_>, blob: &Descriptor, content: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Result<(), Problem> {
    let _slot = target.host.slots.acquire().await.expect("the semaphore is never closed");
    let session: &Session = target.host.session().await?;
    let name = target.endpoint.name(target.image, None);
    let content = content.map(|piece| piece.map_err(OciDistributionError::IoError));
    let put = session.client.push_blob_stream(&name, content, blob.digest.as_str(), Some(blob.size));
    put.await.map(|_| ()).map_err(|e| session.problem(e))
}

async fn range_once(target: &Target<'_>, blob: &Digest, offset: u64, length: usize) -> Result<Option<Bytes>, Problem> {
    let _slot = target.host.slots.acquire().await.expect("the semaphore is never closed");
    let name = target.endpoint.name(target.image, Some(blob));
    let session = target.host.admitted(&name).await?;
    // Streams do not take credentials themselves.
    session.client.store_auth_if_needed(name.resolve_registry(), &session.credentials.auth()).await;
    let answer = session.client.pull_blob_stream_partial(&name, blob.as_str(), offset, Some(length as u64)).await;
    let BlobResponse::Partial(mut stream) = answer.map_err(|e| session.problem(e))? else { return Ok(None) };
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        let Some(chunk) = stream.next().await else { break };
        let chunk = chunk.map_err(|e| session.problem(e.into()))?;
        bytes.extend_from_slice(&chunk[..chunk.len().min(length - bytes.len())]);
    }
    if bytes.len() < length {
        return Err(Problem::Broken { attempts: 1, done: bytes.len() as u64, size: length as u64, source: None });
    }
    Ok(Some(bytes.freeze()))
}
