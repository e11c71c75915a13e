//! What goes wrong on a node, sorted for the other side and told for people.

use std::fmt;

use offline_agent::{Failure, FailureCode};
use tonic::{Code, Status};

/// A failure with its sort.
#[derive(Debug)]
pub(crate) struct Error {
    code: FailureCode,
    message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// containerd said no while we were doing something.
    pub(crate) fn runtime(doing: impl fmt::Display, status: &Status) -> Self {
        let message = format!("{doing}: containerd says {:?}: {}", status.code(), status.message());
        let full = status.code() == Code::ResourceExhausted || status.message().contains("no space left on device");
        Self { code: if full { FailureCode::Full } else { FailureCode::Runtime }, message }
    }

    /// containerd cannot be talked to, or its answer makes no sense.
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self { code: FailureCode::Runtime, message: message.into() }
    }

    /// Content is not what it should be.
    pub(crate) fn content(message: impl Into<String>) -> Self {
        Self { code: FailureCode::Content, message: message.into() }
    }

    /// The other agent failed us.
    pub(crate) fn peer(message: impl Into<String>) -> Self {
        Self { code: FailureCode::Peer, message: message.into() }
    }

    /// The program on the other end does not keep to the protocol.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self { code: FailureCode::Protocol, message: message.into() }
    }

    /// As it travels.
    pub(crate) fn into_failure(self) -> Failure {
        Failure { code: self.code, message: self.message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
