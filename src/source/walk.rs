//! All files of a folder, symbolic links followed, as Helm does (helm, internal/sympath/walk.go).

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::SourceError;
use crate::io::FileError;

const ENTRIES_MAX: u64 = 50_000;
const DEPTH_MAX: usize = 64;
/// Version control is never content, and may be large.
const LEFT_OUT: &str = ".git";

/// Paths of all files below a folder with their paths relative to it in `/`, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let mut found = Vec::new();
    let mut walk = Walk { root: folder, entries: 0, above: Vec::new(), found: &mut found };
    walk.folder(folder, "")?;
    found.sort();
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    entries: u64,
    /// Real paths of the folders that we are in, for finding loops.
    above: Vec<PathBuf>,
    found: &'a mut Vec<(String, PathBuf)>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), SourceError> {
        let failed = |source| SourceError::File(FileError::new("read the folder", folder, source));
        let real = fs::canonicalize(folder).map_err(failed)?;
        if self.above.contains(&real) || self.above.len() >= DEPTH_MAX {
            return Err(SourceError::Loop { path: folder.into() });
        }
        self.above.push(real);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(SourceError::Budget { path: self.root.into(), what: "files", max: ENTRIES_MAX });
            }
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| SourceError::Name { path: path.clone() })?;
            let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let kind = fs::metadata(&path).map_err(|source| FileError::new("read", &path, source))?;
            if kind.is_dir() && name != LEFT_OUT {
                self.folder(&path, &relative)?;
            } else if kind.is_file() {
                self.found.push((relative, path));
            }
        }
        self.above.pop();
        Ok(())
    }
}
