//! What was downloaded, kept by content: a file is named by the digest of its bytes, and held against it whenever it is read.
//!
//! Runs may share it. Files appear whole (written aside, then renamed) and never change. It only saves time: what cannot be kept is
//! logged, and what is damaged is downloaded again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{http::Validators, provenance::PROVENANCE_MAX};
use crate::{
    io::{FileError, create_private_folder, read_capped, write_atomic},
    oci::Digest,
};

/// Bytes that are kept; beyond them what was used longest ago goes.
const KEPT_MAX: u64 = 1 << 30;
const FILES_MAX: usize = 5000;
/// The largest note about an index.
const NOTE_MAX: u64 = 64 << 10;

/// A folder with what was downloaded.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// What is known about an index that was downloaded.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Note {
    url: String,
    digest: Digest,
    validators: Validators,
}

impl Cache {
    /// A cache in this folder; it is made when something is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Content with this digest, where it is here and whole.
    pub(super) fn get(&self, digest: &Digest, max: u64) -> Option<Bytes> {
        let path = self.path(digest);
        let bytes = read_capped(&path, max).ok()?;
        if Digest::of(&bytes) != *digest {
            tracing::warn!(path = %path.display(), "damaged; it is downloaded again");
            // Another run may have mended it already.
            let _ = fs::remove_file(&path);
            return None;
        }
        // Only the order of removal depends on it.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes.into())
    }

    /// Keeps content.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) {
        if let Err(error) = self.write(&self.path(digest), bytes) {
            tracing::warn!(%error, "not kept");
            return;
        }
        self.tidy();
    }

    /// An index that was downloaded before, with what its server said about it.
    pub(super) fn index(&self, url: &str, max: u64) -> Option<(Bytes, Validators)> {
        let note: Note = serde_json::from_slice(&read_capped(&self.note(url), NOTE_MAX).ok()?).ok()?;
        (note.url == url).then_some(())?;
        Some((self.get(&note.digest, max)?, note.validators))
    }

    /// Keeps an index whose server tells when it changes.
    pub(super) fn put_index(&self, url: &str, bytes: &[u8], validators: Validators) {
        if validators == Validators::default() {
            return;
        }
        let digest = Digest::of(bytes);
        self.put(&digest, bytes);
        let note = Note { url: url.to_owned(), digest, validators };
        let text = serde_json::to_vec(&note).expect("types of ours serialise");
        if let Err(error) = self.write(&self.note(url), &text) {
            tracing::warn!(%error, "not kept");
        }
    }

    /// The provenance of a package, with the name that the package had; whether it is good is for others to say.
    pub(super) fn provenance(&self, package: &Digest) -> Option<(Option<String>, String)> {
        serde_json::from_slice(&read_capped(&self.signed(package), 2 * PROVENANCE_MAX).ok()?).ok()
    }

    /// Keeps a provenance.
    pub(super) fn put_provenance(&self, package: &Digest, name: Option<&str>, text: &str) {
        let kept = serde_json::to_vec(&(name, text)).expect("texts serialise");
        if let Err(error) = self.write(&self.signed(package), &kept) {
            tracing::warn!(%error, "not kept");
        }
    }

    fn signed(&self, package: &Digest) -> PathBuf {
        self.folder.join("provenance").join(package.hex())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("sha256").join(digest.hex())
    }

    fn note(&self, url: &str) -> PathBuf {
        let name = Digest::from_raw(&Sha256::digest(url.as_bytes()).into());
        self.folder.join("index").join(name.hex())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let folder = path.parent().unwrap_or(&self.folder);
        // Charts may be secret.
        create_private_folder(&self.folder).and_then(|()| create_private_folder(folder)).map_err(|source| FileError::new("make the folder", folder, source))?;
        write_atomic(path, bytes)
    }

    /// Takes away what was used longest ago, where there is too much.
    fn tidy(&self) {
        let Ok(entries) = fs::read_dir(self.folder.join("sha256")) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let (mut bytes, mut count) = (files.iter().map(|(_, size, _)| size).sum::<u64>(), files.len());
        files.sort();
        for (_, size, path) in files {
            if bytes <= KEPT_MAX && count <= FILES_MAX {
                break;
            }
            // Another run may have been faster.
            let _ = fs::remove_file(path);
            bytes -= size;
            count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_held_against_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("a/b"));
        let digest = Digest::of(b"chart");
        assert_eq!(cache.get(&digest, 100), None);
        cache.put(&digest, b"chart");
        assert_eq!(cache.get(&digest, 100).as_deref(), Some(b"chart".as_slice()));
        assert_eq!(cache.get(&digest, 4), None, "more than is wanted");
        fs::write(cache.path(&digest), b"other").unwrap();
        assert_eq!(cache.get(&digest, 100), None);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn indexes_are_kept_where_their_server_tells_when_they_change() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into());
        cache.put_index("https://a/index.yaml", b"x", Validators::default());
        assert!(cache.index("https://a/index.yaml", 100).is_none());
        let validators = Validators { etag: Some("\"1\"".into()), last_modified: None };
        cache.put_index("https://a/index.yaml", b"x", validators.clone());
        assert_eq!(cache.index("https://a/index.yaml", 100).unwrap().1, validators);
        assert!(cache.index("https://b/index.yaml", 100).is_none());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().into());
        let names: Vec<Digest> = (0..3_u8).map(|n| Digest::of(&[n])).collect();
        for (n, digest) in names.iter().enumerate() {
            cache.put(digest, &[u8::try_from(n).unwrap()]);
            let file = fs::File::options().write(true).open(cache.path(digest)).unwrap();
            // A sparse file of more than a third of what is kept.
            file.set_len(KEPT_MAX / 2).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n as u64)).unwrap();
        }
        cache.tidy();
        assert_eq!(names.iter().map(|digest| cache.path(digest).exists()).collect::<Vec<_>>(), [false, true, true]);
    }
}
