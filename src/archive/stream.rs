//! Verifies an archive that passes once, from its first byte to its last: a pipe, a serial line, a tape.
//!
//! Documents come first in the tar and are kept; layers are hashed as they pass. So memory depends on the documents and not on the archive. The
//! signature is checked before the first blob is read. What a stream cannot do: give an [`super::Archive`], because there is nothing left to read
//! from when its end has been seen.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    ArchiveError, Contents, Fault, Flaw, Limits, Trust,
    medium::Medium,
    names::Name,
    scan::{self, Entry, Scanner, Tape},
    unverified::open_scanned,
};
use crate::{
    oci::Digest,
    progress::{Event, Reporter},
};

/// Bytes that are read and hashed at a time.
const CHUNK: usize = 256 << 10;
/// After so many bytes progress is told.
const TOLD: u64 = 16 << 20;

/// Reads all of a stream and holds it against every rule of the format. `name` stands for it in errors.
pub fn verify_stream(name: &Path, reader: &mut dyn Read, limits: &Limits, trust: &Trust, reporter: &dyn Reporter) -> Result<Contents, ArchiveError> {
    let task = format!("verify {}", name.display());
    reporter.event(Event::Started { task: task.clone(), total: None });
    let mut pass = Pass { tape: Stream { reader, read: 0 }, kept: Kept::default(), last: None, documents: true, limits, told: 0 };
    let mut scanner = Scanner::new(limits);
    let mut trusted = false;
    let damaged = |flaw| ArchiveError::Damaged { path: name.into(), flaw };
    while let Some(entry) = scanner.next(&mut pass.tape).map_err(damaged)? {
        if !trusted && matches!(entry.name, Name::Blob(_)) {
            let head = scanner.so_far().map_err(damaged)?;
            open_scanned(name, Box::new(pass.kept.clone()), Ok(head), limits.clone())?.check_trust(trust)?;
            trusted = true;
        }
        pass.content(&entry).map_err(|fault| damaged(Flaw::new(entry.label.clone(), fault)))?;
        if pass.tape.read - pass.told >= TOLD {
            pass.told = pass.tape.read;
            reporter.event(Event::Advanced { task: task.clone(), done: pass.told });
        }
    }
    let entries = scanner.finish();
    let contents = open_scanned(name, Box::new(pass.kept), entries, limits.clone()).and_then(|whole| whole.look(trust)).map_err(late)?;
    reporter.event(Event::Finished { task, note: format!("{} bytes", pass.tape.read) });
    Ok(contents)
}

/// A document that was not kept stood where none belongs.
fn late(error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Damaged { path, flaw: Flaw { entry, fault: Fault::Read(cause) } } if cause.kind() == io::ErrorKind::Unsupported => {
            ArchiveError::Damaged {
                path,
                flaw: Flaw::new(entry, Fault::Order { wanted: "a layer; documents stand before them, sorted and within their limits".into() }),
            }
        }
        other => other,
    }
}

/// One pass over a stream.
struct Pass<'a> {
    tape: Stream<'a>,
    kept: Kept,
    /// The blob before.
    last: Option<Digest>,
    /// Whether documents may still come.
    documents: bool,
    limits: &'a Limits,
    told: u64,
}

impl Pass<'_> {
    /// Reads an entry's content and padding; keeps what may be a document, and holds blobs against their digests.
    fn content(&mut self, entry: &Entry) -> Result<(), Fault> {
        match &entry.name {
            Name::Blob(digest) => {
                let sorted = self.last.as_ref().is_none_or(|last| last < digest);
                self.documents &= sorted && entry.size <= self.limits.document && self.kept.bytes + entry.size <= self.limits.documents;
                self.last = Some(digest.clone());
                let found = if self.documents { Digest::of(&self.keep(entry)?) } else { self.hash(entry.size)? };
                if found != *digest {
                    return Err(Fault::Digest { found });
                }
            }
            _ => drop(self.keep(entry)?),
        }
        scan::padding(&mut self.tape, entry.size)
    }

    fn keep(&mut self, entry: &Entry) -> Result<Bytes, Fault> {
        let mut bytes = vec![0; usize::try_from(entry.size).map_err(|_| Fault::Header)?];
        self.tape.take(&mut bytes)?;
        let bytes = Bytes::from(bytes);
        self.kept.bytes += entry.size;
        self.kept.pieces.insert(entry.offset, bytes.clone());
        Ok(bytes)
    }

    fn hash(&mut self, size: u64) -> Result<Digest, Fault> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let n = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            self.tape.take(&mut buffer[..n])?;
            hasher.update(&buffer[..n]);
            left -= n as u64;
        }
        Ok(Digest::from_raw(&hasher.finalize().into()))
    }
}

struct Stream<'a> {
    reader: &'a mut dyn Read,
    read: u64,
}

impl Stream<'_> {
    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.reader.read(buffer) {
                Ok(n) => {
                    self.read += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::Read(e)),
            }
        }
    }
}

impl Tape for Stream<'_> {
    fn take(&mut self, mut buffer: &mut [u8]) -> Result<(), Fault> {
        while !buffer.is_empty() {
            match self.some(buffer)? {
                0 => return Err(Fault::Truncated { missing: buffer.len() as u64 }),
                n => buffer = &mut buffer[n..],
            }
        }
        Ok(())
    }

    fn left(&mut self) -> Result<u64, Fault> {
        Ok(self.some(&mut [0; 4096])? as u64)
    }
}

/// What was kept of a stream, by where it stood.
#[derive(Debug, Clone, Default)]
struct Kept {
    pieces: BTreeMap<u64, Bytes>,
    bytes: u64,
}

impl Medium for Kept {
    /// As long as whoever asks believes: the stream's end was seen.
    fn length(&self) -> u64 {
        u64::MAX
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let piece = self.pieces.range(..=offset).next_back();
        let bytes = piece.and_then(|(start, bytes)| bytes.get(usize::try_from(offset - start).ok()?..));
        match bytes.filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => {
                let n = bytes.len().min(buffer.len());
                buffer[..n].copy_from_slice(&bytes[..n]);
                Ok(n)
            }
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "these bytes of the stream have passed")),
        }
    }
}
