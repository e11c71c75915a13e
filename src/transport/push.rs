//! Putting an archive into a registry, part by part. Parts that the registry has already are not sent again, so a push that broke goes on.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::{
    Place, Reach, TransportError, TransportProblem,
    parts::{self, EMPTY},
};
use crate::{
    archive::volumes::digest,
    io::{self, FileError},
    oci::{Descriptor, Digest, Reference, media_type},
    progress::{Event, SharedReporter},
    registry::Registries,
};

/// Parts that are sent at a time.
const AT_ONCE: usize = 4;
/// Read from the file at a time: what is sent in one request.
const PIECE: usize = 4 << 20;

/// What was put into a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// Where it is, as `verify` and `install` take it.
    pub reference: String,
    /// Digest of the artifact's manifest.
    pub digest: Digest,
    /// How many parts it has.
    pub parts: usize,
    /// Bytes that were sent; what the registry had already is left out.
    pub sent: u64,
}

/// Puts a complete archive into a registry, cut into parts of `part_size`. `annotations` tell people what it is.
pub async fn push(
    archive: &Path,
    to: &Reference,
    annotations: BTreeMap<String, String>,
    part_size: u64,
    reach: &Reach,
    reporter: &SharedReporter,
) -> Result<Pushed, TransportError> {
    let subject = Place::Registry(to.clone()).to_string();
    let failed = |problem| TransportError::new("push the archive to", subject.clone(), problem);
    let registries = parts::registries([to], reach);
    registries.may_push(to).await.map_err(|e| failed(Box::new(e).into()))?;
    let work = Work::new(archive, part_size, to.clone(), registries, reporter.clone()).map_err(|e| failed(e.into()))?;
    work.put_all(annotations, subject.clone()).await.map_err(failed)
}

struct Work {
    path: PathBuf,
    file: Arc<File>,
    name: String,
    size: u64,
    part_size: u64,
    to: Reference,
    registries: Registries,
    reporter: SharedReporter,
    done: AtomicU64,
    sent: AtomicU64,
}

impl Work {
    fn new(path: &Path, part_size: u64, to: Reference, registries: Registries, reporter: SharedReporter) -> Result<Self, FileError> {
        let failed = |source| FileError::new("open", path, source);
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (done, sent) = Default::default();
        Ok(Self { path: path.into(), file: file.into(), name, size, part_size: part_size.max(1), to, registries, reporter, done, sent })
    }

    async fn put_all(&self, annotations: BTreeMap<String, String>, subject: String) -> Result<Pushed, TransportProblem> {
        let task = format!("push {subject}");
        self.reporter.event(Event::Started { task: task.clone(), total: Some(self.size) });
        let count = usize::try_from(self.size.div_ceil(self.part_size)).unwrap_or(usize::MAX);
        let task = &task;
        let parts = futures::stream::iter(0..count).map(|number| async move { self.put(number, count, task).await });
        let parts: Vec<Descriptor> = parts.buffered(AT_ONCE).try_collect().await?;
        let empty = Descriptor::of(media_type::OCI_EMPTY, EMPTY);
        if !self.has(&empty.digest).await? {
            let content = || futures::stream::iter([Ok(Bytes::from_static(EMPTY))]);
            self.registries.put_blob(&self.to, &empty, content).await.map_err(Box::new)?;
        }
        let manifest = parts::manifest(parts, annotations)?;
        let digest = Digest::of(&manifest);
        // Last, so that the name never leads to an archive that is not whole.
        self.registries.put_manifest(&self.to, media_type::OCI_MANIFEST, manifest).await.map_err(Box::new)?;
        let sent = self.sent.load(Ordering::Relaxed);
        self.reporter.event(Event::Finished { task: task.clone(), note: format!("{count} parts, {sent} bytes sent") });
        Ok(Pushed { reference: subject, digest, parts: count, sent })
    }

    async fn has(&self, digest: &Digest) -> Result<bool, TransportProblem> {
        self.registries.has(&self.to, digest).await.map_err(|e| Box::new(e).into())
    }

    async fn put(&self, number: usize, count: usize, task: &str) -> Result<Descriptor, TransportProblem> {
        let start = number as u64 * self.part_size;
        let size = self.part_size.min(self.size - start);
        let digest = self.hash(start, size).await?;
        let part = parts::part(digest, size, parts::title(&self.name, number, count));
        if !self.has(&part.digest).await? {
            self.registries.put_blob(&self.to, &part, || pieces(self.file.clone(), start, size)).await.map_err(Box::new)?;
            self.sent.fetch_add(size, Ordering::Relaxed);
        }
        let done = self.done.fetch_add(size, Ordering::Relaxed) + size;
        self.reporter.event(Event::Advanced { task: task.to_owned(), done });
        Ok(part)
    }

    async fn hash(&self, start: u64, size: u64) -> Result<Digest, TransportProblem> {
        let file = self.file.clone();
        let hashing = tokio::task::spawn_blocking(move || digest(size, |buffer, offset| io::read_exact_at(&file, buffer, start + offset)));
        let hashed: std::io::Result<Digest> = hashing.await.map_err(|e| TransportProblem::System(std::io::Error::other(e)))?;
        hashed.map_err(|source| FileError::new("read", &self.path, source).into())
    }
}

/// A part's bytes, read as they are sent.
fn pieces(file: Arc<File>, start: u64, size: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold(0_u64, move |at| {
        let file = file.clone();
        async move {
            let n = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
            if n == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; n];
            // Of the page cache: it was hashed a moment ago.
            io::read_exact_at(&file, &mut piece, start + at)?;
            Ok(Some((Bytes::from(piece), at + n as u64)))
        }
    })
}
