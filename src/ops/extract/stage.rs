//! Writes what was planned: into a folder beside its place, in pieces of a fixed size, each blob hashed once more on its way; then everything is renamed.

use std::{
    cell::Cell,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    ImageFormat, Written,
    error::ExtractError,
    plan::{Content, Plan},
};
use crate::{
    archive::{Archive, ArchiveError, Excerpt},
    failure::Failure,
    io::{self, FileError},
    oci::Digest,
    ops::verify::archive_failure,
    progress::{Event, Reporter},
};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;
/// Unit of a tar (POSIX, pax, "ustar Interchange Format").
const BLOCK: usize = 512;
/// The same as a size.
const BLOCK_U64: u64 = 512;
/// How the folder begins in which everything is until it is whole.
const PART: &str = ".part-";
/// How the progress is called.
const TASK: &str = "extract";

/// Writes everything below a folder, or nothing.
pub(super) fn write(archive: &Archive, folder: &Path, plan: &Plan, stop: &watch::Receiver<bool>, reporter: &dyn Reporter) -> Result<Vec<Written>, Failure> {
    let tops = tops(plan);
    let made = Made::folder(folder)?;
    for top in &tops {
        free(&folder.join(top))?;
    }
    let total = plan.files().map(|(_, content, _)| size(content)).sum();
    if let Some(free) = io::free_space(&folder.join("x")).map_err(ExtractError::File)?.filter(|free| *free < total) {
        return Err(ExtractError::NoSpace { path: folder.to_owned(), wanted: total, free }.into());
    }
    let failed = |source| ExtractError::File(FileError::new("create a folder in", folder, source));
    let stage = tempfile::Builder::new().prefix(PART).tempdir_in(folder).map_err(failed)?;
    reporter.event(Event::Started { task: TASK.to_owned(), total: Some(total) });
    let run = Run { archive, stop, reporter, done: Cell::new(0) };
    let written = run.files(plan, stage.path())?;
    reporter.event(Event::Finished { task: TASK.to_owned(), note: format!("{total} bytes") });
    settle(stage.path(), folder, &tops)?;
    made.keep();
    Ok(written)
}

/// What stands in the folder itself, each name once.
fn tops(plan: &Plan) -> Vec<String> {
    let mut tops: Vec<String> = plan.files().filter_map(|(path, ..)| path.as_str().split('/').next()).map(str::to_owned).collect();
    tops.sort();
    tops.dedup();
    tops
}

fn free(path: &Path) -> Result<(), ExtractError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(ExtractError::InTheWay { path: path.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::new("look at", path, source).into()),
    }
}

/// Gives everything its name. What was renamed before one could not be is removed: it is ours.
fn settle(stage: &Path, folder: &Path, tops: &[String]) -> Result<(), ExtractError> {
    for (at, top) in tops.iter().enumerate() {
        if let Err(error) = rename_new(&stage.join(top), &folder.join(top)) {
            for top in &tops[..at] {
                let path = folder.join(top);
                // What cannot be removed is whole at least, and the error tells what happened.
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
            return Err(error);
        }
    }
    Ok(io::sync_parent(&folder.join("x"))?)
}

/// Renames to a name that nothing has; somebody may have taken it meanwhile.
fn rename_new(from: &Path, to: &Path) -> Result<(), ExtractError> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(ExtractError::InTheWay { path: to.to_owned() }),
            // Not every file system can; then looking has to do.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(FileError::new("rename to", to, error.into()).into()),
        }
    }
    free(to)?;
    Ok(io::rename(from, to)?)
}

/// Folders that were made for this, removed again unless it ends well.
struct Made(Vec<PathBuf>);

impl Made {
    fn folder(folder: &Path) -> Result<Self, ExtractError> {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(Self(Vec::new())),
            Ok(_) => return Err(ExtractError::NoFolder { path: folder.to_owned() }),
            Err(_) => {}
        }
        let missing = folder.ancestors().filter(|path| !path.as_os_str().is_empty()).take_while(|path| fs::symlink_metadata(path).is_err());
        let made = Self(missing.map(Path::to_owned).collect());
        fs::create_dir_all(folder).map_err(|source| FileError::new("create", folder, source))?;
        Ok(made)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One that is not empty is somebody else's by now.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Bytes that a file will have, as far as that is known before.
fn size(content: &Content) -> u64 {
    match content {
        Content::Bytes(bytes) | Content::Script(bytes) => bytes.len() as u64,
        Content::Blob(_, size) => *size,
        Content::Images(excerpt, format) => {
            let documents = documents(excerpt, *format).map(|(_, bytes)| bytes.len() as u64);
            let sizes = documents.chain(excerpt.blobs.iter().map(|(_, size)| *size));
            sizes.map(|size| BLOCK_U64 + size.next_multiple_of(BLOCK_U64)).sum::<u64>() + 2 * BLOCK_U64
        }
        Content::Sums => 0,
    }
}

fn documents(excerpt: &Excerpt, format: ImageFormat) -> impl Iterator<Item = &(&'static str, bytes::Bytes)> {
    let docker = (format == ImageFormat::DockerArchive).then_some(&excerpt.docker_list);
    excerpt.layout.iter().chain(docker)
}

/// One extraction.
struct Run<'a> {
    archive: &'a Archive,
    stop: &'a watch::Receiver<bool>,
    reporter: &'a dyn Reporter,
    done: Cell<u64>,
}

impl Run<'_> {
    fn files(&self, plan: &Plan, stage: &Path) -> Result<Vec<Written>, Failure> {
        let mut written: Vec<Written> = Vec::new();
        for piece in &plan.pieces {
            written.push(Written { kind: piece.kind, path: piece.path.clone(), of: piece.of.clone(), size: 0, digest: None });
        }
        let mut sums = String::new();
        for (path, content, piece) in plan.files() {
            let mut sink = self.create(&stage.join(path.as_str()), matches!(content, Content::Script(_)))?;
            match content {
                Content::Bytes(bytes) | Content::Script(bytes) => sink.write(bytes)?,
                Content::Blob(digest, size) => self.blob(digest, *size, &mut sink)?,
                Content::Images(excerpt, format) => self.images(excerpt, *format, &mut sink)?,
                Content::Sums => sink.write(sums.as_bytes())?,
            }
            let (digest, size) = sink.finish()?;
            // Writing to a String cannot fail.
            let _ = writeln!(sums, "{}  {path}", digest.hex());
            let piece = &mut written[piece];
            piece.size += size;
            piece.digest = (piece.path == path.as_str()).then_some(digest);
        }
        written.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(written)
    }

    /// A file that was not there before, in folders that are ours.
    fn create(&self, path: &Path, runs: bool) -> Result<Sink<'_>, ExtractError> {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(|source| FileError::new("create", parent, source))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(if runs { 0o755 } else { 0o644 });
        }
        // Elsewhere files have no such mark.
        #[cfg(not(unix))]
        let _ = runs;
        let file = options.open(path).map_err(|source| FileError::new("create", path, source))?;
        Ok(Sink { run: self, file, path: path.to_owned(), hasher: Sha256::new(), size: 0 })
    }

    /// A blob, hashed again: the archive may have changed since it was verified.
    fn blob(&self, digest: &Digest, size: u64, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let (mut hasher, mut at) = (Sha256::new(), 0);
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(CHUNK).clamp(1, CHUNK)];
        loop {
            let n = self.archive.read_at(digest, at, &mut buffer).map_err(archive_failure)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            sink.write(&buffer[..n])?;
            at += n as u64;
        }
        let found = Digest::from_raw(&hasher.finalize().into());
        if found == *digest && at == size {
            return Ok(());
        }
        Err(match self.archive.changed(digest, found.clone()) {
            error @ ArchiveError::Lent { .. } => archive_failure(error),
            _ => ExtractError::Changed { digest: digest.clone(), found }.into(),
        })
    }

    /// A tar with an image layout. Its headers are the same whenever it is made.
    fn images(&self, excerpt: &Excerpt, format: ImageFormat, sink: &mut Sink<'_>) -> Result<(), Failure> {
        for (name, bytes) in documents(excerpt, format) {
            sink.write(&header(name, bytes.len() as u64))?;
            sink.write(bytes)?;
            sink.pad(bytes.len() as u64)?;
        }
        for (digest, size) in &excerpt.blobs {
            sink.write(&header(&Excerpt::place(digest), *size))?;
            self.blob(digest, *size, sink)?;
            sink.pad(*size)?;
        }
        sink.write(&[0; 2 * BLOCK])?;
        Ok(())
    }
}

/// The header of a regular file; names of ours fit into it.
fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut header = tar::Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    let bytes = &name.as_bytes()[..name.len().min(field.len())];
    field[..bytes.len()].copy_from_slice(bytes);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// A file that is being written.
struct Sink<'a> {
    run: &'a Run<'a>,
    file: File,
    path: PathBuf,
    hasher: Sha256,
    size: u64,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        if *self.run.stop.borrow() {
            return Err(ExtractError::Interrupted);
        }
        self.file.write_all(bytes).map_err(|source| FileError::new("write", &self.path, source))?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let done = self.run.done.get() + bytes.len() as u64;
        self.run.done.set(done);
        self.run.reporter.event(Event::Advanced { task: TASK.to_owned(), done });
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), ExtractError> {
        let zeros = [0; BLOCK];
        let left = usize::try_from(size.next_multiple_of(BLOCK_U64) - size).unwrap_or_default();
        self.write(&zeros[..left])
    }

    /// Flushes it to the disk; its digest and size.
    fn finish(self) -> Result<(Digest, u64), ExtractError> {
        self.file.sync_all().map_err(|source| FileError::new("flush", &self.path, source))?;
        Ok((Digest::from_raw(&self.hasher.finalize().into()), self.size))
    }
}
