//! Plain manifests out of their package.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::tree::{FileTree, SafePath};

/// What the files may take together once unpacked, in bytes.
const UNPACKED_MAX: u64 = 64 << 20;
/// How many files there may be.
const FILES_MAX: usize = 10_000;
/// The folder in which the files were packed.
const FOLDER: &str = "manifests/";

/// Why a package of manifests cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(in crate::ops) enum ManifestsError {
    /// It is damaged.
    #[error("the package of manifests cannot be unpacked")]
    Unpack(#[source] std::io::Error),
    /// It is too large.
    #[error("the package of manifests holds more than {FILES_MAX} files or {UNPACKED_MAX} bytes")]
    TooLarge,
    /// It holds something that does not belong there.
    #[error("the package of manifests holds `{0}`, which is no plain file below {FOLDER}")]
    Stranger(String),
}

/// The files of a package, by their paths in delivery.yaml's folder.
pub(in crate::ops) fn unpack(package: &[u8]) -> Result<FileTree, ManifestsError> {
    let mut archive = tar::Archive::new(GzDecoder::new(package).take(UNPACKED_MAX + 1));
    let (mut tree, mut total) = (FileTree::new(), 0);
    for entry in archive.entries().map_err(ManifestsError::Unpack)? {
        let mut entry = entry.map_err(ManifestsError::Unpack)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name: Option<SafePath> = path.strip_prefix(FOLDER).and_then(|name| name.parse().ok());
        let Some(name) = name.filter(|_| entry.header().entry_type().is_file()) else { return Err(ManifestsError::Stranger(path)) };
        total += entry.size();
        if total > UNPACKED_MAX || tree.len() == FILES_MAX {
            return Err(ManifestsError::TooLarge);
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(ManifestsError::Unpack)?;
        tree.insert(name, Bytes::from(content));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn package(path: &str, link: bool) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_mode(0o644);
        if link {
            header.set_entry_type(tar::EntryType::Symlink);
        }
        tar.append_data(&mut header, path, &b"a: b"[..]).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&tar.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn only_plain_files_of_the_folder() {
        assert_eq!(unpack(&package("manifests/k8s/web.yaml", false)).unwrap().get("k8s/web.yaml").unwrap().as_ref(), b"a: b");
        assert!(matches!(unpack(&package("elsewhere/web.yaml", false)), Err(ManifestsError::Stranger(_))));
        assert!(matches!(unpack(&package("manifests/link", true)), Err(ManifestsError::Stranger(_))));
        assert!(matches!(unpack(b"no gzip"), Err(ManifestsError::Unpack(_))));
    }
}
