//! What archives need of a registry besides pulling images: putting blobs and manifests, and reading some bytes of a blob.

use bytes::{Bytes, BytesMut};
use futures::Stream;
use reqwest::{
    Body, Method, Response, StatusCode, Url,
    header::{CONTENT_RANGE, LOCATION},
};

use super::{
    Problem, Registries, RegistryError,
    blob::content_range,
    host::{Session, in_time},
    pool::Target,
    web::{Content, Wanted},
};
use crate::oci::{Descriptor, Digest, Reference};

/// What a registry takes for bytes.
const BYTES: &str = "application/octet-stream";

impl Registries {
    /// Makes sure that somebody may write: begins a blob, and gives it up again.
    pub async fn may_push(&self, image: &Reference) -> Result<(), RegistryError> {
        let target = self.target(image, "push to")?;
        let result = async {
            let session = target.host.session().await?;
            let place = begin(&target, session).await?;
            let scope = target.endpoint.scope_to_push();
            // A registry that cannot give it up forgets it in time.
            let _ = session.web.get(&Wanted { method: Method::DELETE, follow: false, ..Wanted::all(place, &scope) }, &session.credentials).await;
            Ok(())
        };
        result.await.map_err(|problem| target.error("push to", None, problem))
    }

    /// Whether the repository has a blob already, asked by who is about to write.
    pub async fn has(&self, image: &Reference, blob: &Digest) -> Result<bool, RegistryError> {
        let target = self.target(image, "look for")?;
        self.has_once(&target, blob, &target.endpoint.scope_to_push()).await.map_err(|problem| target.error("look for", Some(blob), problem))
    }

    /// The same asked by who only reads, patiently.
    pub async fn holds(&self, image: &Reference, blob: &Digest) -> Result<bool, RegistryError> {
        let target = self.target(image, "look for")?;
        let ask = || {
            in_time(async {
                let _turn = self.turn(&target.host).await;
                self.has_once(&target, blob, &target.endpoint.scope()).await
            })
        };
        target.host.patiently(ask).await.map_err(|problem| target.error("look for", Some(blob), problem))
    }

    async fn has_once(&self, target: &Target<'_>, blob: &Digest, scope: &str) -> Result<bool, Problem> {
        let session = target.host.session().await?;
        let wanted = Wanted { method: Method::HEAD, ..Wanted::all(session.web.at(&target.endpoint.blob(blob))?, scope) };
        match session.web.get(&wanted, &session.credentials).await {
            Ok(_) => Ok(true),
            Err(Problem::NotFound(_)) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Puts a blob, which `content` gives anew for every attempt (distribution-spec, "POST then PUT").
    pub async fn put_blob<S>(&self, image: &Reference, blob: &Descriptor, content: impl Fn() -> S + Sync) -> Result<(), RegistryError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let target = self.target(image, "push")?;
        let body = || Body::wrap_stream(content());
        let put = target.host.patiently(|| self.put_once(&target, blob, &body)).await;
        put.map_err(|problem| target.error("push", Some(&blob.digest), problem))
    }

    async fn put_once(&self, target: &Target<'_>, blob: &Descriptor, body: &(dyn Fn() -> Body + Sync)) -> Result<(), Problem> {
        let _turn = self.turn(&target.host).await;
        let (session, scope) = (target.host.session().await?, target.endpoint.scope_to_push());
        let mut place = begin(target, session).await?;
        place.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let content = Content { media_type: BYTES, length: blob.size, body };
        let wanted = Wanted { method: Method::PUT, content: Some(content), follow: false, ..Wanted::all(place, &scope) };
        session.web.get(&wanted, &session.credentials).await.map(|_| target.host.has_answered())
    }

    /// Puts a manifest under the name of `image`.
    pub async fn put_manifest(&self, image: &Reference, media_type: &'static str, bytes: Bytes) -> Result<(), RegistryError> {
        let target = self.target(image, "push")?;
        let body = || Body::from(bytes.clone());
        let (path, scope) = (target.endpoint.manifest(image, None), target.endpoint.scope_to_push());
        let put = || async {
            let session = target.host.session().await?;
            let content = Content { media_type, length: bytes.len() as u64, body: &body };
            let wanted = Wanted { method: Method::PUT, content: Some(content), follow: false, ..Wanted::all(session.web.at(&path)?, &scope) };
            session.web.get(&wanted, &session.credentials).await.map(|_| ())
        };
        target.host.patiently(put).await.map_err(|problem| target.error("push", None, problem))
    }

    /// Some bytes of a blob; none where the registry gives whole blobs only. They are not checked: the blob's digest is that of all of it.
    pub async fn range(&self, image: &Reference, blob: &Digest, offset: u64, length: usize) -> Result<Option<Bytes>, RegistryError> {
        let target = self.target(image, "read")?;
        let ask = || in_time(self.range_once(&target, blob, offset, length));
        target.host.patiently(ask).await.map_err(|problem| target.error("read", Some(blob), problem))
    }

    async fn range_once(&self, target: &Target<'_>, blob: &Digest, offset: u64, length: usize) -> Result<Option<Bytes>, Problem> {
        let _turn = self.turn(&target.host).await;
        let (session, scope) = (target.host.session().await?, target.endpoint.scope());
        let until = Some(offset + (length as u64).saturating_sub(1));
        let wanted = Wanted { from: offset, until, ..Wanted::all(session.web.at(&target.endpoint.blob(blob))?, &scope) };
        let mut answer = session.web.get(&wanted, &session.credentials).await?;
        target.host.has_answered();
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(None);
        }
        if let Some(said) = first_byte(&answer).filter(|said| *said != offset) {
            return Err(Problem::Range { wanted: offset, said });
        }
        let mut bytes = BytesMut::with_capacity(length);
        while bytes.len() < length {
            let Some(chunk) = answer.chunk().await.map_err(|error| session.web.problem(error, session.credentials.user()))? else { break };
            bytes.extend_from_slice(&chunk[..chunk.len().min(length - bytes.len())]);
        }
        if bytes.len() < length {
            return Err(Problem::Early);
        }
        Ok(Some(bytes.freeze()))
    }
}

/// Begins a blob: where the rest of it goes.
async fn begin(target: &Target<'_>, session: &Session) -> Result<Url, Problem> {
    let scope = target.endpoint.scope_to_push();
    let uploads = session.web.at(&target.endpoint.uploads())?;
    // Some servers want to be told that nothing follows.
    let content = Content { media_type: BYTES, length: 0, body: &Body::default };
    let wanted = Wanted { method: Method::POST, content: Some(content), follow: false, ..Wanted::all(uploads.clone(), &scope) };
    let answer = session.web.get(&wanted, &session.credentials).await?;
    let place = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    session.web.same_host(&uploads, place.ok_or_else(|| Problem::Listing("it does not say where a blob goes".to_owned()))?)
}

/// Where a part begins, as the server says.
fn first_byte(answer: &Response) -> Option<u64> {
    content_range(answer.headers().get(CONTENT_RANGE)?.to_str().ok()?).map(|(first, _)| first)
}
