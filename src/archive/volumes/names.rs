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

/// Where it is said that the signatures of a list's archive are being changed.
pub(crate) fn signing_beside(list: &Path) -> PathBuf {
    followed(list, ".signing")
}

/// Whether a file is such a list, by its name.
pub(crate) fn is_list(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.len() > LIST.len() && name.ends_with(LIST))
}

/// The archive that a file is a volume of, by its name: `NAME` for `NAME.001`.
pub(crate) fn archive_of_part(path: &Path) -> Option<PathBuf> {
    let number = path.extension()?.to_str()?;
    let counts = number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()) && number != "000";
    counts.then(|| path.with_extension(""))
}

fn followed(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
