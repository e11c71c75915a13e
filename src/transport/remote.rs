//! An archive elsewhere as a [`Medium`]: reads become ranges, several at a time, from threads that know nothing of the network.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::{
    Place, Reach, TransportError, TransportProblem,
    cache::{AHEAD, BLOCK, Cache},
    http::WebFile,
    parts::Parts,
    volumes::Volumes,
};
use crate::archive::{Medium, VolumeError, read_exact_at, volumes::digest};

/// Reads from this size on go past the cache.
const LARGE: usize = 128 << 10;
/// The most that is asked for at a time.
const ASK_MAX: usize = 4 << 20;

enum Source {
    Web(Box<WebFile>),
    Registry(Box<Parts>),
    Volumes(Box<Volumes>),
}

impl Source {
    async fn range(&self, offset: u64, length: usize) -> Result<Bytes, TransportProblem> {
        match self {
            Self::Web(file) => file.range(offset, length).await,
            Self::Registry(parts) => parts.range(offset, length).await,
            Self::Volumes(volumes) => volumes.range(offset, length).await,
        }
    }
}

/// An archive on a web server or in a registry.
struct Remote {
    /// Of its own: reads come from threads of other runtimes, and from none. Always there until this is dropped.
    runtime: Option<Runtime>,
    source: Arc<Source>,
    name: String,
    length: u64,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("name", &self.name).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not wait for its threads where it is dropped inside another.
            runtime.shutdown_background();
        }
    }
}

/// An archive's bytes, and the name that stands for them.
pub type Named = (PathBuf, Box<dyn Medium>);

/// Opens an archive elsewhere, with the name that stands for it in messages. A file of this machine is none.
pub fn open(place: &Place, reach: &Reach) -> Result<Option<Named>, TransportError> {
    if matches!(place, Place::File(_)) {
        return Ok(None);
    }
    let name = place.to_string();
    let failed = |problem| TransportError::new("read", name.clone(), problem);
    let (place, reach) = (place.clone(), reach.clone());
    let (runtime, (source, length, first)) = begin(async move { connect(place, reach).await }).map_err(failed)?;
    let mut cache = Cache::default();
    cache.put(0, &first, length);
    let remote = Remote { runtime: Some(runtime), source: Arc::new(source), name: name.clone(), length, cache: Mutex::new(cache) };
    Ok(Some((name.into(), Box::new(remote))))
}

/// Does something on a runtime of its own, which is given back with what came of it.
pub(super) fn begin<T: Send + 'static>(work: impl Future<Output = Result<T, TransportProblem>> + Send + 'static) -> Result<(Runtime, T), TransportProblem> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("archive").enable_all().build().map_err(TransportProblem::System)?;
    match wait(&runtime, work) {
        Ok(done) => Ok((runtime, done)),
        Err(problem) => {
            runtime.shutdown_background();
            Err(problem)
        }
    }
}

/// Blobs in registries, joined. `name` stands for them in messages.
pub(super) fn of_blobs(runtime: Runtime, parts: Parts, name: String) -> Box<dyn Medium> {
    let length = parts.length();
    let source = Arc::new(Source::Registry(Box::new(parts)));
    Box::new(Remote { runtime: Some(runtime), source, name, length, cache: Mutex::default() })
}

async fn connect(place: Place, reach: Reach) -> Result<(Source, u64, Bytes), TransportProblem> {
    match &place {
        Place::Registry(reference) => {
            let parts = Parts::open(reference, &reach).await?;
            let length = parts.length();
            Ok((Source::Registry(Box::new(parts)), length, Bytes::new()))
        }
        Place::Web(url) if Volumes::are_at(url) => {
            let volumes = Volumes::open(url, &reach).await?;
            let length = volumes.length();
            Ok((Source::Volumes(Box::new(volumes)), length, Bytes::new()))
        }
        Place::Web(url) => {
            let first = usize::try_from(BLOCK).unwrap_or(usize::MAX);
            let (file, length, first) = WebFile::open(url, &reach, first).await?;
            Ok((Source::Web(Box::new(file)), length, first))
        }
        Place::File(path) => Err(TransportProblem::Reference(format!("`{}` is a file", path.display()))),
    }
}

/// Waits for work on another runtime, from wherever this is called.
fn wait<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = Result<T, TransportProblem>> + Send + 'static) -> Result<T, TransportProblem> {
    let (send, receive) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody listens only where the process ends.
        let _ = send.send(work.await);
    });
    receive.recv().unwrap_or_else(|_| Err(TransportProblem::Connection("the connection was given up".to_owned())))
}

impl Remote {
    fn fetch(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let source = self.source.clone();
        let runtime = self.runtime.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        let fetched = wait(runtime, async move { source.range(offset, length).await });
        match fetched {
            Ok(bytes) if bytes.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => Ok(bytes),
            Err(problem) => Err(std::io::Error::other(TransportError::new("read", self.name.clone(), problem))),
        }
    }

    /// A block, with those behind it where the one before it was read already.
    fn block(&self, number: u64) -> std::io::Result<Bytes> {
        let going_on = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(block) = cache.get(number) {
                return Ok(block);
            }
            number > 0 && cache.has(number - 1)
        };
        let start = number * BLOCK;
        let wanted = (if going_on { AHEAD * BLOCK } else { BLOCK }).min(self.length - start);
        let whole = usize::try_from(BLOCK.min(wanted)).unwrap_or(ASK_MAX);
        let mut bytes = self.fetch(start, usize::try_from(wanted).unwrap_or(ASK_MAX))?;
        // An answer may be shorter than what was asked for: the parts of an archive in a registry end anywhere.
        while bytes.len() < whole {
            let more = self.fetch(start + bytes.len() as u64, whole - bytes.len())?;
            bytes = [bytes, more].concat().into();
        }
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(number, &bytes, self.length);
        Ok(bytes)
    }
}

impl Medium for Remote {
    fn length(&self) -> u64 {
        self.length
    }

    fn blame(&self) -> Option<VolumeError> {
        let Source::Volumes(volumes) = &*self.source else { return None };
        volumes.blame(|start, size| digest(size, |buffer, offset| read_exact_at(self, buffer, start + offset)).ok())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left).min(ASK_MAX);
        if wanted == 0 {
            return Ok(0);
        }
        if wanted >= LARGE {
            let bytes = self.fetch(offset, wanted)?;
            buffer[..bytes.len()].copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
        let block = self.block(offset / BLOCK)?;
        let at = usize::try_from(offset % BLOCK).unwrap_or(usize::MAX);
        let found = block.get(at..).filter(|rest| !rest.is_empty()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let n = found.len().min(wanted);
        buffer[..n].copy_from_slice(&found[..n]);
        Ok(n)
    }
}
