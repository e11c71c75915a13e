//! Whole files.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::FileError;

/// Reads a file that may hold at most `max` bytes.
pub fn read_capped(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::new("read", path, source);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more shows that there is more, whatever the metadata said.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLarge { path: path.into(), max });
    }
    Ok(bytes)
}

/// The same for text.
pub fn read_capped_text(path: &Path, max: u64) -> Result<String, FileError> {
    String::from_utf8(read_capped(path, max)?).map_err(|_| FileError::NotText { path: path.into() })
}

/// Writes a file so that its path holds either what it held or all of `bytes`.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, readable)
}

/// The same for a file that only its owner may read.
pub fn write_private_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    // Temporary files are so from the start.
    replace(path, bytes, |_| Ok(()))
}

fn replace(path: &Path, bytes: &[u8], finish: fn(&File) -> std::io::Result<()>) -> Result<(), FileError> {
    let failed = |source| FileError::new("write", path, source);
    let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(folder_of(path)).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    finish(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_parent(path)
}

/// What temporary files lack: others may read the result.
#[cfg(unix)]
fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Makes a new file that only its owner may read; an existing one is an error.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create_new(path, bytes, 0o600)
}

/// Makes a new file that everybody may read; an existing one is an error.
pub fn create_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create_new(path, bytes, 0o644)
}

fn create_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let failed = |source| FileError::new("create", path, source);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    set_mode(&mut options, mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| FileError::new("write", path, source))
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(mode);
}

#[cfg(not(unix))]
fn set_mode(_: &mut OpenOptions, _: u32) {}

/// Renames a file, replacing what was there.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(|source| FileError::new("rename to", to, source))
}

/// Removes a file; none there is as good.
pub fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("remove", path, source)),
        _ => Ok(()),
    }
}

/// Makes a rename survive a power cut.
pub fn sync_parent(path: &Path) -> Result<(), FileError> {
    if cfg!(unix) {
        let folder = folder_of(path);
        File::open(folder).and_then(|f| f.sync_all()).map_err(|source| FileError::new("sync", folder, source))?;
    }
    Ok(())
}

/// The folder of a path; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder, and those above it, into which nobody else looks.
pub fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Bytes that may still be written next to `path`; none where the system does not tell.
#[cfg(unix)]
pub fn free_space(path: &Path) -> Result<Option<u64>, FileError> {
    let folder = folder_of(path);
    let stat = rustix::fs::statvfs(folder).map_err(|source| FileError::new("ask for the free space of", folder, source.into()))?;
    Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Bytes that may still be written next to `path`; none where the system does not tell.
#[cfg(not(unix))]
pub fn free_space(_: &Path) -> Result<Option<u64>, FileError> {
    Ok(None)
}

/// Bytes that a file has on the disk, holes not counted; none of a file that is not there.
#[cfg(unix)]
pub fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map_or(0, |metadata| metadata.blocks().saturating_mul(512))
}

/// Bytes that a file has on the disk, as far as the system tells.
#[cfg(not(unix))]
pub fn allocated(_: &Path) -> u64 {
    0
}

/// The name of a file in the making.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// A file in the making, under another name beside its place. Dropped before [`NewFile::keep`], it is removed, unless it is to stay.
#[derive(Debug)]
pub struct NewFile {
    file: Arc<File>,
    part: PathBuf,
    path: PathBuf,
    kept: bool,
    stays: Arc<AtomicBool>,
}

impl NewFile {
    /// Begins `path` as `path.part`; one that an earlier run left is overwritten.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Self::open(path, true, Arc::default())
    }

    /// The same with what an earlier run has left, unless it is to be `fresh`. It stays when it is dropped while `stays` says so.
    pub fn open(path: &Path, fresh: bool, stays: Arc<AtomicBool>) -> Result<Self, FileError> {
        let part = part_of(path);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(fresh).open(&part);
        let file = opened.map_err(|source| FileError::new("create", &part, source))?;
        Ok(Self { file: file.into(), part, path: path.into(), kept: false, stays })
    }

    /// The open file, to write by offset from several threads.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Where it lies until it is kept.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Flushes it to the disk and gives it its name.
    pub fn keep(mut self) -> Result<(), FileError> {
        if let Err(source) = self.file.sync_all() {
            // Some file systems find out only now that they are full.
            self.stays.store(true, Ordering::Relaxed);
            return Err(FileError::new("flush", &self.part, source));
        }
        rename(&self.part, &self.path)?;
        self.kept = true;
        sync_parent(&self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept && !self.stays.load(Ordering::Relaxed) {
            // There is nobody to tell, and what remains is named `.part`.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"12345").unwrap();
        assert_eq!(read_capped(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_capped(&path, 4), Err(FileError::TooLarge { max: 4, .. })));
        write_atomic(&path, b"\xff").unwrap();
        assert!(matches!(read_capped_text(&path, 4), Err(FileError::NotText { .. })));
        let missing = read_capped(&folder.path().join("b"), 1).unwrap_err();
        assert!(missing.is_not_found() && missing.to_string().contains("/b`"), "{missing}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_new_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        drop(NewFile::create(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        NewFile::create(&path).unwrap().keep().unwrap();
        assert!(path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_private_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        create_private(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(create_private(&path, b"y").is_err());
        assert!(free_space(&path).unwrap().unwrap() > 0);
    }
}
