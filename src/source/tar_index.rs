//! Where the files of an image archive are: indexed once, read by offset. Compressed archives are unpacked into a file without a name first.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use super::{
    SourceError,
    blobs::{Blob, Place},
};
use crate::io::FileError;

const ENTRIES_MAX: usize = 100_000;
/// Unpacked size of a compressed archive.
pub(super) const UNPACKED_MAX: u64 = 64 << 30;

/// Indexes an archive file; `scratch` is a folder with room for what a compressed one unpacks to.
pub(super) fn index(path: &Path, scratch: &Path) -> Result<BTreeMap<String, Blob>, SourceError> {
    let file = File::open(path).map_err(|source| FileError::new("read", path, source))?;
    index_of(path, file, scratch)
}

/// The same for a file that is open; `path` is for messages.
pub(super) fn index_of(path: &Path, mut file: File, scratch: &Path) -> Result<BTreeMap<String, Blob>, SourceError> {
    let failed = |source| FileError::new("read", path, source);
    let mut magic = [0; 4];
    let read = file.read(&mut magic).and_then(|n| file.rewind().map(|()| n)).map_err(failed)?;
    let file = match &magic[..read] {
        [0x1f, 0x8b, ..] => unpack(path, flate2::read::MultiGzDecoder::new(io::BufReader::new(file)), scratch)?,
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(io::BufReader::new(file)).map_err(|e| not_an_archive(path, e.to_string()))?;
            unpack(path, decoder, scratch)?
        }
        _ => file,
    };
    entries(path, file)
}

fn unpack(path: &Path, mut from: impl Read, scratch: &Path) -> Result<File, SourceError> {
    let failed = |source| FileError::new("unpack", path, source);
    let mut file = tempfile::tempfile_in(scratch).map_err(failed)?;
    let copied = io::copy(&mut (&mut from).take(UNPACKED_MAX + 1), &mut file).map_err(failed)?;
    if copied > UNPACKED_MAX {
        return Err(SourceError::Budget { path: path.into(), what: "bytes", max: UNPACKED_MAX });
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file)
}

fn entries(path: &Path, file: File) -> Result<BTreeMap<String, Blob>, SourceError> {
    let failed = |source: io::Error| not_an_archive(path, source.to_string());
    let length = file.metadata().map_err(failed)?.len();
    let shared = Arc::new(file.try_clone().map_err(failed)?);
    let mut archive = tar::Archive::new(file);
    let (mut found, mut links) = (BTreeMap::new(), Vec::new());
    for (count, entry) in archive.entries_with_seek().map_err(failed)?.enumerate() {
        let entry = entry.map_err(failed)?;
        if count >= ENTRIES_MAX {
            return Err(SourceError::Budget { path: path.into(), what: "entries", max: ENTRIES_MAX as u64 });
        }
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| not_an_archive(path, "an entry's name is no text".into()))?;
        let name = normal(&name);
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                if offset.checked_add(size).is_none_or(|end| end > length) {
                    return Err(not_an_archive(path, format!("it ends inside {name}")));
                }
                found.insert(name, Blob { place: Place::Part { file: shared.clone(), offset }, size });
            }
            // `docker save` before 25 links layers that several images share.
            kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                if let Some(target) = entry.link_name_bytes().and_then(|t| String::from_utf8(t.into_owned()).ok()) {
                    let folder = if kind == tar::EntryType::Symlink { name.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
                    let target = normal(&format!("{folder}/{target}"));
                    links.push((name, target));
                }
            }
            _ => {}
        }
    }
    // One step only: links to links lead nowhere.
    for (name, target) in links {
        if let Some(blob) = found.get(&target).cloned() {
            found.entry(name).or_insert(blob);
        }
    }
    Ok(found)
}

/// `./a/../b` as `b`. These names are only looked up, never opened.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub(super) fn not_an_archive(path: &Path, reason: String) -> SourceError {
    SourceError::NotAnArchive { path: path.into(), reason }
}
