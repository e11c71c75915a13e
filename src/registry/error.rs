//! How registries fail, told apart as far as a person would do something else about it.

use std::{error::Error, io, time::Duration};

use oci_client::errors::{OciDistributionError, OciErrorCode};

use super::{ImageError, credentials::CredentialError};
use crate::{
    io::FileError,
    oci::{Digest, DigestError},
    redact::SafeUrl,
};

/// Something could not be had from a registry.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {subject}{}: {problem}", if subject == host { String::new() } else { format!(" from {host}") })]
pub struct RegistryError {
    /// What was attempted, as in `resolve`.
    pub action: &'static str,
    /// On what: the image, with the digest where a part of it was wanted.
    pub subject: String,
    /// Which host was asked; a mirror, where one stands for the registry.
    pub host: String,
    /// What went wrong.
    #[source]
    pub problem: Box<Problem>,
}

/// What can go wrong with a registry.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The registry wants to know who asks, and nothing was said.
    #[error("the registry wants credentials, and docker's config has none for it")]
    NoCredentials,
    /// Credentials were given and refused.
    #[error("the registry refused user `{user}`: wrong password or no rights{}", in_brackets(.reason))]
    Refused {
        /// Who asked.
        user: String,
        /// What the registry said.
        reason: String,
    },
    /// Credentials could not be read.
    #[error(transparent)]
    Credentials(CredentialError),
    /// There is no such image or blob.
    #[error("the registry does not have it{}", in_brackets(.0))]
    NotFound(String),
    /// Nobody listens there.
    #[error("the connection was refused; nothing listens there")]
    ConnectionRefused(#[source] OciDistributionError),
    /// The name has no address.
    #[error("the host name has no address")]
    Dns(#[source] OciDistributionError),
    /// The certificate is signed by nobody whom this machine trusts.
    #[error("its certificate is signed by an authority that this machine does not trust")]
    UntrustedCertificate(#[source] OciDistributionError),
    /// The certificate is wrong in another way.
    #[error("its certificate is not valid: {0}")]
    Certificate(String),
    /// The server does not speak TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// Nothing came for too long.
    #[error("nothing came for {0} seconds")]
    Stalled(u64),
    /// The server has trouble.
    #[error("the server answered with status {status}{}{}", in_brackets(.message), wait.map(|wait| format!("; it wants to be asked again in {} s", wait.as_secs())).unwrap_or_default())]
    Server {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
        /// How long it wants to be left alone, where it says so.
        wait: Option<Duration>,
    },
    /// The transfer broke too often.
    #[error("the transfer broke {attempts} times in a row, last after {done} of {size} bytes{}", source.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    Broken {
        /// How often it was tried.
        attempts: u32,
        /// Bytes that were there.
        done: u64,
        /// Bytes that were wanted.
        size: u64,
        /// The last failure.
        #[source]
        source: Option<Box<Problem>>,
    },
    /// The answer was complete by itself, and too short.
    #[error("the server ends before all is there")]
    Early,
    /// The server says another length than whoever refers to it.
    #[error("the server says that it has {said} bytes; wanted {wanted}, as the manifest says")]
    Length {
        /// What the server says, or has sent already.
        said: u64,
        /// What the descriptor says.
        wanted: u64,
    },
    /// The server sends another part than was asked for.
    #[error("asked for the bytes from {wanted} on, the server sends those from {said} on")]
    Range {
        /// What was asked for.
        wanted: u64,
        /// What the server says that it sends.
        said: u64,
    },
    /// Not what was asked for.
    #[error("wanted {wanted}, got content with digest {found}")]
    Digest {
        /// Digest that was asked for.
        wanted: Digest,
        /// Digest of what came.
        found: Digest,
    },
    /// The digest is in an algorithm or shape that is not read.
    #[error(transparent)]
    DigestShape(DigestError),
    /// Too large for what it is.
    #[error("it has {size} bytes, more than the {max} that such a document may have")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// It is there and is no image for us.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The certificate authority's file cannot be used.
    #[error("cannot use the certificate authorities in `{path}`: {reason}")]
    CaFile {
        /// Which file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The certificate that says who we are cannot be used.
    #[error("cannot use the certificate `{path}` with the key `{key}`: {reason}")]
    ClientCertificate {
        /// The certificate.
        path: String,
        /// Its key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A mirror that is no host and path.
    #[error("the mirror `{0}` is no registry host with an optional path")]
    Mirror(String),
    /// No tag is what a policy asks for.
    #[error("{policy}: {source}")]
    NoTag {
        /// The policy.
        policy: String,
        /// Why not.
        source: crate::tag_policy::NoTag,
    },
    /// The registry does not say which repositories it has.
    #[error("{0}")]
    NoCatalog(String),
    /// What a registry answers to a list, or to who asks for it, is not what it should be.
    #[error("{0}")]
    Listing(String),
    /// The registry lists something that is no tag.
    #[error("the registry lists something that is no tag: {0}")]
    BadTag(String),
    /// Choosing by time would ask too often.
    #[error("{policy}: {found} tags match, and each would have to be asked for its time; at most {max} are")]
    ManyTags {
        /// The policy.
        policy: String,
        /// Tags that match.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// What came could not be taken.
    #[error("what came could not be stored: {0}")]
    Sink(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else that the protocol can do.
    #[error("{}", chain(.0))]
    Protocol(#[source] OciDistributionError),
}

/// Why TLS failed, where it did.
enum Tls {
    Untrusted,
    Plain,
    Other(String),
}

impl Problem {
    /// Tells apart what went wrong; `user` is who asked, where somebody did.
    pub(super) fn of(error: OciDistributionError, user: Option<&str>, stall: u64) -> Self {
        match error {
            OciDistributionError::UnauthorizedError { .. } => Self::refused(user, String::new()),
            OciDistributionError::AuthenticationFailure(said) => Self::refused(user, brief(&said)),
            OciDistributionError::ImageManifestNotFoundError(said) => Self::NotFound(brief(&said)),
            OciDistributionError::RegistryError { envelope, .. } => Self::of_envelope(&envelope, user),
            OciDistributionError::ServerError { code: 404, .. } => Self::NotFound(String::new()),
            OciDistributionError::ServerError { code: 401 | 403, message, .. } => Self::refused(user, brief(&message)),
            OciDistributionError::ServerError { code, message, .. } => Self::Server { status: code, message: brief(&message), wait: None },
            OciDistributionError::RequestError(ref request) if request.is_timeout() => Self::Stalled(stall),
            error => Self::of_connection(error, stall),
        }
    }

    fn of_connection(error: OciDistributionError, stall: u64) -> Self {
        match find_tls(&error) {
            Some(Tls::Untrusted) => return Self::UntrustedCertificate(error),
            Some(Tls::Plain) => return Self::NotTls,
            Some(Tls::Other(reason)) => return Self::Certificate(reason),
            None => {}
        }
        match find_io(&error) {
            Some(io::ErrorKind::ConnectionRefused) => Self::ConnectionRefused(error),
            Some(io::ErrorKind::TimedOut) => Self::Stalled(stall),
            // hyper-util's connector says only this much of a failed look-up.
            _ if causes(&error).any(|cause| cause.to_string().contains("dns error")) => Self::Dns(error),
            _ => Self::Protocol(error),
        }
    }

    fn of_envelope(envelope: &oci_client::errors::OciEnvelope, user: Option<&str>) -> Self {
        let said = brief(&envelope.errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; "));
        match envelope.errors.first().map(|e| &e.code) {
            Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Self::refused(user, said),
            Some(
                OciErrorCode::ManifestUnknown
                | OciErrorCode::BlobUnknown
                | OciErrorCode::ManifestBlobUnknown
                | OciErrorCode::NameUnknown
                | OciErrorCode::NameInvalid
                | OciErrorCode::NotFound,
            ) => Self::NotFound(said),
            Some(OciErrorCode::Toomanyrequests) => Self::Server { status: 429, message: said, wait: None },
            _ => Self::Server { status: 400, message: said, wait: None },
        }
    }

    fn refused(user: Option<&str>, reason: String) -> Self {
        match user {
            Some(user) => Self::Refused { user: user.to_owned(), reason },
            None => Self::NoCredentials,
        }
    }

    /// The same, of a server that has said how long it wants to be left alone.
    pub(super) fn after(self, wanted: Option<Duration>) -> Self {
        match self {
            Self::Server { status, message, .. } => Self::Server { status, message, wait: wanted },
            other => other,
        }
    }

    /// How long the server wants to be left alone, where it has said so.
    pub(super) fn wanted_wait(&self) -> Option<Duration> {
        match self {
            Self::Server { wait, .. } => *wait,
            _ => None,
        }
    }

    /// Whether there was no connection at all; with a host that has answered before, that may pass.
    pub(super) fn is_connection(&self) -> bool {
        matches!(self, Self::ConnectionRefused(_) | Self::Dns(_))
    }

    /// Whether trying again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Server { status, .. } => *status == 429 || *status == 408 || *status >= 500,
            Self::Stalled(_) | Self::Range { .. } | Self::Early => true,
            Self::Protocol(error) => matches!(error, OciDistributionError::RequestError(_) | OciDistributionError::IoError(_)),
            _ => false,
        }
    }

    /// What to do about it, where there is something that helps.
    pub fn hint(&self, host: &str) -> Option<String> {
        Some(match self {
            Self::NoCredentials => format!("log in with `kubectl offline registry login {host}` or `docker login {host}`, then run this again"),
            Self::Refused { .. } => format!("check the password with `docker login {host}`, and that this user may pull the image"),
            Self::NotFound(_) => "check the name and the tag; some registries say so as well when the user has no rights".to_owned(),
            Self::ConnectionRefused(_) => format!("check that {host} is the right host and port, and that the registry runs"),
            Self::Dns(_) => format!("check the spelling of {host}, or name a mirror for it under spec.sources"),
            Self::UntrustedCertificate(_) => format!("name its certificate authority in delivery.yaml: spec.sources.\"{host}\".caFile"),
            Self::NotTls => format!("if it is meant to be without TLS, say so in delivery.yaml: spec.sources.\"{host}\".plainHTTP: true"),
            Self::Server { status: 429, .. } => format!("{host} limits how much is pulled; wait, or log in with `docker login {host}`"),
            Self::NoCatalog(_) => format!("name a repository: `kubectl offline registry tags {host}/REPOSITORY`"),
            Self::ManyTags { .. } => "let `regex` match fewer tags, rule some out by `not`, or use `pick: semver` or `pick: lexical`".to_owned(),
            Self::NoTag { .. } => "`kubectl offline registry tags REPOSITORY --filter REGEX` shows what an expression matches".to_owned(),
            Self::Digest { .. } | Self::Length { .. } => {
                format!("what {host} keeps is damaged, or something between changes it; push the image again, or name a mirror under spec.sources")
            }
            Self::Stalled(_) | Self::Broken { .. } => "check the network and run the same command again".to_owned(),
            _ => return None,
        })
    }
}

impl RegistryError {
    /// Whether it may pass, so that the same thing can succeed later.
    pub fn may_pass(&self) -> bool {
        let problem = &*self.problem;
        matches!(problem, Problem::Broken { .. }) || problem.is_transient() || problem.is_connection()
    }

    /// What to do about it, where there is something that helps.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint(&self.host)
    }
}

/// The error and its causes, outermost first; those that `io::Error` hides included.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause: &&'a (dyn Error + 'static)| match cause.downcast_ref::<io::Error>() {
        // `io::Error::source` skips the error that it wraps.
        Some(wrapper) => wrapper.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => cause.source(),
    })
}

fn find_io(error: &OciDistributionError) -> Option<io::ErrorKind> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).find(|kind| *kind != io::ErrorKind::Other)
}

fn find_tls(error: &OciDistributionError) -> Option<Tls> {
    use rustls::{CertificateError, Error as TlsError};
    causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()).map(|error| match error {
        TlsError::InvalidCertificate(CertificateError::Other(reason)) if reason.to_string().contains("CaUsedAsEndEntity") => Tls::Other(
            "it is an authority's own certificate; wanted one that the authority issued for the server (basicConstraints CA:FALSE), or this very one as caFile"
                .to_owned(),
        ),
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => Tls::Untrusted,
        TlsError::InvalidMessage(_) => Tls::Plain,
        other => Tls::Other(other.to_string()),
    })
}

fn chain(error: &OciDistributionError) -> String {
    let mut text: Vec<String> = Vec::new();
    for cause in causes(error) {
        let line = redact_urls(&cause.to_string());
        if !text.last().is_some_and(|last| last.contains(&line)) {
            text.push(line);
        }
    }
    text.join(": ")
}

/// Presigned URLs of blob stores carry their right in the query, and reqwest shows URLs as they are.
fn redact_urls(text: &str) -> String {
    text.split(' ')
        .map(|word| match word.find("http") {
            Some(at) if word[at..].contains("://") => {
                let url = word[at..].trim_end_matches([')', ',', ':']);
                let rest = &word[at + url.len()..];
                format!("{}{}{rest}", &word[..at], SafeUrl::new(url))
            }
            _ => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// One line of at most 200 characters: what registries say is for people, and not always short.
fn brief(said: &str) -> String {
    let text = match serde_json::from_str::<oci_client::errors::OciEnvelope>(said) {
        Ok(envelope) => envelope.errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "),
        Err(_) => said.to_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(200).collect()
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
