//! Layers into their places: several at a time, the largest first, each byte once, hashed on the way.
//!
//! A layer comes from where it is had at the least cost: what an earlier run has written, what the store has kept, and then its source.

use std::{error::Error, io::Read as _, sync::Arc};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    blocking,
    resolve::{Origins, Resolved},
};
use crate::{
    archive::{ArchiveError, LayerWriter, Writer},
    failure::{Failure, Kind},
    io::FileError,
    oci::{Descriptor, Digest, Reference},
    ops::{
        prepare::{registry_failure, source_failure},
        verify::archive_failure,
    },
    progress::{Event, SharedReporter},
    registry::{BlobSink, Problem, Registries, RegistryError, Turn},
    source::LocalArchive,
    store::{NewBlob, Store},
};

/// Files that are read at a time.
const COPIES: usize = 2;
/// Bytes between two reports of a layer.
const REPORT: u64 = 1 << 20;
/// Bytes that are read from the store at a time.
const READ: usize = 1 << 20;

/// Where layers come from.
pub(super) struct Sources {
    /// Who has which layer.
    pub(super) resolved: Resolved,
    /// Where to pull.
    pub(super) registries: Arc<Registries>,
    /// What was pulled before, and where to keep what is pulled.
    pub(super) store: Option<Store>,
}

/// A layer's place, telling how far it is.
struct Place {
    writer: LayerWriter,
    /// The same bytes, for the next export.
    copy: Option<NewBlob>,
    reporter: SharedReporter,
    task: String,
    told: u64,
}

impl BlobSink for Place {
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.writer.write(chunk)?;
        if let Some(copy) = &mut self.copy
            && let Err(error) = copy.write(chunk)
        {
            tracing::warn!(%error, "not kept");
            self.copy = None;
        }
        let done = self.writer.written();
        if done - self.told >= REPORT || done == self.writer.size() {
            self.told = done;
            self.reporter.event(Event::Advanced { task: self.task.clone(), done });
        }
        Ok(())
    }

    fn written(&self) -> u64 {
        self.writer.written()
    }

    fn restart(&mut self) {
        self.told = 0;
        self.copy = None;
        self.writer.restart();
    }

    fn digest(&self) -> Digest {
        self.writer.digest()
    }
}

/// A layer whose source nobody knows: a fault of ours, never of a person.
#[derive(Debug, thiserror::Error)]
#[error("nothing says where the layer {0} comes from")]
struct NoSource(Digest);

/// A layer that is to be written.
struct Job {
    place: Place,
    layer: Descriptor,
    origin: Origins,
}

/// What a job has waited for.
enum Ready {
    /// It is in its place already.
    Done,
    Pull(Turn, Reference),
    Copy(OwnedSemaphorePermit, Arc<LocalArchive>),
}

/// What all jobs share.
struct Shared {
    registries: Arc<Registries>,
    store: Option<Store>,
    copies: Arc<Semaphore>,
}

/// Fills all places. The first failure ends it, and so does dropping the future: no task outlives it. What a failure that may pass has left
/// undone stays for another run.
pub(super) async fn fill(writer: &Writer, sources: Sources, reporter: &SharedReporter) -> Result<(), Failure> {
    let Sources { resolved, registries, store } = sources;
    let shared = Arc::new(Shared { registries, store, copies: Arc::new(Semaphore::new(COPIES)) });
    // Waiting is done here, in one task and in the order of the sizes; so the largest have the first turns.
    let mut waiting = FuturesUnordered::new();
    for (digest, size) in writer.pending() {
        let origin = resolved.layers.get(&digest).cloned().ok_or_else(|| Failure::new(Kind::Other, NoSource(digest.clone())))?;
        let task = digest.short().to_owned();
        let place = Place { writer: writer.layer(&digest).map_err(archive_failure)?, copy: None, reporter: reporter.clone(), task, told: 0 };
        // Only the digest counts for pulling; what the layer is was written into the manifests.
        waiting.push(shared.ready(Job { place, layer: Descriptor::new("", digest, size), origin }));
    }
    let mut tasks = JoinSet::new();
    loop {
        let ended = tokio::select! {
            Some(ready) = waiting.next() => match ready {
                Ok((job, ready)) => {
                    let shared = shared.clone();
                    tasks.spawn(async move { job.run(ready, &shared).await });
                    Ok(())
                }
                Err(failed) => Err(failed),
            },
            Some(done) = tasks.join_next() => done.unwrap_or_else(|error| Err(FillError::Other(Failure::new(Kind::Other, error)))),
            else => break,
        };
        ended.map_err(|failed| failed.tell(writer))?;
    }
    drop(waiting);
    if let Some(store) = shared.store.clone() {
        blocking(move || {
            store.tidy();
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Why a layer is not in its place.
enum FillError {
    Pull(RegistryError),
    Other(Failure),
}

impl FillError {
    /// As it is told, after deciding what becomes of what is written.
    fn tell(self, writer: &Writer) -> Failure {
        let error = match self {
            Self::Other(failure) => return failure,
            Self::Pull(error) => error,
        };
        if error.may_pass() {
            writer.leave();
            return registry_failure(error).hint("what is written stays beside the archive as `.part`: the same command goes on there");
        }
        let RegistryError { action, subject, host, problem } = error;
        match *problem {
            Problem::Sink(source) => match source.downcast::<ArchiveError>() {
                Ok(error) => writing_failure(*error),
                Err(source) => registry_failure(RegistryError { action, subject, host, problem: Box::new(Problem::Sink(source)) }),
            },
            problem => registry_failure(RegistryError { action, subject, host, problem: Box::new(problem) }),
        }
    }
}

/// A disk that cannot be written to is nobody's fault but the disk's.
pub(super) fn writing_failure(error: ArchiveError) -> Failure {
    let full = matches!(&error, ArchiveError::File(FileError::Io { source, .. }) if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded));
    let failure = archive_failure(error);
    if full { failure.hint("make room and run the same command again: it goes on where it stopped (what is written stays as `.part`)") } else { failure }
}

impl Shared {
    /// Waits for a job's turn, unless what an earlier run has written, or the store has kept, is enough.
    async fn ready(&self, mut job: Job) -> Result<(Job, Ready), FillError> {
        if job.place.writer.was_begun() || self.store.as_ref().is_some_and(|store| store.has(&job.layer.digest)) {
            let _permit = self.permit().await;
            let store = self.store.clone();
            let tried = blocking(move || {
                let done = job.try_local(store.as_ref())?;
                Ok((job, done))
            });
            let done;
            (job, done) = tried.await.map_err(FillError::Other)?;
            if done {
                return Ok((job, Ready::Done));
            }
        }
        let ready = match &job.origin {
            Origins::Registry(image) => Ready::Pull(self.registries.layer_turn(image).await.map_err(FillError::Pull)?, image.clone()),
            Origins::Local(archive) => Ready::Copy(self.permit().await, archive.clone()),
        };
        Ok((job, ready))
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        self.copies.clone().acquire_owned().await.expect("the semaphore is never closed")
    }
}

impl Job {
    /// Takes what this machine has already. Tells whether that was all of it; what is damaged is forgotten.
    fn try_local(&mut self, store: Option<&Store>) -> Result<bool, Failure> {
        if self.place.writer.was_begun() && self.place.writer.take_up().map_err(archive_failure)? {
            begin(&self.place);
            return Ok(true);
        }
        let Some(store) = store else { return Ok(false) };
        let Some(mut file) = store.open(&self.layer.digest, self.layer.size) else { return Ok(false) };
        self.place.restart();
        begin(&self.place);
        let mut buffer = vec![0; READ];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => self.place.write(&buffer[..n]).map_err(sink_failure)?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let good = self.place.digest() == self.layer.digest;
        if !good {
            store.remove(&self.layer.digest);
            self.place.restart();
        }
        Ok(good)
    }

    async fn run(mut self, ready: Ready, shared: &Shared) -> Result<(), FillError> {
        match ready {
            Ready::Done => {}
            Ready::Pull(turn, image) => {
                begin(&self.place);
                // Only a whole blob is kept: what an earlier run has written is in the archive alone.
                if self.place.written() == 0 {
                    self.place.copy = shared.store.as_ref().and_then(|store| store.begin(&self.layer.digest, self.layer.size));
                }
                shared.registries.layer_in_turn(turn, &image, &self.layer, &mut self.place).await.map_err(FillError::Pull)?;
            }
            Ready::Copy(permit, archive) => {
                self = blocking(move || {
                    let _permit = permit;
                    // Archives are read from the start.
                    self.place.restart();
                    begin(&self.place);
                    archive.layer(&self.layer.digest, &mut self.place).map_err(source_failure)?;
                    Ok(self)
                })
                .await
                .map_err(FillError::Other)?;
            }
        }
        end(self.place).map_err(FillError::Other)
    }
}

fn sink_failure(error: Box<dyn Error + Send + Sync>) -> Failure {
    match error.downcast::<ArchiveError>() {
        Ok(error) => writing_failure(*error),
        Err(error) => Failure::new(Kind::Other, error),
    }
}

fn begin(place: &Place) {
    place.reporter.event(Event::Started { task: place.task.clone(), total: Some(place.writer.size()) });
}

/// The writer holds digest and size against the descriptor; a source that sends something else has failed.
fn end(place: Place) -> Result<(), Failure> {
    let Place { writer, copy, reporter, task, .. } = place;
    let size = writer.size();
    writer.finish().map_err(|error| Failure::new(Kind::Source, error))?;
    if let Some(copy) = copy {
        copy.keep();
    }
    reporter.event(Event::Finished { task, note: format!("{size} bytes") });
    Ok(())
}
