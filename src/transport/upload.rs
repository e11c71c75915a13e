//! Putting an archive to a web server: by tus, where a transfer that broke goes on, or by one HTTP PUT or POST, as `WebDAV` servers, object stores with
//! signed URLs and artifact stores take it.

use std::{path::Path, time::Duration};

use reqwest::{Client, StatusCode, Url, header::CONTENT_TYPE};

use super::{
    Reach, TransportProblem,
    error::excerpt,
    memory::{self, Memory},
    outgoing::Outgoing,
    tus::{self, Offer},
    web,
};
use crate::{
    progress::SharedReporter,
    redact::{SafeUrl, Secret},
    registry,
};

/// The longest that a server may say nothing after it has everything.
const ANSWER: Duration = Duration::from_mins(10);
/// The longest that it may take nothing before that.
const STALL: Duration = Duration::from_mins(1);
const ATTEMPTS: u32 = 4;

/// How an archive is handed to a web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// By tus where the server says that it speaks it, else by PUT.
    #[default]
    Auto,
    /// By tus: the URL is where uploads are made.
    Tus,
    /// It becomes what the URL names.
    Put,
    /// The server decides what becomes of it.
    Post,
}

impl Method {
    /// Whether the URL names what is made. If not, the server gives a name of its own.
    pub fn names(self) -> bool {
        self != Self::Tus
    }
}

/// Where archives are put.
#[derive(Debug, Clone)]
pub struct Upload {
    url: SafeUrl,
    method: Method,
    authorization: Option<Secret<String>>,
    reach: Reach,
    stall: Duration,
    remembers: bool,
}

/// An archive that could not be put.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The URL is none, or would carry the archive in the clear.
    #[error("`{0}` is no URL to put archives to: wanted https://HOST/PATH; without TLS only this machine itself")]
    Url(SafeUrl),
    /// The server cannot be reached, hung up, or does not do what it should; or the archive cannot be read.
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
        Self::with(url, Method::Auto, authorization, Reach::default())
    }

    /// The same with a method, and reached as a person says; a token of `reach` is sent as `Bearer`.
    pub fn reached(url: &str, method: Method, reach: &Reach) -> Result<Self, UploadError> {
        let transport = |source| UploadError::Transport { url: SafeUrl::new(url), source };
        Self::with(url, method, reach.authorization().map_err(transport)?, reach.clone())
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
        Ok(Self { url, method, authorization, reach, stall: STALL, remembers: false })
    }

    /// How long a server may take nothing until that counts as a transfer that broke.
    #[must_use]
    pub fn stalls_after(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Keeps beside a file where its upload is, as long as it is not forgotten: a run that is killed is gone on with by the next one. By tus only.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { remembers: true, ..self }
    }

    /// Forgets where the upload of a file is: it has done its work.
    pub fn forget(&self, file: &Path) -> Result<(), UploadError> {
        if self.remembers { memory::forget(file).map_err(|error| failed_at(&self.url, error.into())) } else { Ok(()) }
    }

    /// Puts a file, and tells where. What may pass by itself is tried again: from where the server has it where that speaks tus, else from the start.
    pub async fn send(&self, file: &Path, reporter: &SharedReporter) -> Result<SafeUrl, UploadError> {
        let failed = |problem| failed_at(&self.url, problem);
        let url = self.reach.url(self.url.expose()).map_err(failed)?;
        let client = web::client(&self.reach, ANSWER).map_err(failed)?;
        let body = Outgoing::new(file, self.stall, reporter).map_err(failed)?;
        let sent = if let Some(offer) = self.offer(&client, &url).await.map_err(failed)? {
            let memory = if self.remembers { self.memory(file, &url, &body).await.map_err(failed)? } else { None };
            let session = tus::Session { client: &client, url: &url, authorization: self.authorization.as_ref(), body: &body, memory: memory.as_ref() };
            session.run(offer).await.map(|address| SafeUrl::new(address.to_string())).map_err(failed)?
        } else {
            let named = self.url.expose().ends_with('/');
            let to = if named { SafeUrl::new(format!("{}{}", self.url.expose(), body.name)) } else { self.url.clone() };
            self.as_one(&client, &body, &to).await.map_err(|problem| failed_at(&to, problem))?;
            to
        };
        body.finished();
        Ok(sent)
    }

    /// What is remembered of a file, which is read for that.
    async fn memory(&self, file: &Path, url: &Url, body: &Outgoing) -> Result<Option<Memory>, TransportProblem> {
        let (path, url) = (file.to_owned(), url.clone());
        let reading = tokio::task::spawn_blocking(move || Memory::of(&path, &url));
        let memory = reading.await.map_err(|error| TransportProblem::System(std::io::Error::other(error)))??;
        if memory.is_none() {
            body.note(format!("a run that is killed begins anew: `{}` is something else", memory::beside(file).display()));
        }
        Ok(memory)
    }

    /// Whether it goes by tus.
    async fn offer(&self, client: &Client, url: &Url) -> Result<Option<Offer>, TransportProblem> {
        if !matches!(self.method, Method::Auto | Method::Tus) {
            return Ok(None);
        }
        let mut attempt = 1;
        loop {
            match tus::offer(client, url, self.authorization.as_ref()).await {
                Err(problem) if problem.is_transient() && attempt < ATTEMPTS => {
                    tokio::time::sleep(web::pause(&problem, attempt)).await;
                    attempt += 1;
                }
                // A server that cannot even say no may still take a PUT.
                Err(TransportProblem::Status { .. }) if self.method == Method::Auto => return Ok(None),
                Ok(None) if self.method == Method::Tus => return Err(TransportProblem::NoTus),
                answer => return answer,
            }
        }
    }

    /// One request with everything, again from the start where that may help.
    async fn as_one(&self, client: &Client, body: &Outgoing, url: &SafeUrl) -> Result<(), TransportProblem> {
        let mut attempt = 1;
        loop {
            let request = if self.method == Method::Post { client.post(url.expose()) } else { client.put(url.expose()) };
            let request = web::authorized(request.header(CONTENT_TYPE, web::TAR), self.authorization.as_ref())?;
            let problem = match body.send(request, 0, body.size).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => web::status(answer).await,
                Err(problem) => problem,
            };
            if !self.again(&problem) || attempt == ATTEMPTS {
                return Err(problem);
            }
            tokio::time::sleep(web::pause(&problem, attempt)).await;
            attempt += 1;
        }
    }

    /// A POST may have done its work although the connection broke, so it is repeated only where the server has said no for now.
    fn again(&self, problem: &TransportProblem) -> bool {
        match (self.method, problem) {
            (Method::Post, TransportProblem::Status { status, .. }) => matches!(status, 429 | 503),
            (Method::Post, _) => false,
            (_, problem) => problem.is_transient(),
        }
    }
}

fn failed_at(url: &SafeUrl, problem: TransportProblem) -> UploadError {
    let url = url.clone();
    match problem {
        TransportProblem::Status { status, body, .. } => UploadError::Status { url, status: StatusCode::from_u16(status).unwrap_or_default(), body },
        source => UploadError::Transport { url, source },
    }
}
