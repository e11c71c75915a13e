//! A file, or a part of it, as the body of a request: read as it is sent, told as it goes, given up where the server takes nothing any more.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{Body, RequestBuilder, Response, header::CONTENT_LENGTH};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{TransportProblem, web};
use crate::{
    io::FileError,
    progress::{Event, SharedReporter},
};

/// Read from the file at a time.
const PIECE: u64 = 256 << 10;
/// Bytes between two reports.
const REPORT: u64 = 1 << 20;

/// A file that is on its way.
pub(super) struct Outgoing {
    path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    reporter: SharedReporter,
    stall: Duration,
}

impl Outgoing {
    /// Looks at a file. A server that takes none of it for `stall` has stalled.
    pub(super) fn new(path: &Path, stall: Duration, reporter: &SharedReporter) -> Result<Self, TransportProblem> {
        let size = std::fs::metadata(path).map_err(|source| FileError::new("read", path, source))?.len();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        reporter.event(Event::Started { task: task(&name), total: Some(size) });
        Ok(Self { path: path.into(), name, size, reporter: reporter.clone(), stall })
    }

    /// Sends a request with so many bytes from an offset on.
    pub(super) async fn send(&self, request: RequestBuilder, offset: u64, length: u64) -> Result<Response, TransportProblem> {
        let failed = |source| FileError::new("read", &self.path, source);
        let mut file = tokio::fs::File::open(&self.path).await.map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
        let taken = Arc::new(AtomicU64::new(0));
        let (counted, reporter, task) = (taken.clone(), self.reporter.clone(), task(&self.name));
        let pieces = futures::stream::try_unfold(file.take(length), move |mut file| {
            let (counted, reporter, task) = (counted.clone(), reporter.clone(), task.clone());
            async move {
                let mut piece = vec![0; usize::try_from(PIECE).unwrap_or_default()];
                let read = file.read(&mut piece).await?;
                piece.truncate(read);
                let before = counted.fetch_add(read as u64, Ordering::Relaxed);
                let now = before + read as u64;
                if before / REPORT != now / REPORT || read == 0 {
                    reporter.event(Event::Advanced { task, done: offset + now });
                }
                Ok::<_, std::io::Error>((read > 0).then_some((piece, file)))
            }
        });
        let sending = request.header(CONTENT_LENGTH, length).body(Body::wrap_stream(pieces)).send();
        self.patiently(sending, length, &taken).await
    }

    /// Waits for the answer as long as the server goes on taking; when it has everything, how long it may think is the client's.
    async fn patiently(&self, sending: impl Future<Output = reqwest::Result<Response>>, length: u64, taken: &AtomicU64) -> Result<Response, TransportProblem> {
        tokio::pin!(sending);
        let mut before = 0;
        loop {
            if let Ok(answer) = tokio::time::timeout(self.stall, &mut sending).await {
                return answer.map_err(web::connection);
            }
            let now = taken.load(Ordering::Relaxed);
            if now == before && now < length {
                return Err(TransportProblem::Connection(format!("the server has taken nothing for {:?}", self.stall)));
            }
            before = now;
        }
    }

    /// A line worth reading.
    pub(super) fn note(&self, text: String) {
        self.reporter.event(Event::Note(text));
    }

    /// Tells that all of it is there.
    pub(super) fn finished(&self) {
        self.reporter.event(Event::Finished { task: task(&self.name), note: format!("{} bytes", self.size) });
    }
}

fn task(name: &str) -> String {
    format!("send {name}")
}
