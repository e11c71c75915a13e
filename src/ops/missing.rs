//! Layers that an archive leaves out and that are nowhere to be had: which, for which images, and where they were looked for.

use std::{collections::BTreeMap, fmt};

use crate::{
    archive::{Archive, Base},
    failure::{Failure, Kind},
    oci::{Digest, Reference},
};

/// Missing layers that are listed by name.
const LISTED: usize = 10;

/// Layers that are nowhere.
#[derive(Debug)]
pub(super) struct MissingLayers {
    layers: Vec<MissingLayer>,
    base: Option<Base>,
    hint: String,
}

/// What may be done about layers that nobody gives. Where the delivery says what images are called on the other side, that is the registry to try.
pub(super) fn hint(archive: &Archive) -> String {
    let registry = archive.record().registry.as_deref().unwrap_or("REGISTRY[/PREFIX]");
    format!("--base ARCHIVE gives what is missing, with the archive that it was made over; or --blobs-from {registry}, where that has the images")
}

#[derive(Debug)]
struct MissingLayer {
    digest: Digest,
    size: u64,
    images: Vec<Reference>,
    tried: Vec<String>,
}

impl MissingLayers {
    /// What of these layers an archive leaves out and nobody gives; none if that is nothing.
    pub(super) fn of(archive: &Archive, wanted: impl Fn(&Digest) -> bool) -> Option<Self> {
        let missing: BTreeMap<Digest, u64> = archive.missing().into_iter().filter(|(digest, _)| wanted(digest)).collect();
        let layer = |(digest, size): (Digest, u64)| {
            let (images, tried) = (archive.images_with(&digest), archive.tried(&digest).to_vec());
            MissingLayer { digest, size, images, tried }
        };
        (!missing.is_empty()).then(|| Self { layers: missing.into_iter().map(layer).collect(), base: archive.base().cloned(), hint: hint(archive) })
    }
}

impl fmt::Display for MissingLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.layers.iter().map(|layer| layer.size).sum();
        write!(f, "{} layers ({total} bytes) that the images need are not in this archive", self.layers.len())?;
        if let Some(base) = &self.base {
            write!(f, ", which was made over {base}")?;
        }
        f.write_str(":")?;
        for layer in self.layers.iter().take(LISTED) {
            let images: Vec<String> = layer.images.iter().map(ToString::to_string).collect();
            write!(f, "\n  {} ({} bytes) of {}", layer.digest, layer.size, images.join(", "))?;
            if !layer.tried.is_empty() {
                write!(f, ": {}", layer.tried.join("; "))?;
            }
        }
        match self.layers.len().checked_sub(LISTED) {
            Some(more) if more > 0 => write!(f, "\n  and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for MissingLayers {}

impl From<MissingLayers> for Failure {
    fn from(error: MissingLayers) -> Self {
        let hint = error.hint.clone();
        Self::new(Kind::Usage, error).hint(hint)
    }
}
