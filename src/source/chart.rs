//! Charts from folders and .tgz files.

use std::path::Path;

use super::{SourceError, provenance, walk};
use crate::{
    chart::Chart,
    io::read_capped,
    openpgp::Signer,
    tree::{FileTree, SafePath},
};

/// A packaged chart, as Helm limits it.
pub(super) const ARCHIVE_MAX: u64 = 100 << 20;
/// One file of a chart, as Helm limits it; a byte more lets the loader say so unless .helmignore leaves the file out.
const FILE_MAX: u64 = (5 << 20) + 1;
/// All files of a chart.
const FOLDER_MAX: u64 = 100 << 20;

/// Loads the chart at a path.
pub fn chart(path: &Path) -> Result<Chart, SourceError> {
    let failed = |source| SourceError::Chart { path: path.into(), source };
    if path.is_dir() {
        return Chart::load(&folder(path)?).map_err(failed);
    }
    match read_capped(path, ARCHIVE_MAX) {
        Ok(archive) => Chart::from_tgz(&archive).map_err(failed),
        Err(error) if error.is_not_found() => Err(SourceError::Missing { what: "chart", path: path.into() }),
        Err(error) => Err(error.into()),
    }
}

/// A packaged chart with a good signature.
#[derive(Debug)]
pub struct SignedChart {
    /// The chart.
    pub chart: Chart,
    /// The very bytes that were signed.
    pub package: Vec<u8>,
    /// By whom.
    pub signer: Signer,
}

/// Loads the packaged chart at a path, which somebody of a keyring must have signed.
pub fn signed_chart(path: &Path, keyring: &Path) -> Result<SignedChart, SourceError> {
    let (package, signer) = provenance::read_signed(path, keyring)?;
    let chart = Chart::from_tgz(&package).map_err(|source| SourceError::Chart { path: path.into(), source })?;
    Ok(SignedChart { chart, package, signer })
}

pub(super) fn folder(path: &Path) -> Result<FileTree, SourceError> {
    let mut tree = FileTree::new();
    let mut bytes = 0;
    for (name, file) in walk::files(path)? {
        let content = read_start(&file)?;
        bytes += content.len() as u64;
        if bytes > FOLDER_MAX {
            return Err(SourceError::Budget { path: path.into(), what: "bytes", max: FOLDER_MAX });
        }
        tree.insert(safe(&name, &file)?, content.into());
    }
    Ok(tree)
}

/// As much of a file as decides whether it is too large: .helmignore may leave it out, so that is no error here.
fn read_start(path: &Path) -> Result<Vec<u8>, SourceError> {
    use std::io::Read as _;
    let failed = |source| crate::io::FileError::new("read", path, source);
    let file = std::fs::File::open(path).map_err(failed)?;
    // Room for all of it, so that one call reads it and one more finds the end.
    let length = file.metadata().map_or(0, |found| found.len()).min(FILE_MAX);
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(FILE_MAX).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

pub(super) fn safe(name: &str, path: &Path) -> Result<SafePath, SourceError> {
    name.parse().map_err(|_| SourceError::Name { path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_links_and_see_loops() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("web");
        std::fs::create_dir_all(root.join("templates")).unwrap();
        std::fs::write(root.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 1.0.0\n").unwrap();
        std::fs::write(folder.path().join("shared.yaml"), "kind: X\n").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../../shared.yaml", root.join("templates/shared.yaml")).unwrap();
        let loaded = chart(&root).unwrap();
        assert_eq!((loaded.name(), loaded.templates().len()), ("web", usize::from(cfg!(unix))));
        assert!(matches!(chart(&folder.path().join("none")), Err(SourceError::Missing { .. })));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("..", root.join("templates/up")).unwrap();
            assert!(matches!(chart(&root), Err(SourceError::Loop { .. })));
        }
    }
}
