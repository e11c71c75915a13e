//! A verified archive: what it holds, and its bytes.

use std::{ops::Deref, path::Path};

use bytes::Bytes;

use super::{ArchiveError, BuildError, Contents, Fault, Flaw, Signer, names, room, unverified::Opened, writer};
use crate::{io::FileError, oci::Digest};

/// An archive whose signature and every byte have been checked. There is no other way to one than [`super::Unverified::verify`].
///
/// It dereferences to its [`Contents`].
#[derive(Debug)]
pub struct Archive {
    opened: Opened,
    index: Bytes,
    contents: Contents,
    read_max: u64,
}

impl Archive {
    pub(crate) fn new(opened: Opened, index: Bytes, contents: Contents, read_max: u64) -> Self {
        Self { opened, index, contents, read_max }
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.opened.path
    }

    /// A blob's offset in the file and its size.
    pub fn locate(&self, digest: &Digest) -> Option<(u64, u64)> {
        self.opened.entries.get(digest).copied()
    }

    /// A small blob as a whole. It is hashed again: the file may have changed since it was verified.
    pub fn read(&self, digest: &Digest) -> Result<Bytes, ArchiveError> {
        let size = self.find(digest)?.1;
        if size > self.read_max {
            return Err(ArchiveError::TooLargeToRead { digest: digest.clone(), size, max: self.read_max });
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let mut done = 0;
        while done < bytes.len() {
            match self.read_at(digest, done as u64, &mut bytes[done..])? {
                0 => break,
                n => done += n,
            }
        }
        let found = Digest::of(&bytes);
        if found == *digest {
            return Ok(bytes.into());
        }
        Err(ArchiveError::Damaged { path: self.opened.path.clone(), flaw: Flaw::new(names::blob(digest), Fault::Digest { found }) })
    }

    /// Some bytes of a blob from an offset in it; 0 at its end. Several threads may read at a time.
    pub fn read_at(&self, digest: &Digest, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let (start, size) = self.find(digest)?;
        let left = size.saturating_sub(offset);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if n == 0 {
            return Ok(0);
        }
        match self.opened.medium.read_at(&mut buffer[..n], start + offset) {
            Ok(0) => Err(self.failed(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => Ok(n),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The bytes that are signed.
    pub fn index_json(&self) -> &[u8] {
        &self.index
    }

    /// A signature over the archive; it is not put into it.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, ArchiveError> {
        signer.sign(&self.index).map_err(|error| BuildError::Sign(error).into())
    }

    /// Every place for a signature by the name of its entry, with the bundle that stands there.
    pub fn signature_slots(&self) -> Result<Vec<(String, Option<String>)>, ArchiveError> {
        self.opened.slots().map_err(|flaw| ArchiveError::Damaged { path: self.opened.path.clone(), flaw })
    }

    /// Puts signatures into their places, one after the other, and blanks the places that are left; nothing else is touched.
    pub fn put_signatures(&self, bundles: &[String]) -> Result<(), ArchiveError> {
        let places = &self.opened.signatures;
        if bundles.len() > places.len() {
            return Err(BuildError::NoRoom { wanted: bundles.len(), room: places.len() }.into());
        }
        for (at, place) in places.iter().enumerate() {
            writer::replace_signature(&self.opened.path, place, bundles.get(at).map(String::as_str))?;
        }
        Ok(())
    }

    /// Writes the archive anew in its place, with room for so many signatures. What it carries, and what is signed, stays the same to the byte.
    pub fn make_room(self, signatures: usize) -> Result<(), ArchiveError> {
        room::rewrite(&self.opened, signatures)
    }

    fn failed(&self, source: std::io::Error) -> ArchiveError {
        FileError::new("read", &self.opened.path, source).into()
    }

    fn find(&self, digest: &Digest) -> Result<(u64, u64), ArchiveError> {
        self.locate(digest).ok_or_else(|| ArchiveError::NoSuchBlob { path: self.opened.path.clone(), digest: digest.clone() })
    }
}

impl Deref for Archive {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}
