//! Putting an archive to a web server: one HTTP PUT or POST, as `WebDAV` servers, object stores with signed URLs and artifact stores take it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Body, StatusCode, header};
use tokio::io::AsyncReadExt as _;

use super::{Reach, TransportProblem, error::excerpt, web};
use crate::{
    redact::{SafeUrl, Secret},
    registry,
};

/// The longest that a server may say nothing after it has everything.
const ANSWER: Duration = Duration::from_mins(10);
/// Read from the file at a time.
const PIECE: usize = 256 << 10;
const ATTEMPTS: u32 = 4;

/// How an archive is handed to a web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// It becomes what the URL names.
    #[default]
    Put,
    /// The server decides what becomes of it.
    Post,
}

/// Where archives are put.
#[derive(Debug, Clone)]
pub struct Upload {
    url: SafeUrl,
    method: Method,
    authorization: Option<Secret<String>>,
    reach: Reach,
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
        source: TransportProblem,
    },
    /// The server has refused it.
    #[error("cannot put the archive to {url}: the server answered with status {status}{}", excerpt(.body))]
    Status {
        /// Where.
        url: SafeUrl,
        /// What it said.
        status: StatusCode,
        /// The beginning of its answer.
        body: String,
    },
}

impl Upload {
    /// Puts archives to a URL; where that ends with a slash, under their own names. `authorization` is sent as the header of that name.
    pub fn new(url: &str, authorization: Option<Secret<String>>) -> Result<Self, UploadError> {
        Self::with(url, Method::Put, authorization, Reach::default())
    }

    /// The same with a method, and reached as a person says; a token of `reach` is sent as `Bearer`.
    pub fn reached(url: &str, method: Method, reach: &Reach) -> Result<Self, UploadError> {
        let transport = |source| UploadError::Transport { url: SafeUrl::new(url), source };
        let authorization = reach.token().map_err(transport)?.map(|token| Secret::new(format!("Bearer {}", token.expose())));
        Self::with(url, method, authorization, reach.clone())
    }

    /// By what this machine says of its connections: its proxies.
    #[must_use]
    pub fn from(mut self, machine: registry::Reach) -> Self {
        self.reach.machine = machine;
        self
    }

    fn with(url: &str, method: Method, authorization: Option<Secret<String>>, reach: Reach) -> Result<Self, UploadError> {
        let url = SafeUrl::new(url);
        if reach.url(url.expose()).is_err() {
            return Err(UploadError::Url(url));
        }
        Ok(Self { url, method, authorization, reach })
    }

    /// Puts an archive, and tells where. What may pass by itself is tried again from the start.
    pub async fn send(&self, archive: &Path) -> Result<SafeUrl, UploadError> {
        let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let url = if self.url.expose().ends_with('/') { SafeUrl::new(format!("{}{name}", self.url.expose())) } else { self.url.clone() };
        let mut attempt = 1;
        loop {
            match self.once(archive, &url).await? {
                Ok(()) => return Ok(url),
                Err(problem) if self.again(&problem) && attempt < ATTEMPTS => {
                    tokio::time::sleep(web::pause(&problem, attempt)).await;
                    attempt += 1;
                }
                Err(TransportProblem::Status { status, body, .. }) => {
                    return Err(UploadError::Status { url, status: StatusCode::from_u16(status).unwrap_or_default(), body });
                }
                Err(source) => return Err(UploadError::Transport { url, source }),
            }
        }
    }

    /// A POST may have done its work although the connection broke, so it is repeated only where the server has said no for now.
    fn again(&self, problem: &TransportProblem) -> bool {
        match (self.method, problem) {
            (Method::Post, TransportProblem::Status { status, .. }) => matches!(status, 429 | 503),
            (Method::Post, _) => false,
            (Method::Put, problem) => problem.is_transient(),
        }
    }

    async fn once(&self, archive: &Path, url: &SafeUrl) -> Result<Result<(), TransportProblem>, UploadError> {
        let failed = |source: std::io::Error| UploadError::File { path: archive.into(), source };
        let file = tokio::fs::File::open(archive).await.map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let pieces = futures::stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece).await?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((piece, file)))
        });
        let client = match web::client(&self.reach, ANSWER) {
            Ok(client) => client,
            Err(problem) => return Ok(Err(problem)),
        };
        let request = match self.method {
            Method::Put => client.put(url.expose()),
            Method::Post => client.post(url.expose()),
        };
        let mut request = request.header(header::CONTENT_LENGTH, size).header(header::CONTENT_TYPE, "application/x-tar").body(Body::wrap_stream(pieces));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.expose());
        }
        Ok(match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(web::status(answer).await),
            Err(error) => Err(web::connection(error)),
        })
    }
}
