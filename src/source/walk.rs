//! All files of a folder, symbolic links followed, as Helm does (helm, internal/sympath/walk.go).

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
};

use super::SourceError;
use crate::io::FileError;

/// As many links as Go follows for one path (path/filepath, `walkSymlinks`).
const LINKS_MAX: usize = 255;

const ENTRIES_MAX: u64 = 50_000;
const DEPTH_MAX: usize = 64;
/// Version control is never content, and may be large.
const LEFT_OUT: &str = ".git";

/// Paths of all files below a folder with their paths relative to it in `/`, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let mut found = Vec::new();
    let mut walk = Walk { root: folder, entries: 0, above: Vec::new(), found: &mut found };
    walk.folder(folder, "", false)?;
    found.sort_unstable();
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    entries: u64,
    /// The folders that we are in, for finding loops; and where they really are, once somebody asked.
    above: Vec<(PathBuf, OnceCell<Option<PathBuf>>)>,
    found: &'a mut Vec<(String, PathBuf)>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, linked: bool) -> Result<(), SourceError> {
        let failed = |source| SourceError::File(FileError::new("read the folder", folder, source));
        // Only through a link can a folder be reached twice.
        if self.above.len() >= DEPTH_MAX || (linked && self.is_above(&fs::canonicalize(folder).map_err(failed)?)) {
            return Err(SourceError::Loop { path: folder.into() });
        }
        self.above.push((folder.into(), OnceCell::new()));
        let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        // The first fault by name is the one that is told (`readDirNames`).
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(SourceError::Budget { path: self.root.into(), what: "files", max: ENTRIES_MAX });
            }
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| SourceError::Name { path: path.clone() })?;
            let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let own = entry.file_type().map_err(failed)?;
            let link = own.is_symlink();
            let kind = if link { fs::metadata(&path).map_err(|source| unreadable(&path, source))?.file_type() } else { own };
            if kind.is_dir() && name != LEFT_OUT {
                self.folder(&path, &relative, linked || link)?;
            } else if kind.is_file() {
                self.found.push((relative, path));
            }
        }
        self.above.pop();
        Ok(())
    }

    fn is_above(&self, real: &Path) -> bool {
        self.above.iter().any(|(above, known)| known.get_or_init(|| fs::canonicalize(above).ok()).as_deref() == Some(real))
    }
}

/// Why a path's metadata cannot be read; a link that leads nowhere has a text of Helm's.
fn unreadable(path: &Path, source: std::io::Error) -> SourceError {
    let broken = source.kind() == std::io::ErrorKind::NotFound && path.is_symlink();
    match std::path::absolute(path).ok().filter(|_| broken).and_then(|path| Some((missing(&path)?, path))) {
        Some((missing, path)) => SourceError::Link { path, missing, reason: "no such file or directory" },
        None => FileError::new("read", path, source).into(),
    }
}

/// The first part of a path that is not there once the links before it are followed (path/filepath, `walkSymlinks`).
fn missing(path: &Path) -> Option<PathBuf> {
    let parts = |path: &Path| path.components().map(|part| PathBuf::from(part.as_os_str())).rev().collect::<Vec<_>>();
    let (mut real, mut left, mut links) = (PathBuf::new(), parts(path), 0);
    while let Some(part) = left.pop() {
        if part.as_os_str() == ".." {
            real.pop();
            continue;
        }
        real.push(part);
        let Ok(found) = fs::symlink_metadata(&real) else { return Some(real) };
        if found.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            let target = fs::read_link(&real).ok()?;
            real.pop();
            // An absolute target starts with the root, which replaces what was there.
            left.extend(parts(&target));
        }
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named_as_helm_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("chart/sub")).unwrap();
        symlink("../../docs/../none/LICENSE", root.join("chart/sub/LICENSE")).unwrap();
        let wanted = format!("error evaluating symlink {0}/chart/sub/LICENSE: lstat {0}/docs: no such file or directory", root.display());
        assert_eq!(files(&root.join("chart")).unwrap_err().to_string(), wanted);
        fs::remove_file(root.join("chart/sub/LICENSE")).unwrap();
        symlink("/none/at/all", root.join("chart/sub/abs")).unwrap();
        symlink("/none", root.join("chart/zero")).unwrap();
        assert!(files(&root.join("chart")).unwrap_err().to_string().ends_with("/chart/sub/abs: lstat /none: no such file or directory"));
    }
}
