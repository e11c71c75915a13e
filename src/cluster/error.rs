//! How the cluster fails us.

use std::{error::Error as StdError, path::PathBuf, time::Duration};

use super::{PodTrouble, Right, object::ObjectKey};

/// A failure of the cluster or on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing says which cluster is meant.
    #[error("no cluster is known: {reason}")]
    NoCluster {
        /// What was looked for and not found.
        reason: String,
    },
    /// A kubeconfig cannot be read.
    #[error("cannot read the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// A part of the kubeconfig is wrong.
    #[error("{subject} is not usable: {reason}")]
    Config {
        /// Which part, as in `cluster lab`.
        subject: String,
        /// What is wrong.
        reason: String,
    },
    /// The API server does not answer.
    #[error("cannot reach the API server {server} (context {context}): {reason}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The context used.
        context: String,
        /// What happened.
        reason: String,
    },
    /// The API server's certificate is not trusted.
    #[error("the certificate of the API server {server} (context {context}) is not trusted: {reason}")]
    Certificate {
        /// Its URL.
        server: String,
        /// The context used.
        context: String,
        /// What happened.
        reason: String,
    },
    /// The API server does not know who we are.
    #[error("the API server {server} does not accept the credentials of context {context}: {reason}")]
    Unauthorized {
        /// Its URL.
        server: String,
        /// The context used.
        context: String,
        /// What it said.
        reason: String,
    },
    /// A request was refused by the API server.
    #[error("cannot {action} {subject}: {message}")]
    Refused {
        /// What was attempted, as in `apply`.
        action: &'static str,
        /// On what.
        subject: String,
        /// HTTP status.
        status: u16,
        /// What the API server said.
        message: String,
    },
    /// A request did not come through.
    #[error("cannot {action} {subject}")]
    Request {
        /// What was attempted.
        action: &'static str,
        /// On what.
        subject: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object that the program cannot handle.
    #[error("{subject} is no object that can be applied: {reason}")]
    BadObject {
        /// What is known of it.
        subject: String,
        /// What is wrong.
        reason: String,
    },
    /// The cluster has no such kind.
    #[error("the cluster does not know the kind {kind} of {api_version}, which {subject} has")]
    UnknownKind {
        /// The object.
        subject: String,
        /// `apiVersion` of the object.
        api_version: String,
        /// `kind` of the object.
        kind: String,
    },
    /// An object exists and belongs to somebody else.
    #[error("{object} exists and does not belong to release {namespace}/{release}: {reason}")]
    Foreign {
        /// The object.
        object: Box<ObjectKey>,
        /// Name of the release that wanted it.
        release: String,
        /// Namespace of that release.
        namespace: String,
        /// What is missing, in Helm's words.
        reason: String,
    },
    /// Something does not get ready, and will not.
    #[error("{object} is not ready: {state}{}", troubles(.pods))]
    Failed {
        /// The object that was waited for.
        object: Box<ObjectKey>,
        /// What it says itself.
        state: String,
        /// What its pods say.
        pods: Vec<PodTrouble>,
    },
    /// Something did not get ready in time.
    #[error("{object} was not ready after {}: {state}{}", seconds(.waited), troubles(.pods))]
    Timeout {
        /// The object that was waited for.
        object: Box<ObjectKey>,
        /// How long.
        waited: Duration,
        /// What it says itself.
        state: String,
        /// What its pods say.
        pods: Vec<PodTrouble>,
    },
    /// A hook failed.
    #[error("the {event} hook {hook} failed")]
    Hook {
        /// As in `pre-install`.
        event: String,
        /// The hook's object.
        hook: String,
        /// Why.
        #[source]
        source: Box<ClusterError>,
    },
    /// Another run is at work on the release, or died there.
    #[error("release {namespace}/{name} is in state {status} at revision {revision}: another operation is in progress, or was cut off")]
    Pending {
        /// Namespace of the release.
        namespace: String,
        /// Name of the release.
        name: String,
        /// Its state, in Helm's words.
        status: String,
        /// The revision in that state.
        revision: u32,
    },
    /// A stored release cannot be read.
    #[error("the release stored in secret {namespace}/{secret} cannot be read: {reason}")]
    StoredRelease {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        secret: String,
        /// What is wrong.
        reason: String,
    },
    /// A release that is too large to store.
    #[error("release {name} takes {size} bytes when stored, and a Secret holds at most {limit}")]
    ReleaseTooLarge {
        /// Name of the release.
        name: String,
        /// Bytes it would take.
        size: usize,
        /// Bytes there are.
        limit: usize,
    },
    /// The account may not do what is needed.
    #[error("the account of context {context} lacks rights: {}", list(.missing))]
    Rights {
        /// The context used.
        context: String,
        /// What it may not.
        missing: Vec<Right>,
    },
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn list(rights: &[Right]) -> String {
    rights.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn troubles(pods: &[PodTrouble]) -> String {
    pods.iter().fold(String::new(), |text, pod| format!("{text}\n{pod}"))
}

/// The innermost cause, as text: what the operating system or the TLS library said.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

impl ClusterError {
    /// Wraps what kube said about a request.
    pub(crate) fn request(action: &'static str, subject: impl Into<String>, error: kube::Error) -> Self {
        let subject = subject.into();
        match error {
            kube::Error::Api(status) => Self::Refused { action, subject, status: status.code, message: status.message.clone() },
            other => Self::Request { action, subject, source: Box::new(other) },
        }
    }

    /// Whether the API server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the API server said that it is there already, or was changed by somebody else meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// What a person may do about it, if we know.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoCluster { .. } => "set KUBECONFIG or --kubeconfig, and --context where the file has several",
            Self::Unreachable { .. } => "check that the server's address is right and that a proxy is not in the way (`kubectl version` must work)",
            Self::Certificate { .. } => "the kubeconfig's certificate-authority must be the one that signed the server's certificate",
            Self::Unauthorized { .. } => "renew the credentials in the kubeconfig (`kubectl auth whoami` must work)",
            Self::Rights { .. } | Self::Refused { status: 403, .. } => "ask for these rights, or use a context that has them (`kubectl auth can-i` tells)",
            Self::Pending { .. } => "wait for it; if it was cut off, `helm rollback` or `helm uninstall` clears it",
            Self::Foreign { .. } => "remove the object, or give it Helm's label and annotations if the release shall have it",
            Self::UnknownKind { .. } => "install the app that brings this kind first, and name it in dependsOn",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
