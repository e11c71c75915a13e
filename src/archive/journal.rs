//! How far an archive in the making has come, beside it: a run that was killed, or found the disk full, goes on where it stopped.
//!
//! `PATH.part.journal` is text: first which layout it is about, then a line for a layer and its bytes that are written, the last one counting.
//! What it says is where to look, and no more: the bytes are hashed again before they are trusted.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self as std_io, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use super::Layout;
use crate::{
    io::{FileError, read_capped_text},
    oci::Digest,
};

/// Version of the journal, in its first line.
const HEAD: &str = "offline-export-1";
/// The largest journal that is read; one of a terabyte in pieces of eight megabytes is smaller.
const MAX: u64 = 16 << 20;

/// The journal of an archive in the making. Whoever has it is the only one who makes this archive.
///
/// Dropped, it is removed, unless something has said that it stays.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    notes: Notes,
}

/// Where to note what is written; also whether what is there stays for another run.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    file: Arc<Mutex<File>>,
    stays: Arc<AtomicBool>,
}

impl Journal {
    /// Begins the journal of an archive at `path`, or takes up the one that is there, if it is about the very same layout. Gives the bytes that
    /// are said to be there of each layer.
    pub(super) fn begin(path: &Path, layout: &Layout) -> Result<(Self, BTreeMap<Digest, u64>), FileError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part.journal");
        let journal = PathBuf::from(name);
        let mut file = locked(&journal)?;
        let head = format!("{HEAD} {}", identity(layout));
        let text = read_capped_text(&journal, MAX).unwrap_or_default();
        let kept = parse(&text, &head);
        let failed = |source| FileError::new("write", &journal, source);
        // What follows the last whole line was being written when the run ended.
        let whole = kept.as_ref().and(text.rfind('\n')).map_or(0, |at| at + 1);
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        if kept.is_none() {
            writeln!(file, "{head}").map_err(failed)?;
        }
        let notes = Notes { file: Arc::new(Mutex::new(file)), stays: Arc::new(AtomicBool::new(kept.is_some())) };
        Ok((Self { path: journal, notes }, kept.unwrap_or_default()))
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.notes.stays.load(Ordering::Relaxed) {
            // Without the file that it is about it says nothing.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Notes {
    /// Notes how much of a layer is written. A note that is lost costs time, nothing else.
    pub(super) fn note(&self, digest: &Digest, done: u64) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{digest} {done}\n").as_bytes()) {
            tracing::debug!(%error, "not noted");
        }
    }

    /// Whether what is written stays for another run.
    pub(super) fn stays(&self) -> &Arc<AtomicBool> {
        &self.stays
    }
}

/// Opens the journal for one run at a time.
fn locked(path: &Path) -> Result<File, FileError> {
    let failed = |source| FileError::new("create", path, source);
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(failed(std_io::Error::other("another run is writing this archive"))),
            // A file system without locks; two runs at once are then up to the user.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "not locked"),
        }
        // Its last owner may have removed it before we had the lock.
        if path.exists() {
            return Ok(file);
        }
    }
}

/// What was noted, if it is about the layout with this head.
fn parse(text: &str, head: &str) -> Option<BTreeMap<Digest, u64>> {
    // A line without its end was not written to the end.
    let (whole, _) = text.rsplit_once('\n')?;
    let mut lines = whole.lines();
    (lines.next()? == head).then_some(())?;
    lines
        .map(|line| {
            let (digest, done) = line.split_once(' ')?;
            Some((digest.parse().ok()?, done.parse().ok()?))
        })
        .collect()
}

/// Digest over everything that decides which byte belongs where.
fn identity(layout: &Layout) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(layout.index_json());
    for entry in layout.entries() {
        hasher.update(format!("\n{} {} {}", entry.name, entry.offset, entry.fill.size()));
    }
    Digest::from_raw(&hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_as_far_as_it_was_written() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let of = |text: &str| parse(text, "head");
        assert_eq!(of(&format!("head\n{a} 5\n{b} 3\n{a} 9\n")), Some(BTreeMap::from([(a.clone(), 9), (b.clone(), 3)])));
        assert_eq!(of(&format!("head\n{a} 5\n{a} 12")), Some(BTreeMap::from([(a.clone(), 5)])), "12 may have been 123");
        assert_eq!(of("head\n"), Some(BTreeMap::new()));
        for text in ["", "head", "other\n", &format!("other\n{a} 5\n"), "head\nx 5\n", &format!("head\n{a}\n"), &format!("head\n{a} -1\n")] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
