//! Charts from archives: Helm's pkg/chart/loader/archive.go, for archives that nobody vouches for.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, Read},
    rc::Rc,
};

use bytes::Bytes;
use flate2::read::GzDecoder;

use super::{
    Chart, ChartError, ChartFile,
    load::{MAX_ARCHIVE, MAX_FILE, checked, from_files},
    loading::Loading,
};
use crate::tree::SafePath;

/// What may stand between two entries: headers, and long names, which are read at once (`maxSpecialFileSize` in Go's archive/tar is 1 MiB).
const MAX_BETWEEN: u64 = 2 << 20;

pub(super) fn from_archive(archive: &[u8], depth: usize, loading: &mut Loading) -> Result<Chart, ChartError> {
    let room = Rc::new(Cell::new(MAX_BETWEEN));
    let mut tar = tar::Archive::new(Paced { inner: GzDecoder::new(archive).take(MAX_ARCHIVE + 1), room: Rc::clone(&room) });
    let mut files: BTreeMap<SafePath, ChartFile> = BTreeMap::new();
    let mut total = 0;
    for entry in tar.entries().map_err(ChartError::Unpack)? {
        let mut entry = entry.map_err(ChartError::Unpack)?;
        room.set(entry.size().saturating_add(MAX_BETWEEN));
        loading.entry()?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).replace('\\', "/");
        let path = path.strip_prefix("./").unwrap_or(&path);
        let Some((_, inner)) = path.split_once('/') else {
            return Err(ChartError::Archive(format!("`{path}` is not inside a folder")));
        };
        let name: SafePath = inner.parse().map_err(|error| ChartError::Archive(format!("{error}")))?;
        total += entry.size();
        for (subject, found, limit) in [(path, entry.size(), MAX_FILE), ("the unpacked archive", total, MAX_ARCHIVE)] {
            if found > limit {
                return Err(ChartError::TooLarge { subject: subject.to_owned(), found, limit });
            }
        }
        loading.bytes(entry.size())?;
        let mut data = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or_default());
        entry.read_to_end(&mut data).map_err(ChartError::Unpack)?;
        let file = checked(inner, &Bytes::from(data))?;
        files.insert(name, file);
    }
    if files.is_empty() {
        return Err(ChartError::Archive("no files in chart archive".to_owned()));
    }
    from_files(files.into_values().collect(), depth, loading)
}

/// Reads no further than there is room: what is neither a file nor a header of usual size ends the unpacking.
struct Paced<R> {
    inner: R,
    room: Rc<Cell<u64>>,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.room.get().checked_sub(count as u64) {
            Some(left) => self.room.set(left),
            None => return Err(io::Error::other(format!("more than {MAX_BETWEEN} bytes of names and headers stand between two files"))),
        }
        Ok(count)
    }
}
