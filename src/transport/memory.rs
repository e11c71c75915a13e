//! What a run that was killed had begun at a server with tus: the address of the upload, in a file beside the one that is sent. A later run asks the
//! server there how far it came.
//!
//! `PATH.upload` is JSON for this user only. It counts for the very same bytes and the very same target, and holds no secret: both are digests, and an
//! address that may be one (a query, a user) or that leads to another server is not kept.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::{
    archive::volumes,
    io::{FileError, read_capped_text, read_exact_at, remove_if_there, write_private_atomic},
    oci::Digest,
};

const FORMAT: u32 = 1;
/// The largest such file; addresses are short.
const MAX: u64 = 64 << 10;

/// Where an upload of a file is remembered.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".upload");
    name.into()
}

/// What is sent, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    format: u32,
    /// Digest of the bytes.
    file: Digest,
    size: u64,
    /// Digest of the URL that was named.
    target: Digest,
    /// Where the upload is.
    address: String,
}

/// The memory of one upload.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    file: Digest,
    size: u64,
    target: Url,
    /// Of an earlier run.
    address: Option<Url>,
}

impl Memory {
    /// Looks whether an earlier run has begun to send these bytes there. None where something else has the file's name. Reads the whole file.
    pub(super) fn of(file: &Path, target: &Url) -> Result<Option<Self>, FileError> {
        let (digest, size) = hash(file)?;
        let path = beside(file);
        let known = match read_capped_text(&path, MAX) {
            Ok(text) => match serde_json::from_str::<Document>(&text) {
                Ok(document) => Some(document),
                Err(_) => return Ok(None),
            },
            Err(error) if error.is_not_found() => None,
            Err(_) => return Ok(None),
        };
        let mut memory = Self { path, file: digest, size, target: target.clone(), address: None };
        let address = known.filter(|known| *known == memory.document(&known.address)).and_then(|known| known.address.parse().ok());
        memory.address = address.filter(|address| memory.may_keep(address));
        Ok(Some(memory))
    }

    /// Where the upload of an earlier run is.
    pub(super) fn address(&self) -> Option<Url> {
        self.address.clone()
    }

    /// Keeps the address of an upload that begins. Tells whether that was done.
    pub(super) fn keep(&self, address: &Url) -> Result<bool, FileError> {
        if !self.may_keep(address) {
            // That of another upload is of no use any more.
            remove_if_there(&self.path)?;
            return Ok(false);
        }
        let text = serde_json::to_vec(&self.document(address.as_str())).expect("types of ours serialise");
        write_private_atomic(&self.path, &text).map(|()| true)
    }

    fn document(&self, address: &str) -> Document {
        let target = Digest::of(self.target.as_str().as_bytes());
        Document { format: FORMAT, file: self.file.clone(), size: self.size, target, address: address.to_owned() }
    }

    /// Whoever wrote the file could otherwise have the archive sent to a server of theirs.
    fn may_keep(&self, address: &Url) -> bool {
        let bare = address.query().is_none() && address.fragment().is_none() && address.username().is_empty() && address.password().is_none();
        bare && address.origin() == self.target.origin()
    }
}

/// Forgets an upload that has done its work. A file of that name that is no memory stays.
pub(super) fn forget(file: &Path) -> Result<(), FileError> {
    let path = beside(file);
    let ours = read_capped_text(&path, MAX).is_ok_and(|text| serde_json::from_str::<Document>(&text).is_ok());
    if ours { remove_if_there(&path) } else { Ok(()) }
}

/// Digest and size of a file.
fn hash(path: &Path) -> Result<(Digest, u64), FileError> {
    let failed = |source| FileError::new("read", path, source);
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let digest = volumes::digest(size, |buffer, offset| read_exact_at(&file, buffer, offset)).map_err(failed)?;
    Ok((digest, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_remembered_for_the_same_bytes_and_the_same_target() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar");
        std::fs::write(&file, b"bytes").unwrap();
        let url = |text: &str| text.parse::<Url>().unwrap();
        let target = url("https://h.dev/in?sig=secret");
        let memory = || Memory::of(&file, &target).unwrap().unwrap();
        assert!(memory().keep(&url("https://h.dev/in/7")).unwrap());
        assert_eq!(memory().address(), Some(url("https://h.dev/in/7")));
        let text = std::fs::read_to_string(beside(&file)).unwrap();
        assert!(!text.contains("secret") && text.contains(r#""format":1"#), "{text}");
        assert_eq!(Memory::of(&file, &url("https://h.dev/other")).unwrap().unwrap().address(), None);
        for (from, to) in [("h.dev/in/7", "evil.dev/in/7"), (r#""format":1"#, r#""format":2"#), ("h.dev/in/7", "h.dev/in/7?a=b")] {
            std::fs::write(beside(&file), text.replace(from, to)).unwrap();
            assert_eq!(memory().address(), None, "{to}");
        }
        std::fs::write(beside(&file), &text).unwrap();
        std::fs::write(&file, b"other").unwrap();
        assert_eq!(memory().address(), None);
        for secret in ["https://h.dev/in/7?key=x", "https://u:p@h.dev/in/7", "https://store.dev/7", "http://h.dev/in/7"] {
            assert!(!memory().keep(&url(secret)).unwrap(), "{secret}");
            assert!(!beside(&file).exists());
        }
        std::fs::write(beside(&file), "notes").unwrap();
        assert!(Memory::of(&file, &target).unwrap().is_none());
        forget(&file).unwrap();
        assert_eq!(std::fs::read_to_string(beside(&file)).unwrap(), "notes");
    }
}
