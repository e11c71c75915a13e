//! How an archive elsewhere cannot be had, or cannot be put there.

use std::path::PathBuf;

use crate::{archive::VolumeError, io::FileError, registry::RegistryError};

/// A failure with an archive that lies elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{subject}`: {problem}")]
pub struct TransportError {
    /// What was attempted, as in `read`.
    pub action: &'static str,
    /// On what; without secrets.
    pub subject: String,
    /// What went wrong.
    #[source]
    pub problem: Box<TransportProblem>,
}

impl TransportError {
    pub(super) fn new(action: &'static str, subject: impl Into<String>, problem: TransportProblem) -> Self {
        Self { action, subject: subject.into(), problem: problem.into() }
    }
}

/// What can go wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum TransportProblem {
    /// Not a URL.
    #[error("wanted https://HOST/PATH")]
    Url,
    /// Not a name in a registry.
    #[error("{0}")]
    Reference(String),
    /// Without TLS to another machine.
    #[error("it is not on this machine and would be reached without TLS; --plain-http says that this is meant")]
    PlainHttp,
    /// Moved too often.
    #[error("the server moved it more than {0} times")]
    Redirects(usize),
    /// Moved to nowhere, or to where there is no TLS.
    #[error("the server moved it to {0}, which is no address with TLS")]
    BadRedirect(String),
    /// The server answers something else.
    #[error("the server answered with status {status}{}", excerpt(.body))]
    Status {
        /// What it answered.
        status: u16,
        /// The beginning of what it said.
        body: String,
        /// How many seconds it asked to be left alone.
        wait: Option<u64>,
    },
    /// The server gives the whole or nothing.
    #[error("the server does not give parts of files (it has no Range requests); download the archive, and use the file")]
    NoRanges,
    /// The server does not tell where the parts belong.
    #[error("the server's answer says nothing usable about which part it is (`Content-Range: {0}`)")]
    BadRange(String),
    /// Not the file that it was.
    #[error("it has changed while it was read ({what} was {before}, now it is {now}); begin again")]
    Changed {
        /// What tells it.
        what: &'static str,
        /// What it said first.
        before: String,
        /// What it says now.
        now: String,
    },
    /// Fewer bytes than the server has announced.
    #[error("the answer ended after {found} of {wanted} bytes")]
    Short {
        /// What was announced.
        wanted: usize,
        /// What came.
        found: usize,
    },
    /// More than the server takes.
    #[error("the server takes at most {max} bytes, and the archive has {size}; --volume-size cuts it")]
    TooLarge {
        /// Bytes of the archive.
        size: u64,
        /// The server's limit.
        max: u64,
    },
    /// No server of the protocol that was asked for.
    #[error("the server does not speak tus 1.0.0, or makes no uploads (`Tus-Version` and `Tus-Extension: creation` in its answer to OPTIONS)")]
    NoTus,
    /// A server that does not keep to the protocol.
    #[error("the server does not keep to tus 1.0.0: {0}")]
    Tus(String),
    /// Cannot be reached, or hung up.
    #[error("{0}")]
    Connection(String),
    /// Certificates of a file.
    #[error("`{path}` holds no usable certificates: {reason}")]
    CaFile {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The registry.
    #[error("{0}")]
    Registry(#[from] Box<RegistryError>),
    /// An artifact in a registry that is no archive.
    #[error("it is no archive of this program: {0}")]
    NoArchive(String),
    /// A volume of an archive that cannot be read.
    #[error("its volume `{}`: {source}", path.display())]
    Volume {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<TransportProblem>,
    },
    /// Volumes that are not those of their list.
    #[error(transparent)]
    Volumes(#[from] Box<VolumeError>),
    /// No task can be started.
    #[error("the machine has no resources left: {0}")]
    System(std::io::Error),
}

impl From<VolumeError> for TransportProblem {
    fn from(error: VolumeError) -> Self {
        Self::Volumes(Box::new(error))
    }
}

impl TransportProblem {
    /// Whether it may pass by itself.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == 408 || *status == 429 || *status >= 500,
            Self::Short { .. } | Self::Connection(_) => true,
            _ => false,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn wait(&self) -> Option<std::time::Duration> {
        match self {
            Self::Status { wait, .. } => wait.map(std::time::Duration::from_secs),
            _ => None,
        }
    }
}

pub(super) fn excerpt(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(": {body}") }
}
