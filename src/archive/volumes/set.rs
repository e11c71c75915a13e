//! Volumes that are read as one: found beside their list and in further folders, opened, and blamed when they are not what they should be.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    AT_ONCE, Cut, ListError, VolumeList, digest,
    list::LIST_MAX,
    names,
    sign::{Unfinished, UnfinishedError},
};
use crate::{
    archive::{
        ArchiveError,
        medium::{Medium, Signing},
    },
    io::{self, FileError},
    oci::Digest,
    parallel,
};

/// What is wrong with volumes; always with the name of the file that is to blame.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The list is none.
    #[error("`{}` is no list of volumes: {source}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ListError,
    },
    /// A volume without its list.
    #[error("`{}` is a volume, and the list of its archive, `{list}`, is not beside it", path.display())]
    NoList {
        /// The volume.
        path: PathBuf,
        /// The name that the list should have.
        list: String,
    },
    /// Signatures that were being changed when the run ended.
    #[error(
        "`{}` tells that signing `{}` was begun and never ended: what stands in the place of its signatures may be anything",
        path.display(),
        list.display()
    )]
    Unfinished {
        /// What tells so.
        path: PathBuf,
        /// The archive's list.
        list: PathBuf,
    },
    /// The same, and what was to be written cannot be told.
    #[error("`{}` should tell which signatures were being put into the volumes: {source}", path.display())]
    UnfinishedText {
        /// What tells so.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: UnfinishedError,
    },
    /// Volumes that are nowhere.
    #[error("of the {of} volumes of `{}`, {} {} missing; looked in {}", list.display(), missing.join(", "), if missing.len() == 1 { "is" } else { "are" }, shown(folders))]
    Missing {
        /// The list that names them.
        list: PathBuf,
        /// What they are called.
        missing: Vec<String>,
        /// How many volumes there should be.
        of: usize,
        /// Where they were looked for.
        folders: Vec<PathBuf>,
    },
    /// A volume with too few or too many bytes.
    #[error("volume {number} of {of}, `{}`, has {found} bytes and should have {wanted}: it is cut off, or of another archive", path.display())]
    Size {
        /// The volume.
        path: PathBuf,
        /// Which, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its size in the list.
        wanted: u64,
        /// Its size.
        found: u64,
    },
    /// A volume whose bytes are not those that were written.
    #[error("volume {number} of {of}, `{}`, is damaged, or of another archive: its bytes have the digest {found}, and should have {wanted}", path.display())]
    Content {
        /// The volume.
        path: PathBuf,
        /// Which, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its digest in the list.
        wanted: Digest,
        /// Its digest.
        found: Digest,
    },
    /// A first volume that does not begin the archive of the list.
    #[error("`{}` begins another archive than the list `{}` is of: its index.json has the digest {found}, the list says {wanted}", path.display(), list.display())]
    OtherArchive {
        /// The volume with index.json.
        path: PathBuf,
        /// The list.
        list: PathBuf,
        /// What the list says.
        wanted: Digest,
        /// What there is.
        found: Digest,
    },
}

fn shown(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}

/// The list that a path stands for: itself, that of the archive `NAME`, or that of the volume `NAME.001`. None if the path is a whole archive's.
pub(crate) fn list_of(path: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    if names::is_list(path) {
        return Some(path.into());
    }
    let archive = match names::archive_of_part(path) {
        Some(archive) => archive,
        None if path.exists() => return None,
        None => path.into(),
    };
    let beside = names::list_beside(&archive);
    if beside.exists() {
        return Some(beside);
    }
    let name = beside.file_name()?;
    folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
}

/// Whether a path names an archive in volumes, whose list may also be in further folders.
pub fn stands_for_volumes(path: &Path, folders: &[PathBuf]) -> bool {
    list_of(path, folders).is_some()
}

/// The files of an archive in volumes, its list last; none of one that is a file.
pub fn files_of(path: &Path) -> Result<Option<Vec<PathBuf>>, VolumeError> {
    let Some(list) = list_of(path, &[]) else { return Ok(None) };
    let set = VolumeSet::open(&list, path, &[], Purpose::Reading)?;
    Ok(Some(set.files.into_iter().map(|(_, path)| path).chain([list]).collect()))
}

/// What volumes are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be read: signatures must be whole.
    Reading,
    /// To be signed, which mends signatures that are not.
    Signing,
}

/// The volumes of an archive, open.
#[derive(Debug)]
pub(crate) struct VolumeSet {
    pub(super) list_path: PathBuf,
    pub(super) list: VolumeList,
    pub(super) cut: Cut,
    pub(super) files: Vec<(File, PathBuf)>,
    unfinished: Option<Unfinished>,
}

impl VolumeSet {
    /// Opens all volumes of a list, which lie beside it, beside the name that was given, or in further folders. Their sizes are looked at, their
    /// bytes are not.
    pub(crate) fn open(list_path: &Path, given: &Path, folders: &[PathBuf], purpose: Purpose) -> Result<Self, VolumeError> {
        let bytes = io::read_capped(list_path, LIST_MAX)?;
        let wrong = |source| VolumeError::List { path: list_path.into(), source };
        let list = VolumeList::parse(&bytes).map_err(wrong)?;
        let unfinished = Unfinished::read(list_path, &list)?;
        if unfinished.is_some() && purpose == Purpose::Reading {
            return Err(VolumeError::Unfinished { path: names::signing_beside(list_path), list: list_path.into() });
        }
        let cut = list.cut().ok_or_else(|| wrong(ListError::Size(list.size)))?;
        let mut places: Vec<PathBuf> = Vec::new();
        for folder in [io::folder_of(list_path), io::folder_of(given)].into_iter().chain(folders.iter().map(PathBuf::as_path)) {
            if !places.iter().any(|place| place == folder) {
                places.push(folder.to_owned());
            }
        }
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        for (at, volume) in list.volumes.iter().enumerate() {
            match find(&volume.name, volume.size, &places)? {
                Some((file, path, found)) if found == volume.size => files.push((file, path)),
                Some((_, path, found)) => return Err(VolumeError::Size { path, number: at + 1, of: list.volumes.len(), wanted: volume.size, found }),
                None => missing.push(volume.name.clone()),
            }
        }
        if !missing.is_empty() {
            return Err(VolumeError::Missing { list: list_path.into(), missing, of: list.volumes.len(), folders: places });
        }
        Ok(Self { list_path: list_path.into(), list, cut, files, unfinished })
    }

    /// Whether a signing was begun that never came to its end.
    pub(super) fn was_begun(&self) -> bool {
        self.unfinished.is_some()
    }

    /// What to say if index.json is not the one that the list speaks of.
    pub(crate) fn expectation(&self) -> impl FnOnce(Digest) -> Result<(), VolumeError> + use<> {
        let (wanted, list, path) = (self.list.index.clone(), self.list_path.clone(), self.files[0].1.clone());
        move |found| if found == wanted { Ok(()) } else { Err(VolumeError::OtherArchive { path, list, wanted, found }) }
    }
}

/// A volume of that name and size; if there is none, one of that name.
fn find(name: &str, size: u64, folders: &[PathBuf]) -> Result<Option<(File, PathBuf, u64)>, FileError> {
    let mut other = None;
    for path in folders.iter().map(|folder| folder.join(name)) {
        let failed = |source| FileError::new("open", &path, source);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("it is not a regular file")));
        }
        let found = (file, path, metadata.len());
        if found.2 == size {
            return Ok(Some(found));
        }
        other.get_or_insert(found);
    }
    Ok(other)
}

impl Medium for VolumeSet {
    fn length(&self) -> u64 {
        self.cut.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let Some(run) = self.cut.at(offset) else { return Ok(0) };
        let n = usize::try_from(run.left).unwrap_or(usize::MAX).min(buffer.len());
        io::read_at(&self.files[run.piece].0, &mut buffer[..n], run.offset)
    }

    fn sign(&self, signing: &Signing) -> Result<(), ArchiveError> {
        Ok(self.put(signing)?)
    }

    fn unfinished(&self) -> Option<&[Option<String>]> {
        self.unfinished.as_ref().map(Unfinished::signatures)
    }

    /// The first volume whose bytes are not those of its digest. They are all read, which only a fault is worth: the bytes of a sound archive are
    /// vouched for without the list.
    fn blame(&self) -> Option<VolumeError> {
        let of = self.files.len();
        let volumes: Vec<_> = self.list.volumes.iter().zip(&self.files).collect();
        let found = parallel::map(AT_ONCE, &volumes, |(volume, (file, _))| digest(volume.size, |buffer, offset| io::read_exact_at(file, buffer, offset)));
        found.into_iter().zip(volumes).enumerate().find_map(|(at, (found, (volume, (_, path))))| match found {
            Ok(found) if found == volume.digest => None,
            Ok(found) => Some(VolumeError::Content { path: path.clone(), number: at + 1, of, wanted: volume.digest.clone(), found }),
            Err(source) => Some(FileError::new("read", path, source).into()),
        })
    }
}
