//! What an archive is read from: a file, or whatever else gives bytes at an offset.

use std::{
    fmt::Debug,
    fs::{File, TryLockError},
    io::{Error, Result},
    path::{Path, PathBuf},
};

use super::{ArchiveError, volumes::VolumeError};
use crate::{
    io::{self, FileError},
    oci::Digest,
};

/// What is told where signatures are to be written.
pub(crate) const SIGNING: &str = "write the signatures into";

/// Signatures that take the place of others. Nothing else of an archive is ever changed.
#[derive(Debug)]
pub struct Signing {
    /// Digest of index.json.
    pub(crate) index: Digest,
    /// What is to stand in each place, in the archive's order.
    pub(crate) bundles: Vec<Option<String>>,
    /// The places in which something else stands.
    pub(crate) patches: Vec<Patch>,
}

/// An entry's header and content, before and after.
#[derive(Debug)]
pub(crate) struct Patch {
    /// Where the header begins.
    pub(crate) offset: u64,
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

/// The bytes of an archive, wherever they are. Several threads may read at a time.
///
/// Nothing that it gives is trusted: what is used is hashed, each time that it is read.
pub trait Medium: Debug + Send + Sync {
    /// Bytes of the whole archive.
    fn length(&self) -> u64;

    /// Some bytes from an offset on; 0 only at the end, or into an empty buffer.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Something that was read is wrong: which piece is to blame, where there are pieces and it can be told. This may take a while.
    fn blame(&self) -> Option<VolumeError> {
        None
    }

    /// Puts signatures into their places, where it can be written at all.
    fn sign(&self, _signing: &Signing) -> std::result::Result<(), ArchiveError> {
        Err(ArchiveError::ReadOnly)
    }

    /// What a signing that never came to its end was to put into each place: what stands there now may be anything.
    fn unfinished(&self) -> Option<&[Option<String>]> {
        None
    }
}

/// Fills the whole buffer.
pub(crate) fn read_exact_at(medium: &dyn Medium, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
    while !buffer.is_empty() {
        match medium.read_at(buffer, offset) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One file.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
    length: u64,
    path: PathBuf,
}

impl WholeFile {
    /// `length` is that of the file.
    pub(crate) fn new(file: File, length: u64, path: &Path) -> Self {
        Self { file, length, path: path.into() }
    }
}

impl Medium for WholeFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        io::read_at(&self.file, buffer, offset)
    }

    fn sign(&self, signing: &Signing) -> std::result::Result<(), ArchiveError> {
        let failed = |source| FileError::new(SIGNING, &self.path, source);
        // With another handle, and so it may be another file by now.
        let file = File::options().read(true).write(true).open(&self.path).map_err(failed)?;
        alone(&file).map_err(failed)?;
        for patch in &signing.patches {
            unchanged(&file, &patch.before, patch.offset).map_err(failed)?;
        }
        let write = |patch: &Patch| io::write_all_at(&file, &patch.after, patch.offset);
        signing.patches.iter().try_for_each(write).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(())
    }
}

/// Makes sure that one run at a time signs, for as long as the file is open.
pub(crate) fn alone(file: &File) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::other("another run is signing this archive")),
        // A file system without locks; two runs at once are then up to the user.
        Err(TryLockError::Error(error)) => {
            tracing::debug!(%error, "not locked");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Makes sure that a file still holds what was read of it with another handle.
pub(crate) fn unchanged(file: &File, before: &[u8], offset: u64) -> Result<()> {
    let mut found = vec![0; before.len()];
    io::read_exact_at(file, &mut found, offset)?;
    if found == before { Ok(()) } else { Err(Error::other("the file has changed meanwhile")) }
}
