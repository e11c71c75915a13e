//! Layers that were pulled before, kept by content: a file is named by the digest of its bytes, and whoever reads it holds it against that.
//!
//! Runs may share a store. Files appear whole (written aside, then renamed) and never change; one run at a time takes away what was used longest
//! ago. It only saves time: what cannot be kept is logged, and what is damaged is removed and pulled anew.

use std::{
    fs::{self, File},
    io::{self as std_io, Write as _},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use crate::{
    io::{FileError, create_private_folder, free_space},
    oci::Digest,
};

/// Bytes that are kept, if nothing else is said.
pub const STORE_MAX: u64 = 10 << 30;
/// Bytes that stay free on the disk, whatever could be kept.
const LEFT_FREE: u64 = 1 << 30;
/// Smaller blobs are as quickly asked for.
const WORTHWHILE: u64 = 4 << 10;
/// Older files of a run that never came to its end are taken away.
const ABANDONED: Duration = Duration::from_hours(24);
const LOCK: &str = "lock";
const PART: &str = ".part-";

/// A folder with blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    folder: PathBuf,
    max: u64,
}

/// A blob in the making. Dropped before [`NewBlob::keep`], it is removed.
#[derive(Debug)]
pub struct NewBlob {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Store {
    /// A store of at most so many bytes in this folder, which is made when something is kept.
    pub fn new(folder: PathBuf, max: u64) -> Self {
        Self { folder, max }
    }

    /// Whether it seems to have a blob.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// The file with a blob, if there is one of this size. Its bytes may be damaged: who reads them hashes them, and tells [`Store::remove`].
    pub fn open(&self, digest: &Digest, size: u64) -> Option<File> {
        let file = File::open(self.path(digest)).ok()?;
        if file.metadata().ok()?.len() != size {
            self.remove(digest);
            return None;
        }
        // Only the order of removal depends on it.
        let _ = File::options().append(true).open(self.path(digest)).and_then(|file| file.set_modified(SystemTime::now()));
        Some(file)
    }

    /// Takes away a blob that is not what its name says.
    pub fn remove(&self, digest: &Digest) {
        tracing::warn!(%digest, folder = %self.folder.display(), "damaged; it is pulled again");
        // Another run may have mended it already.
        let _ = fs::remove_file(self.path(digest));
    }

    /// Begins a blob; none if it is there, is not worth it, or there is no room.
    pub fn begin(&self, digest: &Digest, size: u64) -> Option<NewBlob> {
        let path = self.path(digest);
        if size < WORTHWHILE || size > self.max || path.exists() {
            return None;
        }
        let begun = self.new_file().and_then(|file| Ok((file, free_space(&path)?)));
        match begun {
            Ok((_, Some(free))) if free < size.saturating_add(LEFT_FREE) => {
                tracing::debug!(%digest, "not kept: the disk is nearly full");
                None
            }
            Ok((file, _)) => Some(NewBlob { file, path }),
            Err(error) => {
                tracing::warn!(%error, "not kept");
                None
            }
        }
    }

    fn new_file(&self) -> Result<tempfile::NamedTempFile, FileError> {
        let failed = |source| FileError::new("write into", &self.folder, source);
        // Images may be secret.
        create_private_folder(&self.folder.join("sha256")).map_err(failed)?;
        tempfile::Builder::new().prefix(PART).tempfile_in(self.folder.join("sha256")).map_err(failed)
    }

    /// Takes away what was used longest ago, where there is too much. If another run is at it, that is enough.
    pub fn tidy(&self) {
        let Ok(lock) = File::options().write(true).create(true).truncate(false).open(self.folder.join(LOCK)) else { return };
        if lock.try_lock().is_err() {
            return;
        }
        let Ok(entries) = fs::read_dir(self.folder.join("sha256")) else { return };
        let now = SystemTime::now();
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if !entry.file_name().to_string_lossy().starts_with(PART) {
                // A clock that was wrong must not keep a file for ever.
                files.push((used.min(now), metadata.len(), entry.path()));
            } else if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, size, path) in files {
            if bytes <= self.max {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= size;
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("sha256").join(digest.hex())
    }
}

impl NewBlob {
    /// Takes the next bytes.
    pub fn write(&mut self, chunk: &[u8]) -> std_io::Result<()> {
        self.file.as_file_mut().write_all(chunk)
    }

    /// Gives it its name; its bytes must have been held against that. It is not flushed: what a power cut damages is found when it is read.
    pub fn keep(self) {
        if let Err(error) = self.file.persist(&self.path) {
            tracing::warn!(error = %error.error, "not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut blob = store.begin(&digest, bytes.len() as u64).unwrap();
        blob.write(bytes).unwrap();
        blob.keep();
        digest
    }

    #[test]
    fn blobs_appear_whole_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("a/b"), 1 << 20);
        let bytes = vec![7; 5000];
        assert!(store.open(&Digest::of(&bytes), 5000).is_none());
        drop(store.begin(&Digest::of(&bytes), 5000).unwrap());
        assert!(store.open(&Digest::of(&bytes), 5000).is_none(), "never kept");
        let digest = put(&store, &bytes);
        assert!(store.open(&digest, 5000).is_some() && store.begin(&digest, 5000).is_none());
        assert!(store.open(&digest, 4999).is_none(), "another size");
        assert!(store.open(&digest, 5000).is_none(), "and so it is gone");
        assert!(store.begin(&digest, 2 << 20).is_none(), "more than is kept");
        assert_eq!(fs::read_dir(folder.path().join("a/b/sha256")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().into(), 25_000);
        let digests: Vec<Digest> = (0..3_u8).map(|n| put(&store, &vec![n; 10_000])).collect();
        for (age, digest) in [(30, &digests[0]), (20, &digests[1]), (10, &digests[2])] {
            let file = File::options().append(true).open(store.path(digest)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let abandoned = store.new_file().unwrap().into_temp_path().keep().unwrap();
        File::options().append(true).open(&abandoned).unwrap().set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        store.open(&digests[0], 10_000).unwrap();
        let busy = File::options().write(true).create(true).truncate(false).open(folder.path().join(LOCK)).unwrap();
        busy.lock().unwrap();
        store.tidy();
        assert!(digests.iter().all(|digest| store.path(digest).exists()), "another run is at it");
        drop(busy);
        store.tidy();
        assert_eq!(digests.iter().map(|digest| store.path(digest).exists()).collect::<Vec<_>>(), [true, false, true]);
        assert!(!abandoned.exists());
    }
}
