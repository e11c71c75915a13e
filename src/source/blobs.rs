//! Content in files, by name or by offset.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{SourceError, containerd::Held, tar_index::not_an_archive};
use crate::{
    io::{FileError, read_exact_at},
    oci::{Digest, MANIFEST_MAX},
    registry::BlobSink,
};

/// How much is read at a time.
const CHUNK: usize = 256 << 10;
const FOLDER_ENTRIES_MAX: usize = 100_000;

/// Where a blob's content is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a file, from an offset.
    Part { file: Arc<File>, offset: u64 },
    /// A file of its own.
    Whole(PathBuf),
    /// In a running containerd.
    Held { held: Arc<Held>, digest: Digest },
}

/// Some content.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) place: Place,
    pub(super) size: u64,
}

impl Blob {
    /// Hands the content on, from `start` to its end.
    pub(super) fn each(&self, path: &Path, start: u64, mut take: impl FnMut(&[u8]) -> Result<(), SourceError>) -> Result<(), SourceError> {
        let failed = |source| FileError::new("read", path, source);
        let (file, offset) = match &self.place {
            Place::Part { file, offset } => (file.clone(), *offset),
            Place::Whole(path) => (Arc::new(File::open(path).map_err(|source| FileError::new("open", path, source))?), 0),
            Place::Held { held, digest } => return held.each(digest, (start, self.size), &mut take),
        };
        let mut buffer = vec![0; CHUNK];
        let mut done = start;
        while done < self.size {
            let n = usize::try_from(self.size - done).unwrap_or(CHUNK).min(CHUNK);
            read_exact_at(&file, &mut buffer[..n], offset + done).map_err(failed)?;
            take(&buffer[..n])?;
            done += n as u64;
        }
        Ok(())
    }

    /// The digest and the first bytes.
    pub(super) fn hash(&self, path: &Path) -> Result<(Digest, Vec<u8>), SourceError> {
        let (mut hasher, mut head) = (Sha256::new(), Vec::new());
        self.each(path, 0, |chunk| {
            if head.is_empty() {
                head = chunk[..chunk.len().min(8)].to_vec();
            }
            hasher.update(chunk);
            Ok(())
        })?;
        Ok((Digest::from_raw(&hasher.finalize().into()), head))
    }

    /// All of a small blob.
    pub(super) fn read(&self, path: &Path, name: &str) -> Result<Bytes, SourceError> {
        if self.size > MANIFEST_MAX {
            return Err(not_an_archive(path, format!("{name} has {} bytes, more than {MANIFEST_MAX}", self.size)));
        }
        let mut bytes = Vec::new();
        self.each(path, 0, |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(bytes.into())
    }

    /// Copies into a sink from where the sink stands.
    pub(super) fn copy(&self, path: &Path, sink: &mut dyn BlobSink) -> Result<(), SourceError> {
        self.each(path, sink.written(), |chunk| sink.write(chunk).map_err(|e| FileError::new("copy", path, std::io::Error::other(e)).into()))
    }
}

/// The entries of an OCI layout in a folder, by the names that they would have in a tar.
pub(super) fn folder(path: &Path) -> Result<BTreeMap<String, Blob>, SourceError> {
    let mut found = BTreeMap::new();
    let mut add = |name: String, file: PathBuf| -> Result<(), SourceError> {
        if let Ok(metadata) = fs::metadata(&file)
            && metadata.is_file()
        {
            found.insert(name, Blob { place: Place::Whole(file), size: metadata.len() });
        }
        Ok(())
    };
    for name in ["oci-layout", "index.json", "manifest.json"] {
        add(name.to_owned(), path.join(name))?;
    }
    let blobs = path.join("blobs/sha256");
    let failed = |source| FileError::new("read the folder", &blobs, source);
    for (count, entry) in fs::read_dir(&blobs).map_err(failed)?.enumerate() {
        if count >= FOLDER_ENTRIES_MAX {
            return Err(SourceError::Budget { path: path.into(), what: "entries", max: FOLDER_ENTRIES_MAX as u64 });
        }
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str() {
            add(format!("blobs/sha256/{name}"), entry.path())?;
        }
    }
    Ok(found)
}
