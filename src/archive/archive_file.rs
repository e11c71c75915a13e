//! A verified archive: what it holds, and its bytes.

use std::{collections::BTreeMap, ops::Deref, path::Path};

use bytes::Bytes;

use super::{
    ArchiveError, Base, BaseKind, BuildError, Contents, Fault, Flaw, Lent, LentBlob, Signer,
    builder::padded_signature,
    header,
    medium::{self, Medium, Patch, Signing},
    names, room,
    unverified::{Opened, hash_entries},
};
use crate::{io::FileError, oci::Digest, progress::Reporter};

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
    lent: Option<Lent>,
}

/// Where a blob's bytes are.
struct Found<'a> {
    medium: &'a dyn Medium,
    start: u64,
    size: u64,
    /// What stands for the medium in errors.
    path: &'a Path,
    /// Of one that is not an archive's.
    lent: Option<&'a LentBlob>,
}

impl Archive {
    pub(crate) fn new(opened: Opened, index: Bytes, contents: Contents, read_max: u64) -> Self {
        Self { opened, index, contents, read_max, bases: Vec::new(), lent: None }
    }

    /// Reads what was left out from these archives, which are verified as well. One of them must be the base that index.json names, if that is an
    /// archive, and together they must hold all that was left out.
    pub fn with_bases(self, bases: Vec<Self>) -> Result<Self, ArchiveError> {
        let archive = self.over(bases)?;
        let missing = archive.missing().pop_first().filter(|_| !archive.bases.is_empty());
        match (missing, archive.base().cloned()) {
            (Some((digest, _)), Some(base)) => {
                let images = archive.images_with(&digest).iter().map(ToString::to_string).collect();
                Err(ArchiveError::NotInBase { path: archive.path().into(), digest, images, base: base.into() })
            }
            _ => Ok(archive),
        }
    }

    /// The same where what is in none of them may be elsewhere.
    pub fn over(mut self, bases: Vec<Self>) -> Result<Self, ArchiveError> {
        let Some(first) = bases.first() else { return Ok(self) };
        let Some(base) = self.base().cloned() else {
            return Err(ArchiveError::NoBase { path: self.path().into(), given: first.path().into() });
        };
        if base.kind == BaseKind::Archive && !bases.iter().any(|given| given.identity().digest == base.digest) {
            let (wanted, found) = (base.into(), first.identity().into());
            return Err(ArchiveError::WrongBase { path: self.path().into(), wanted, given: first.path().into(), found });
        }
        self.bases = bases;
        Ok(self)
    }

    /// Reads what no base holds from whoever lends it. All of it is hashed first.
    pub fn borrow(mut self, lent: Lent, reporter: &dyn Reporter) -> Result<Self, ArchiveError> {
        let entries = lent.entries();
        let task = format!("verify what {} leaves out", self.path().display());
        let hashed = hash_entries(&*lent.medium, &entries.iter().collect::<Vec<_>>(), task, reporter);
        hashed.map_err(|flaw| ArchiveError::Lent { path: self.path().into(), flaw })?;
        self.lent = Some(lent);
        Ok(self)
    }

    /// What was left out and is neither in a base nor lent, with sizes.
    pub fn missing(&self) -> BTreeMap<Digest, u64> {
        let here = |digest: &Digest, size: u64| self.find_left_out(digest).is_some_and(|found| found.size == size);
        self.left_out().iter().filter(|(digest, size)| !here(digest, **size)).map(|(digest, size)| (digest.clone(), *size)).collect()
    }

    /// Who gives a blob that was left out, as it is told to people.
    pub fn giver(&self, digest: &Digest) -> Option<String> {
        let found = self.find_left_out(digest)?;
        Some(found.lent.map_or_else(|| found.path.display().to_string(), |blob| blob.place.clone()))
    }

    /// Where a blob that is missing was looked for besides the bases, and what was said there.
    pub fn tried(&self, digest: &Digest) -> &[String] {
        self.lent.as_ref().and_then(|lent| lent.tried.get(digest)).map_or(&[], Vec::as_slice)
    }

    /// Whether all that it leads to can be read, be it in the archive or elsewhere.
    pub fn is_complete(&self) -> bool {
        self.missing().is_empty()
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
        let place = self.find(digest)?;
        if place.size > self.read_max {
            return Err(ArchiveError::TooLargeToRead { digest: digest.clone(), size: place.size, max: self.read_max });
        }
        let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(usize::MAX)];
        let mut done = 0;
        while done < bytes.len() {
            match place.read_at(done as u64, &mut bytes[done..])? {
                0 => break,
                n => done += n,
            }
        }
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes.into()),
            found => Err(self.changed(digest, found)),
        }
    }

    /// Some bytes of a blob from an offset in it; 0 at its end. Several threads may read at a time.
    pub fn read_at(&self, digest: &Digest, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        self.find(digest)?.read_at(offset, buffer)
    }

    /// A blob that was verified and has other bytes by now.
    pub fn changed(&self, digest: &Digest, found: Digest) -> ArchiveError {
        match self.find(digest) {
            Ok(Found { lent: Some(blob), .. }) => ArchiveError::Lent { path: self.path().into(), flaw: Lent::changed(digest, blob, found) },
            Ok(place) => ArchiveError::Damaged { path: place.path.into(), flaw: Flaw::new(names::blob(digest), Fault::Digest { found }) },
            Err(error) => error,
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

    fn failed(&self, source: std::io::Error) -> ArchiveError {
        FileError::new("read", &self.opened.path, source).into()
    }

    fn find(&self, digest: &Digest) -> Result<Found<'_>, ArchiveError> {
        let place = self.find_own(digest).or_else(|| self.find_left_out(digest));
        place.ok_or_else(|| ArchiveError::NoSuchBlob { path: self.opened.path.clone(), digest: digest.clone() })
    }

    fn find_own(&self, digest: &Digest) -> Option<Found<'_>> {
        let (start, size) = self.locate(digest)?;
        Some(Found { medium: &*self.opened.medium, start, size, path: self.path(), lent: None })
    }

    fn find_left_out(&self, digest: &Digest) -> Option<Found<'_>> {
        let of_base = || self.bases.iter().find_map(|base| base.find_own(digest));
        let lent = || {
            let lent = self.lent.as_ref()?;
            let blob = lent.blobs.get(digest)?;
            Some(Found { medium: &*lent.medium, start: blob.offset, size: blob.size, path: Path::new(&blob.place), lent: Some(blob) })
        };
        of_base().or_else(lent)
    }
}

impl Found<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let left = self.size.saturating_sub(offset);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if n == 0 {
            return Ok(0);
        }
        let failed = |source| FileError::new("read", self.path, source).into();
        match self.medium.read_at(&mut buffer[..n], self.start + offset) {
            Ok(0) => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => Ok(n),
            Err(source) => Err(failed(source)),
        }
    }
}

impl Deref for Archive {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}
