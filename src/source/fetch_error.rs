//! How getting something over HTTP fails.

use std::{error::Error, path::PathBuf, time::Duration};

use reqwest::Url;

use crate::{io::FileError, redact::SafeUrl, registry::CredentialError, tls::TlsError};

/// Something could not be had over HTTP.
#[derive(Debug, thiserror::Error)]
#[error("cannot get {url}: {problem}")]
pub struct FetchError {
    /// From where, without credentials and query.
    pub url: String,
    /// What went wrong.
    #[source]
    pub problem: Box<FetchProblem>,
}

/// What can go wrong with a web server.
#[derive(Debug, thiserror::Error)]
pub enum FetchProblem {
    /// No URL that can be used.
    #[error("`{0}` is no URL that can be used; wanted https://HOST/PATH")]
    Url(String),
    /// It would have gone without TLS, and nobody said that it may.
    #[error("{0} would be asked without TLS, so anybody on the way could change what comes")]
    PlainHttp(String),
    /// From TLS to no TLS.
    #[error("the server sends us on to {0}, which is without TLS")]
    Downgrade(String),
    /// Somewhere that is nowhere.
    #[error("the server sends us on to somewhere that is no URL")]
    BadRedirect,
    /// In circles, or too far.
    #[error("the server sends us on more than {0} times")]
    Redirects(usize),
    /// The server wants to know who asks.
    #[error("the server refuses {} (status {status})", user.as_ref().map_or_else(|| "without credentials".to_owned(), |user| format!("user `{user}`: wrong password or no rights")))]
    Refused {
        /// 401 or 403.
        status: u16,
        /// Who asked.
        user: Option<String>,
    },
    /// Nothing there.
    #[error("the server does not have it")]
    NotFound,
    /// The server has trouble.
    #[error("the server answered with status {status}")]
    Status {
        /// HTTP status.
        status: u16,
        /// How long it wants to be left alone.
        wait: Option<Duration>,
    },
    /// Too large for what it is.
    #[error("it has more than {0} bytes, the most that such a document may have")]
    TooLarge(u64),
    /// Nothing came for too long, or all of it took too long.
    #[error("it took longer than {0} seconds")]
    Stalled(u64),
    /// Certificates that cannot be used.
    #[error("cannot use the certificates in `{}`: {reason}", path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Credentials could not be read.
    #[error(transparent)]
    Credentials(CredentialError),
    /// The connection failed.
    #[error("{text}")]
    Transport {
        /// How, with its causes.
        text: String,
        /// Whether trying again may help.
        transient: bool,
    },
}

impl From<TlsError> for FetchProblem {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::File(error) => Self::File(error),
            TlsError::Authorities { path, reason } | TlsError::Identity { certificate: path, reason, .. } => Self::CaFile { path, reason },
            TlsError::Machine(error) => Self::Transport { text: error.to_string(), transient: false },
        }
    }
}

impl FetchProblem {
    /// Sorts the client's error in; it never shows a URL.
    pub(super) fn of(error: &reqwest::Error, seconds: u64) -> Self {
        if error.is_timeout() {
            return Self::Stalled(seconds);
        }
        let mut lines: Vec<String> = Vec::new();
        let mut untrusted = false;
        // The client's own first line holds the URL.
        let mut cause = error.source();
        while let Some(inner) = cause {
            let line = inner.to_string();
            untrusted |= line.contains("invalid peer certificate") || line.contains("certificate");
            if !lines.last().is_some_and(|last| last.contains(&line)) {
                lines.push(line);
            }
            cause = inner.source();
        }
        if lines.is_empty() {
            lines.push("the request failed".to_owned());
        }
        Self::Transport { text: lines.join(": "), transient: !untrusted && !error.is_builder() }
    }

    /// Whether trying again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == 429 || *status == 408 || *status >= 500,
            Self::Stalled(_) => true,
            Self::Transport { transient, .. } => *transient,
            _ => false,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    /// What to do about it, where there is something that helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PlainHttp(host) => format!("if it is meant to be without TLS, say so in delivery.yaml: spec.sources.\"{host}\".plainHTTP: true"),
            Self::Refused { user: None, .. } => {
                "add the repository with its user to helm (`helm repo add NAME URL --username …`), or log in to the host with `docker login`".to_owned()
            }
            Self::Refused { .. } => "check the password in helm's repositories.yaml or docker's config".to_owned(),
            Self::Transport { text, .. } if text.contains("certificate") => {
                "name its certificate authority in delivery.yaml: spec.sources.\"HOST\".caFile".to_owned()
            }
            Self::Stalled(_) => "check the network and run the same command again".to_owned(),
            _ => return None,
        })
    }
}

/// A URL as people may see it.
pub(super) fn shown(url: &Url) -> String {
    SafeUrl::new(url.as_str()).to_string()
}
