//! Where an archive is written to: one file, or volumes. Bytes come by offset, from several threads; names are given at the end.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    ArchiveError, BuildError,
    volumes::{self, Cut, VOLUMES_MAX, Volume, VolumeList, VolumeSize},
};
use crate::{
    io::{self, FileError, NewFile, Written},
    oci::Digest,
    parallel,
};

/// The files of an archive in the making, for whoever writes into them.
#[derive(Debug)]
pub(crate) struct Parts {
    cut: Cut,
    files: Vec<(Arc<File>, PathBuf)>,
}

impl Parts {
    /// Writes bytes at an offset of the archive, in whichever files that is.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), FileError> {
        while !bytes.is_empty() {
            let run = self.cut.at(offset).expect("nothing is written behind the end of the layout");
            let n = usize::try_from(run.left).unwrap_or(usize::MAX).min(bytes.len());
            let (file, path) = &self.files[run.piece];
            io::write_all_at(file, &bytes[..n], run.offset).map_err(|source| FileError::new("write", path, source))?;
            bytes = &bytes[n..];
            offset += n as u64;
        }
        Ok(())
    }

    /// Fills the buffer from an offset of the archive.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), FileError> {
        let mut at = 0;
        while at < buffer.len() {
            let run = self.cut.at(offset + at as u64).expect("nothing is read behind the end of the layout");
            let n = usize::try_from(run.left).unwrap_or(usize::MAX).min(buffer.len() - at);
            let (file, path) = &self.files[run.piece];
            io::read_exact_at(file, &mut buffer[at..at + n], run.offset).map_err(|source| FileError::new("read", path, source))?;
            at += n;
        }
        Ok(())
    }

    /// Tells that a range of the archive is written and stays as it is.
    pub(crate) fn tell(&self, written: &Written, mut offset: u64, mut length: u64) {
        while length > 0 {
            let Some(run) = self.cut.at(offset) else { return };
            let n = run.left.min(length);
            written.range(&self.files[run.piece].0, run.offset, n);
            offset += n;
            length -= n;
        }
    }

    /// Bytes that the files have on the disk.
    pub(crate) fn allocated(&self) -> u64 {
        self.files.iter().map(|(_, path)| io::allocated(path)).sum()
    }

    fn have_lengths(&self) -> bool {
        self.files.iter().zip(self.cut.sizes()).all(|((file, _), size)| file.metadata().is_ok_and(|metadata| metadata.len() == size))
    }

    fn empty(&self) -> Result<(), FileError> {
        self.files.iter().try_for_each(|(file, path)| file.set_len(0).map_err(|source| FileError::new("write", path, source)))
    }

    /// Gives every file its length; what is not written reads as zero.
    fn set_lengths(&self) -> Result<(), FileError> {
        for ((file, path), size) in self.files.iter().zip(self.cut.sizes()) {
            file.set_len(size).map_err(|source| FileError::new("write", path, source))?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), FileError> {
        self.files.iter().try_for_each(|(file, path)| file.sync_all().map_err(|source| FileError::new("flush", path, source)))
    }

    /// The digest of every file.
    ///
    /// The bytes came in any order, and SHA-256 takes them only in theirs, so they are read back. They are in the page cache as a rule, several
    /// files are hashed at a time, and what is hashed is what the files hold.
    fn digests(&self) -> Result<Vec<Digest>, FileError> {
        let sized: Vec<_> = self.files.iter().zip(self.cut.sizes()).collect();
        let digests = parallel::map(volumes::AT_ONCE, &sized, |((file, path), size)| {
            let read = |buffer: &mut [u8], offset| io::read_exact_at(file, buffer, offset);
            volumes::digest(*size, read).map_err(|source| FileError::new("read", path, source))
        });
        digests.into_iter().collect()
    }
}

/// An archive that has no name yet. Dropped before [`Target::keep`], its files are removed.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    parts: Arc<Parts>,
    new: Vec<NewFile>,
    begun: bool,
    /// Volumes of an older archive of this name, behind the last one of ours; nothing if there are no volumes.
    volumes: Option<Vec<PathBuf>>,
}

impl Target {
    /// Opens the files of an archive; those that an earlier run has left in their whole length are taken up if `stays` says so, and stay as long as it
    /// does. All others are empty until [`Target::lengthen`].
    pub(crate) fn open(path: &Path, length: u64, volume: Option<VolumeSize>, stays: &Arc<AtomicBool>) -> Result<Self, ArchiveError> {
        let (cut, paths, volumes) = match volume {
            None => (Cut::whole(length), vec![path.to_owned()], None),
            Some(volume) => {
                let too_many = || BuildError::TooManyVolumes { size: length, volume: volume.bytes(), least: length.div_ceil(VOLUMES_MAX as u64) };
                let cut = Cut::every(volume.bytes(), length, VOLUMES_MAX).ok_or_else(too_many)?;
                let count = cut.sizes().count();
                let older = older_volumes(path, count)?;
                (cut, (1..=count).map(|number| volumes::part(path, number)).collect(), Some(older))
            }
        };
        let fresh = !stays.load(Ordering::Relaxed);
        let new = paths.iter().map(|path| NewFile::open(path, fresh, stays.clone())).collect::<Result<Vec<_>, _>>()?;
        let parts = Parts { cut, files: new.iter().map(|new| (new.file().clone(), new.part().to_owned())).collect() };
        let begun = !fresh && parts.have_lengths();
        if !begun {
            parts.empty()?;
        }
        Ok(Self { path: path.into(), parts: parts.into(), new, begun, volumes })
    }

    /// Gives each file its whole length, in holes.
    pub(crate) fn lengthen(&self) -> Result<(), ArchiveError> {
        Ok(self.parts.set_lengths()?)
    }

    /// Whether an earlier run has left all the files.
    pub(crate) fn was_begun(&self) -> bool {
        self.begun
    }

    /// Where to write.
    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// Where the archive will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes everything and gives it its name; `index` is the digest of index.json.
    ///
    /// Volumes get their list last, and lose an older one first: where a list is, its volumes are.
    pub(crate) fn keep(self, index: Digest) -> Result<(), ArchiveError> {
        let Self { path, parts, new, volumes, .. } = self;
        let Some(older) = volumes else {
            return Ok(new.into_iter().try_for_each(NewFile::keep)?);
        };
        parts.flush()?;
        let name = |number| volumes::part(&path, number).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let digests = parts.digests()?.into_iter().zip(parts.cut.sizes()).enumerate();
        let listed = digests.map(|(at, (digest, size))| Volume { name: name(at + 1), size, digest }).collect();
        let list = VolumeList::new(index, parts.cut.length(), listed);
        let list_path = volumes::list_beside(&path);
        io::remove_if_there(&list_path)?;
        io::remove_if_there(&volumes::signing_beside(&list_path))?;
        keep_all(new, &path)?;
        older.iter().try_for_each(|path| io::remove_if_there(path))?;
        Ok(io::write_atomic(&list_path, list.text().as_bytes())?)
    }
}

/// Names all volumes, or none.
fn keep_all(new: Vec<NewFile>, archive: &Path) -> Result<(), FileError> {
    for (named, file) in new.into_iter().enumerate() {
        if let Err(error) = file.keep() {
            // The first failure is what is told; what could not be removed has no list, and so is no archive.
            let _ = (1..=named).try_for_each(|number| io::remove_if_there(&volumes::part(archive, number)));
            return Err(error);
        }
    }
    Ok(())
}

/// What lies behind the last volume and would be joined to it by `cat NAME.*`. It is removed at the end if it belongs to an archive that is
/// replaced, and refused otherwise; and so is a whole archive of the same name, which every reader would take for the one that is meant.
fn older_volumes(archive: &Path, count: usize) -> Result<Vec<PathBuf>, ArchiveError> {
    let in_the_way = |path: &Path| ArchiveError::InTheWay { path: path.into(), archive: archive.into() };
    if archive.exists() {
        return Err(in_the_way(archive));
    }
    let found: Vec<PathBuf> = (count + 1..=VOLUMES_MAX).map(|number| volumes::part(archive, number)).filter(|path| path.exists()).collect();
    if found.is_empty() {
        return Ok(found);
    }
    let list = io::read_capped(&volumes::list_beside(archive), volumes::LIST_MAX).ok().and_then(|bytes| VolumeList::parse(&bytes).ok());
    let listed = |path: &Path| list.iter().flat_map(|list| &list.volumes).any(|volume| path.file_name().is_some_and(|name| name == volume.name.as_str()));
    match found.iter().find(|path| !listed(path)) {
        Some(stranger) => Err(in_the_way(stranger)),
        None => Ok(found),
    }
}
