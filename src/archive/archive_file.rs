//! A verified archive: what it holds, and its bytes.

use std::{ops::Deref, path::Path};

use bytes::Bytes;

use super::{
    ArchiveError, Base, BaseKind, BuildError, Contents, Fault, Flaw, Signer,
    builder::padded_signature,
    header,
    medium::{self, Patch, Signing},
    names, room,
    unverified::Opened,
};
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
    bases: Vec<Archive>,
}

impl Archive {
    pub(crate) fn new(opened: Opened, index: Bytes, contents: Contents, read_max: u64) -> Self {
        Self { opened, index, contents, read_max, bases: Vec::new() }
    }

    /// Reads what was left out from these archives, which are verified as well. One of them must be the base that index.json names, if that is an
    /// archive, and together they must hold all that was left out.
    pub fn with_bases(mut self, bases: Vec<Self>) -> Result<Self, ArchiveError> {
        let Some(first) = bases.first() else { return Ok(self) };
        let Some(base) = self.base().cloned() else {
            return Err(ArchiveError::NoBase { path: self.path().into(), given: first.path().into() });
        };
        if base.kind == BaseKind::Archive && !bases.iter().any(|given| given.identity().digest == base.digest) {
            let (wanted, found) = (base.into(), first.identity().into());
            return Err(ArchiveError::WrongBase { path: self.path().into(), wanted, given: first.path().into(), found });
        }
        let held = |digest: &Digest, size: u64| bases.iter().any(|given| given.locate(digest).is_some_and(|(_, found)| found == size));
        if let Some((digest, _)) = self.left_out().iter().find(|(digest, size)| !held(digest, **size)) {
            let images = self.images_with(digest).iter().map(ToString::to_string).collect();
            return Err(ArchiveError::NotInBase { path: self.path().into(), digest: digest.clone(), images, base: base.into() });
        }
        self.bases = bases;
        Ok(self)
    }

    /// Whether all that it leads to can be read, be it in the archive or in a base.
    pub fn is_complete(&self) -> bool {
        self.left_out().is_empty() || !self.bases.is_empty()
    }

    /// What it is known by as the base of another archive.
    pub fn identity(&self) -> Base {
        let record = self.record();
        Base { kind: BaseKind::Archive, digest: Digest::of(&self.index), name: record.name.clone(), version: Some(record.version.clone()) }
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
        if let Some(base) = self.base_with(digest) {
            return base.read(digest);
        }
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
        if let Some(base) = self.base_with(digest) {
            return base.read_at(digest, offset, buffer);
        }
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

    /// Puts signatures into their places, one after the other, and blanks the places that are left; nothing else is touched. Of an archive in volumes
    /// the list is brought up to date; a run that is interrupted leaves one that says so, until it is signed again.
    pub fn put_signatures(&self, bundles: &[String]) -> Result<(), ArchiveError> {
        let places = &self.opened.signatures;
        if bundles.len() > places.len() {
            return Err(BuildError::NoRoom { wanted: bundles.len(), room: places.len() }.into());
        }
        let bundles = (0..places.len()).map(|at| bundles.get(at).cloned()).collect();
        let mut signing = Signing { index: Digest::of(&self.index), bundles, patches: Vec::new() };
        let medium = &*self.opened.medium;
        for (place, bundle) in places.iter().zip(&signing.bundles) {
            let room = usize::try_from(place.size).unwrap_or(usize::MAX).min(1 << 20);
            let (offset, mut before) = (place.offset - header::BLOCK_U64, vec![0; header::BLOCK + room]);
            medium::read_exact_at(medium, &mut before, offset).map_err(|source| self.failed(source))?;
            let after = [&before[..header::BLOCK], &padded_signature(bundle.as_deref(), room)?].concat();
            if before != after || medium.unfinished().is_some() {
                signing.patches.push(Patch { offset, before, after });
            }
        }
        if signing.patches.is_empty() { Ok(()) } else { medium.sign(&signing) }
    }

    /// Writes the archive anew in its place, with room for so many signatures. What it carries, and what is signed, stays the same to the byte.
    pub fn make_room(self, signatures: usize) -> Result<(), ArchiveError> {
        room::rewrite(&self.opened, signatures)
    }

    /// The base that has a blob, if the archive itself has not.
    fn base_with(&self, digest: &Digest) -> Option<&Self> {
        if self.locate(digest).is_some() { None } else { self.bases.iter().find(|base| base.locate(digest).is_some()) }
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
