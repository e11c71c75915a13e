//! How sources fail.

use std::path::PathBuf;

use crate::{
    chart::ChartError,
    io::FileError,
    oci::{Digest, ReferenceError},
    registry::ImageError,
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
