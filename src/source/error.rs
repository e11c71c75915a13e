//! How sources fail.

use std::path::PathBuf;

use super::{ContainerdProblem, DaemonProblem, FetchError, IndexError, ProvenanceError};
use crate::{
    chart::ChartError,
    io::FileError,
    oci::{Digest, ReferenceError},
    registry::{ImageError, RegistryError},
};

/// A chart, manifests or an image archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A symbolic link that leads nowhere, in Helm's words (internal/sympath/walk.go).
    #[error("error evaluating symlink {}: lstat {}: {reason}", path.display(), missing.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where following it ended.
        missing: PathBuf,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Nothing is there.
    #[error("there is no {what} at `{}`", path.display())]
    Missing {
        /// What was wanted, as in `chart`.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A chart that is none.
    #[error("cannot load the chart `{}`: {source}", path.display())]
    Chart {
        /// Folder or archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: ChartError,
    },
    /// Folders that hold one another by links.
    #[error("`{}` links back to a folder that it is in", path.display())]
    Loop {
        /// The link.
        path: PathBuf,
    },
    /// More than is read of such a thing.
    #[error("`{}` has more {what} than the {max} that are read", path.display())]
    Budget {
        /// Where.
        path: PathBuf,
        /// More of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A name that is no text, or leads elsewhere.
    #[error("`{}` has a name that cannot be used in an archive", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// Folders without a single manifest.
    #[error("`{}` holds no manifests (*.yaml, *.yml, *.json)", path.display())]
    NoManifests {
        /// The folder.
        path: PathBuf,
    },
    /// An image archive that is not one.
    #[error("`{}` is no image archive: {reason}", path.display())]
    NotAnArchive {
        /// The archive.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An entry whose content is not what its name or the list says.
    #[error("`{}`: the content of {entry} has the digest {found}, wanted {wanted}", path.display())]
    Digest {
        /// The archive.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// What it should have.
        wanted: Digest,
        /// What it has.
        found: Digest,
    },
    /// An image's name that is none.
    #[error("`{}` names an image wrongly: {source}", path.display())]
    Reference {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReferenceError,
    },
    /// An image without a name.
    #[error("`{}` holds an image without a name; save it by name and tag, not by id", path.display())]
    Unnamed {
        /// The archive.
        path: PathBuf,
    },
    /// A running docker does not give an image.
    #[error("cannot get {image} from docker: {problem}")]
    Daemon {
        /// Which.
        image: String,
        /// Why not.
        #[source]
        problem: Box<DaemonProblem>,
    },
    /// A running containerd does not give an image.
    #[error("cannot get {image} from containerd: {problem}")]
    Containerd {
        /// Which.
        image: String,
        /// Why not.
        #[source]
        problem: Box<ContainerdProblem>,
    },
    /// Something could not be had over HTTP.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Something could not be had from a registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A repository's index cannot be used; Helm's words.
    #[error("looks like {repository:?} is not a valid chart repository or cannot be reached: {source}")]
    Index {
        /// The repository.
        repository: String,
        /// Why not.
        #[source]
        source: Box<IndexError>,
    },
    /// No such chart, or no such version of it; Helm's words.
    #[error("{chart} not found in {repository} repository{}", newest.as_ref().map(|newest| format!("; the newest version there is {newest}")).unwrap_or_default())]
    NotInRepository {
        /// What was looked for.
        chart: String,
        /// Where.
        repository: String,
        /// The newest version of the chart.
        newest: Option<String>,
    },
    /// No version of a chart is what a policy asks for.
    #[error("{chart}: {policy}: {source}")]
    NoTag {
        /// The chart.
        chart: String,
        /// The policy.
        policy: String,
        /// Why not.
        source: crate::tag_policy::NoTag,
    },
    /// Choosing by time would ask too often.
    #[error("{chart}: {policy}: {found} versions match, and each would have to be asked for its time; at most {max} are")]
    ManyVersions {
        /// The chart.
        chart: String,
        /// The policy.
        policy: String,
        /// Versions that match.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// An entry of an index that leads nowhere; Helm's words.
    #[error("{chart} has no downloadable URLs")]
    NoUrl {
        /// The chart with its version.
        chart: String,
    },
    /// An index whose digests cannot be read.
    #[error("the index gives {chart} the digest `{digest}`, which is no SHA-256")]
    IndexDigest {
        /// The chart with its version.
        chart: String,
        /// What it says.
        digest: String,
    },
    /// Another chart than was said or locked.
    #[error("{chart} has the digest {found}, wanted {wanted}")]
    ChartDigest {
        /// The chart with its version.
        chart: String,
        /// What it should have.
        wanted: Digest,
        /// What it has.
        found: Digest,
    },
    /// helm's repositories.yaml cannot be read.
    #[error("cannot read helm's repositories in `{}`: {reason}", path.display())]
    HelmConfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A repository that helm does not know; Helm's words.
    #[error("no repository definition for {0}. Please add them via 'helm repo add'")]
    NoRepository(String),
    /// Something in a registry that is no chart.
    #[error("{chart} is no chart: {reason}")]
    NotAChart {
        /// What was asked for.
        chart: String,
        /// Why not.
        reason: String,
    },
    /// A downloaded chart that cannot be loaded.
    #[error("cannot load the chart {chart}: {source}")]
    Downloaded {
        /// Where it came from.
        chart: String,
        /// Why not.
        #[source]
        source: ChartError,
    },
    /// A chart's dependencies cannot be completed.
    #[error("cannot complete the dependencies of the chart `{}`: {problem}", path.display())]
    Dependencies {
        /// The chart.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: Box<DependencyProblem>,
    },
    /// A packaged chart without charts that it needs; Helm's words.
    #[error("{chart}: found in Chart.yaml, but missing in charts/ directory: {}", missing.join(", "))]
    Incomplete {
        /// The chart.
        chart: String,
        /// Names of dependencies.
        missing: Vec<String>,
    },
    /// A chart that nobody of the keyring signed.
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
    /// A name of a chart that leads nowhere, as Helm says it.
    #[error("{0}")]
    Locate(String),
    /// An image that cannot be used.
    #[error("cannot use the image {image} in `{}`: {source}", path.display())]
    Image {
        /// The archive.
        path: PathBuf,
        /// Which image.
        image: String,
        /// Why.
        #[source]
        source: Box<ImageProblem>,
    },
}

/// Why an image in an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageProblem {
    /// Its documents do not make an image for the wanted platforms.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A part of it cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Why a chart's dependencies cannot be completed; in Helm's words where Helm has some.
#[derive(Debug, thiserror::Error)]
pub enum DependencyProblem {
    /// Chart.lock does not belong to Chart.yaml.
    #[error("the lock file (Chart.lock) is out of sync with the dependencies file (Chart.yaml). Please update the dependencies")]
    LockOutOfSync,
    /// requirements.lock does not belong to requirements.yaml.
    #[error("the lock file (requirements.lock) is out of sync with the dependencies file (requirements.yaml). Please update the dependencies")]
    OldLockOutOfSync,
    /// A dependency without a repository that is not in charts/.
    #[error("directory charts/{0} not found")]
    NotVendored(String),
    /// A folder that is not there.
    #[error("directory {} not found", .0.display())]
    NoFolder(PathBuf),
    /// What is there is not what is wanted.
    #[error("dependency {name} at version {found} does not satisfy the constraint {wanted}")]
    Version {
        /// The dependency.
        name: String,
        /// Its version.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// A constraint that is none.
    #[error("dependency {0:?} has an invalid version/constraint format")]
    Constraint(String),
    /// delivery.lock has another dependency.
    #[error("delivery.lock does not hold the dependency {0}")]
    NotLocked(String),
    /// A dependency cannot be had.
    #[error("dependency {name}: {source}")]
    Source {
        /// The dependency.
        name: String,
        /// Why not.
        #[source]
        source: Box<SourceError>,
    },
    /// The chart's own files.
    #[error(transparent)]
    Chart(#[from] ChartError),
}
