//! `--base`: what the other side has already.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use futures::{StreamExt as _, TryStreamExt as _};

use super::resolve::{Origins, Resolved};
use crate::{
    archive::{self, Base, BaseKind, Held, Trust},
    delivery::{LOCK_MAX, Lock},
    failure::{Failure, Kind},
    io,
    oci::{Digest, Platform, Reference},
    ops::{nodes::Inventory, prepare::registry_failure, verify::archive_failure},
    progress::SharedReporter,
    registry::{Image, Registries},
};

/// The largest inventory that is read: a hundred nodes with ten thousand layers each.
const INVENTORY_MAX: u64 = 128 << 20;

/// Images of a lock that are asked for at a time.
const ASKED: usize = 8;

/// What cannot be a base.
#[derive(Debug, thiserror::Error)]
enum BaseError {
    #[error("`{}` is no inventory of nodes: {source}", path.display())]
    Inventory {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// What `--base` names, read.
#[derive(Debug)]
pub(super) enum Named {
    /// It says which blobs it holds.
    Held(Held),
    /// The lock of an older export: it says which images.
    Lock(Base, BTreeMap<Reference, Digest>),
}

/// Reads a base. Of an archive only the table of contents is looked at: what it says decides what is left out, and the other side proves that it has that.
pub(super) fn read(path: &Path) -> Result<Named, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        "lock" => lock(path),
        "json" if !archive::volumes::stands_for_volumes(path, &[]) => inventory(path).map(Named::Held),
        _ => of_archive(path).map(Named::Held),
    }
}

impl Named {
    /// The blobs that it holds. The layers of an image that has not changed are known; those of others are asked for by the image's digest. What cannot
    /// be known, as the image is in no registry any more, does not count as held, and so it travels.
    pub(super) async fn held(self, resolved: &Resolved, registries: &Registries, platforms: &[Platform], reporter: &SharedReporter) -> Result<Held, Failure> {
        let (base, images) = match self {
            Self::Held(held) => return Ok(held),
            Self::Lock(base, images) => (base, images),
        };
        let known: HashMap<&Digest, &Image> = resolved.images.values().map(|(image, _)| (&image.root.digest, image)).collect();
        let asked = images.into_iter().map(|(name, digest)| {
            let known = &known;
            async move {
                if let Some(image) = known.get(&digest) {
                    return Ok(layers(image));
                }
                let unknown = |why: String| {
                    reporter.note(format!("{name}@{digest} of the base counts as not there: {why}"));
                    Ok(Vec::new())
                };
                if is_local(resolved, &name) {
                    return unknown("it came from an image archive, which holds another one now".to_owned());
                }
                match registries.image(&name.by_digest(digest.clone()), platforms).await {
                    Ok(remote) => Ok(layers(&remote.content)),
                    // Another run might leave out more.
                    Err(error) if error.may_pass() => Err(registry_failure(error)),
                    Err(error) => unknown(error.to_string()),
                }
            }
        });
        let found: Vec<Vec<Digest>> = futures::stream::iter(asked).buffered(ASKED).try_collect().await?;
        Ok(Held { base, blobs: found.into_iter().flatten().collect() })
    }
}

fn layers(image: &Image) -> Vec<Digest> {
    image.layers.iter().map(|layer| layer.digest.clone()).collect()
}

/// Whether images of that repository come from image archives.
fn is_local(resolved: &Resolved, name: &Reference) -> bool {
    let local = |image: &Image| image.layers.iter().any(|layer| matches!(resolved.layers.get(&layer.digest), Some(Origins::Local(_))));
    resolved.images.iter().any(|(other, (image, _))| other.name() == name.name() && local(image))
}

fn lock(path: &Path) -> Result<Named, Failure> {
    let text = io::read_capped_text(path, LOCK_MAX as u64).map_err(|error| Failure::new(Kind::Usage, error))?;
    let lock = Lock::parse(path, &text).map_err(|error| Failure::new(Kind::Usage, error))?;
    Ok(Named::Lock(listed(path, text.as_bytes()), lock.image_digests()))
}

fn of_archive(path: &Path) -> Result<Held, Failure> {
    let unverified = archive::open(path).map_err(archive_failure)?;
    let digest = unverified.index_digest().map_err(archive_failure)?;
    let contents = unverified.look(&Trust::AllowUnsigned).map_err(archive_failure)?;
    let blobs = contents.images().iter().flat_map(|(_, image)| contents.blobs(image)).map(|(digest, _)| digest).collect();
    let record = contents.record();
    let base = Base { kind: BaseKind::Archive, digest, name: record.name.clone(), version: Some(record.version.clone()) };
    Ok(Held { base, blobs })
}

fn inventory(path: &Path) -> Result<Held, Failure> {
    let bytes = io::read_capped(path, INVENTORY_MAX).map_err(|error| Failure::new(Kind::Usage, error))?;
    let parsed: Inventory = serde_json::from_slice(&bytes).map_err(|source| Failure::new(Kind::Usage, BaseError::Inventory { path: path.into(), source }))?;
    let blobs: BTreeSet<Digest> = parsed.held();
    Ok(Held { base: listed(path, &bytes), blobs })
}

/// A base that is known by its file: it says what is there, and holds none of it.
fn listed(path: &Path, bytes: &[u8]) -> Base {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Base { kind: BaseKind::Inventory, digest: Digest::of(bytes), name, version: None }
}
