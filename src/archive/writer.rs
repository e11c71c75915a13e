//! Fills a layout: heads and documents at once, layers in parallel and in any order, each byte once and in its place.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{
    ArchiveError, BuildError, Layout, Signer,
    builder::{Fill, SIGNATURE_ROOM, padded_signature},
    header,
    journal::{Journal, Notes},
    target::{Parts, Target},
    volumes::VolumeSize,
};
use crate::{
    io::{self, Writeback, Written},
    oci::Digest,
};

/// Bytes of a layer between two notes in the journal: what a run that was killed may have done for nothing.
const NOTED: u64 = 8 << 20;
/// Bytes that are read at a time from what an earlier run has written.
const READ: usize = 1 << 20;

/// An archive in the making, at `PATH.part`, or in volumes at `PATH.001.part` and so on. Dropped before [`Writer::finish`], it is removed, unless it
/// could not be written any further.
///
/// A run that was killed, or found the disk full, has left it with its journal; the same layout is then taken up where it stopped.
#[derive(Debug)]
pub struct Writer {
    target: Target,
    index: Bytes,
    signatures: Vec<u64>,
    journal: Journal,
    kept: BTreeMap<Digest, u64>,
    writeback: Option<Writeback>,
    layers: BTreeMap<Digest, (u64, u64)>,
    order: Vec<Digest>,
    missing: Arc<Mutex<Vec<Digest>>>,
}

impl Writer {
    /// Begins an archive: asks for the room, gives the file its whole length, and writes all but the layers that come later.
    pub fn create(path: &Path, layout: &Layout) -> Result<Self, ArchiveError> {
        Self::create_in(path, layout, None)
    }

    /// The same in volumes, if a size is given: `PATH.001`, `PATH.002` … and `PATH.volumes.json`, each byte written once as well.
    pub fn create_in(path: &Path, layout: &Layout, volume: Option<VolumeSize>) -> Result<Self, ArchiveError> {
        let (journal, mut kept) = Journal::begin(path, layout, volume)?;
        let stays = journal.notes().stays().clone();
        let target = Target::open(path, layout.size(), volume, &stays)?;
        if !target.was_begun() {
            kept.clear();
        }
        // Taken up, what is there is not needed again.
        let wanted = layout.size().saturating_sub(target.parts().allocated());
        if let Some(free) = io::free_space(path)?.filter(|&free| free < wanted) {
            return Err(ArchiveError::NoSpace { path: path.into(), wanted, free });
        }
        // What is never written reads as zero: the blocks between entries and at the end.
        target.lengthen()?;
        let parts = target.parts();
        let mut layers = BTreeMap::new();
        let mut order = Vec::new();
        for entry in layout.entries() {
            let head = header::write(&entry.name, entry.fill.size());
            parts.write_all_at(&head, entry.offset - header::BLOCK_U64)?;
            match &entry.fill {
                Fill::Bytes(bytes) => parts.write_all_at(bytes, entry.offset)?,
                Fill::Layer(digest, size) => {
                    layers.insert(digest.clone(), (entry.offset, *size));
                    order.push(digest.clone());
                }
            }
        }
        let missing = Arc::new(Mutex::new(order.clone()));
        // From here on the owner decides; only what cannot be written stays.
        stays.store(false, Ordering::Relaxed);
        let (index, signatures, writeback) = (layout.index_json().clone(), layout.signature_places(), Writeback::start());
        Ok(Self { target, index, signatures, journal, kept, writeback, layers, order, missing })
    }

    /// Signs the archive with each of the keys, in the room that the layout has for it; at any time before [`Writer::finish`].
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<(), ArchiveError> {
        if signers.len() > self.signatures.len() {
            return Err(BuildError::NoRoom { wanted: signers.len(), room: self.signatures.len() }.into());
        }
        for (signer, offset) in signers.iter().zip(&self.signatures) {
            let bundle = signer.sign(&self.index).map_err(BuildError::Sign)?;
            self.target.parts().write_all_at(&padded_signature(Some(&bundle), SIGNATURE_ROOM)?, *offset)?;
        }
        Ok(())
    }

    /// Layers whose content has not been written yet, with their sizes, the largest first.
    pub fn pending(&self) -> Vec<(Digest, u64)> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        self.order.iter().filter(|d| missing.contains(d)).map(|d| (d.clone(), self.layers[d].1)).collect()
    }

    /// Opens a layer's place for writing. Several layers may be open at a time, in several threads; each of them once.
    pub fn layer(&self, digest: &Digest) -> Result<LayerWriter, ArchiveError> {
        let pending = self.missing.lock().unwrap_or_else(PoisonError::into_inner).contains(digest);
        let place = self.layers.get(digest).filter(|_| pending);
        let &(offset, size) = place.ok_or_else(|| BuildError::NotPending(digest.clone()))?;
        Ok(LayerWriter {
            parts: self.target.parts().clone(),
            missing: self.missing.clone(),
            digest: digest.clone(),
            offset,
            size,
            written: 0,
            hasher: Sha256::new(),
            kept: self.kept.get(digest).copied().filter(|kept| *kept <= size).unwrap_or_default(),
            notes: self.journal.notes().clone(),
            started: self.writeback.as_ref().map(Writeback::written),
            noted: 0,
        })
    }

    /// Lets what is written stay for another run, if this one does not finish.
    pub fn leave(&self) {
        self.journal.notes().stays().store(true, Ordering::Relaxed);
    }

    /// The same, if an earlier run has begun it: what that has done is not lost by whoever mistypes a password.
    pub fn leave_if_taken_up(&self) {
        if self.target.was_begun() {
            self.leave();
        }
    }

    /// Where the archive will be.
    pub fn path(&self) -> &Path {
        self.target.path()
    }

    /// Flushes the archive and gives it its name. Every layer must have been finished.
    pub fn finish(self) -> Result<(), ArchiveError> {
        let missing = self.pending();
        if !missing.is_empty() {
            return Err(BuildError::Unfilled(missing.into_iter().map(|(digest, _)| digest).collect()).into());
        }
        let Self { target, index, journal, writeback, .. } = self;
        if let Some(writeback) = writeback {
            writeback.finish();
        }
        target.keep(Digest::of(&index))?;
        drop(journal);
        Ok(())
    }
}

/// Writes one layer into its place, from the first byte to the last, and checks it on the way.
pub struct LayerWriter {
    parts: Arc<Parts>,
    missing: Arc<Mutex<Vec<Digest>>>,
    digest: Digest,
    offset: u64,
    size: u64,
    written: u64,
    hasher: Sha256,
    /// Bytes that an earlier run says it has written.
    kept: u64,
    notes: Notes,
    started: Option<Written>,
    noted: u64,
}

impl fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerWriter").field("digest", &self.digest).field("written", &self.written).field("size", &self.size).finish_non_exhaustive()
    }
}

impl LayerWriter {
    /// Writes the next bytes.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), ArchiveError> {
        if self.size - self.written < chunk.len() as u64 {
            return Err(BuildError::TooMuch { digest: self.digest.clone(), size: self.size }.into());
        }
        self.hasher.update(chunk);
        if let Err(error) = self.parts.write_all_at(chunk, self.offset + self.written) {
            // What is there is good; a disk can be made room on.
            self.notes.note(&self.digest, self.written);
            self.notes.stays().store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        self.written += chunk.len() as u64;
        if self.written - self.noted >= NOTED {
            self.note();
        }
        Ok(())
    }

    fn note(&mut self) {
        if let Some(started) = &self.started {
            self.parts.tell(started, self.offset + self.noted, self.written - self.noted);
        }
        self.noted = self.written;
        self.notes.note(&self.digest, self.written);
    }

    /// Whether an earlier run has written something of it.
    pub fn was_begun(&self) -> bool {
        self.kept > 0
    }

    /// Reads again what an earlier run has written, and goes on behind it. Tells whether that is all, and the right bytes; wrong ones are forgotten.
    pub fn take_up(&mut self) -> Result<bool, ArchiveError> {
        let mut buffer = vec![0; READ];
        while self.written < self.kept {
            let n = usize::try_from(self.kept - self.written).unwrap_or(READ).min(READ);
            self.parts.read_exact_at(&mut buffer[..n], self.offset + self.written)?;
            self.hasher.update(&buffer[..n]);
            self.written += n as u64;
        }
        self.noted = self.written;
        if self.written == self.size && self.digest() != self.digest {
            self.restart();
        }
        Ok(self.written == self.size)
    }

    /// Bytes written so far: where a transfer that broke goes on.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The layer's size.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets what was written, for a server that can only send from the start.
    pub fn restart(&mut self) {
        (self.written, self.noted, self.kept) = (0, 0, 0);
        self.hasher = Sha256::new();
        self.notes.note(&self.digest, 0);
    }

    /// Digest of what was written so far.
    pub fn digest(&self) -> Digest {
        Digest::from_raw(&self.hasher.clone().finalize().into())
    }

    /// Checks size and digest; only then does the layer count as written.
    pub fn finish(mut self) -> Result<(), ArchiveError> {
        let found = self.digest();
        if found != self.digest || self.written != self.size {
            return Err(BuildError::WrongContent { digest: self.digest, size: self.size, found, found_size: self.written }.into());
        }
        self.note();
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).retain(|d| *d != self.digest);
        Ok(())
    }
}
