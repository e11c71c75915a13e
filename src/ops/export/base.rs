//! `--base`: what the other side has already.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    archive::{self, Base, BaseKind, Held, Trust},
    failure::{Failure, Kind},
    io,
    oci::Digest,
    ops::{nodes::Inventory, verify::archive_failure},
};

/// The largest inventory that is read: a hundred nodes with ten thousand layers each.
const INVENTORY_MAX: u64 = 128 << 20;

/// What cannot be a base.
#[derive(Debug, thiserror::Error)]
enum BaseError {
    #[error("`{}` knows the images of a delivery and not their layers, so it is no base", .0.display())]
    Lock(PathBuf),
    #[error("`{}` is no inventory of nodes: {source}", path.display())]
    Inventory {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// Reads a base. Only its table of contents is looked at: what it says decides what is left out, and the other side proves that it has that.
pub(super) fn read(path: &Path) -> Result<Held, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        "lock" => Err(Failure::new(Kind::Usage, BaseError::Lock(path.into()))
            .hint("give the archive that was exported with it, or an inventory (`nodes status --format json`)")),
        "json" if !archive::volumes::stands_for_volumes(path, &[]) => inventory(path),
        _ => of_archive(path),
    }
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
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Held { base: Base { kind: BaseKind::Inventory, digest: Digest::of(&bytes), name, version: None }, blobs })
}
