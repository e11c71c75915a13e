//! Putting an archive to a server: one HTTP PUT, as `WebDAV` servers, object stores with signed URLs and artifact stores take it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Body, Client, StatusCode, Url, header, redirect::Policy};
use tokio::io::AsyncReadExt as _;

use crate::{
    redact::{SafeUrl, Secret},
    registry::is_loopback,
};

const CONNECT: Duration = Duration::from_secs(15);
/// The longest that a server may say nothing after it has everything.
const ANSWER: Duration = Duration::from_mins(10);
/// Read from the file at a time.
const PIECE: usize = 256 << 10;

/// Where archives are put.
#[derive(Debug, Clone)]
pub struct Upload {
    url: String,
    authorization: Option<Secret<String>>,
}

/// An archive that could not be put.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The URL is none, or would carry the archive in the clear.
    #[error("`{0}` is no URL to put archives to: wanted https://HOST/PATH; without TLS only this machine itself")]
    Url(SafeUrl),
    /// The archive cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server cannot be reached, or hung up.
    #[error("cannot put the archive to {url}: {source}")]
    Transport {
        /// Where.
        url: SafeUrl,
        /// Why.
        source: reqwest::Error,
    },
    /// The server has refused it.
    #[error("cannot put the archive to {url}: the server answered with status {status}")]
    Status {
        /// Where.
        url: SafeUrl,
        /// What it said.
        status: StatusCode,
    },
}

impl Upload {
    /// Puts archives to a URL; where that ends with a slash, under their own names. `authorization` is sent as the header of that name.
    pub fn new(url: &str, authorization: Option<Secret<String>>) -> Result<Self, UploadError> {
        let bad = || UploadError::Url(SafeUrl::new(url));
        let parsed = Url::parse(url).map_err(|_| bad())?;
        let host = parsed.host_str().unwrap_or_default();
        match parsed.scheme() {
            "https" if !host.is_empty() => {}
            "http" if is_loopback(host) => {}
            _ => return Err(bad()),
        }
        Ok(Self { url: url.to_owned(), authorization })
    }

    /// Puts an archive, and tells where.
    pub(super) async fn send(&self, archive: &Path) -> Result<SafeUrl, UploadError> {
        let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let url = if self.url.ends_with('/') { format!("{}{name}", self.url) } else { self.url.clone() };
        let failed = |source: std::io::Error| UploadError::File { path: archive.into(), source };
        let file = tokio::fs::File::open(archive).await.map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let pieces = futures::stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece).await?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((piece, file)))
        });
        let transport = |source: reqwest::Error| UploadError::Transport { url: SafeUrl::new(url.clone()), source: source.without_url() };
        let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).read_timeout(ANSWER).build().map_err(transport)?;
        let mut request = client.put(&url).header(header::CONTENT_LENGTH, size).body(Body::wrap_stream(pieces));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.expose());
        }
        let answer = request.send().await.map_err(transport)?;
        if answer.status().is_success() { Ok(SafeUrl::new(url)) } else { Err(UploadError::Status { url: SafeUrl::new(url), status: answer.status() }) }
    }
}
