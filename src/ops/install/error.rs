//! How an installation fails, beyond what the layers below say.

use crate::{cluster::ClusterError, failure::Failure, failure::Kind};

/// A failure of `install`.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// An app did not come up; what this run had changed was taken back.
    #[error("app {app} was not installed; everything that this run had changed was rolled back")]
    RolledBack {
        /// The app.
        app: String,
        /// Why it failed.
        #[source]
        source: Box<ClusterError>,
    },
    /// An app did not come up, and not everything could be taken back.
    #[error("app {app} was not installed, and some of what this run changed could not be rolled back: {}", .left.join("; "))]
    LeftOver {
        /// The app.
        app: String,
        /// What stays, and why.
        left: Vec<String>,
        /// Why the app failed.
        #[source]
        source: Box<ClusterError>,
    },
    /// The user stopped it.
    #[error("stopped while app {app} was being installed; everything that this run had changed was rolled back")]
    Interrupted {
        /// The app.
        app: String,
    },
    /// The user stopped it, and not everything could be taken back.
    #[error("stopped while app {app} was being installed, and some of what this run changed could not be rolled back: {}", .left.join("; "))]
    InterruptedLeftOver {
        /// The app.
        app: String,
        /// What stays, and why.
        left: Vec<String>,
    },
    /// Something about one app, before anything was written.
    #[error("cannot install app {app}")]
    App {
        /// The app.
        app: String,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Layers that are neither in the archive nor on the nodes.
    #[error("the archive was made over {base} and leaves out what the nodes do not hold: {}", .lacks.join("; "))]
    NotOnNodes {
        /// The base.
        base: String,
        /// Node, blob and images.
        lacks: Vec<String>,
    },
    /// A machinery that is not there.
    #[error("{0}")]
    NotBuilt(String),
    /// An override for an app that the archive does not have.
    #[error("the archive has no app `{app}`; it has {}", .known.join(", "))]
    UnknownApp {
        /// The app.
        app: String,
        /// The apps that there are.
        known: Vec<String>,
    },
    /// Two manifests describe one object.
    #[error("the object {object} is in app {first} and in app {second}")]
    TwiceApplied {
        /// The object.
        object: String,
        /// One app.
        first: String,
        /// The other.
        second: String,
    },
}

/// A failure of the cluster, with what may be done about it.
pub(crate) fn cluster_failure(error: ClusterError) -> Failure {
    let hints = error.hints();
    hints.into_iter().fold(Failure::new(Kind::Cluster, error), Failure::hint)
}

/// The same about one app.
pub(crate) fn app_failure(kind: Kind, app: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(kind, InstallError::App { app: app.to_owned(), source: error.into() })
}
