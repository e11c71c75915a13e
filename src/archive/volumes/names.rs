//! What the files of an archive in volumes are called.

use std::path::{Path, PathBuf};

/// What follows the archive's name in the name of its list.
const LIST: &str = ".volumes.json";

/// The volume of a number, counted from 1: `NAME.001`.
pub(crate) fn part(archive: &Path, number: usize) -> PathBuf {
    followed(archive, &format!(".{number:03}"))
}

/// The list that belongs to an archive's name.
pub(crate) fn list_beside(archive: &Path) -> PathBuf {
    followed(archive, LIST)
}

fn followed(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
