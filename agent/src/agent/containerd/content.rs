//! The content store: what is there, resumable writes, labels.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{Containerd, messages, unless_exists};
use crate::error::{Error, Result};

/// How long to wait for another writer of the same blob. One that vanished lets go as soon as its process has ended.
const LOCKED_MAX: Duration = Duration::from_mins(2);

/// Manifests and configs that are read into memory (distribution-spec asks registries for 4 MiB).
const DOCUMENT_MAX: usize = 4 << 20;

/// Pieces of messages that wait to be sent: each message has a head and its data.
const PIECES: usize = 4;

/// Labels are strings by name.
pub(crate) type Labels = HashMap<String, String>;

/// Name of the unfinished write of a blob: the same for every run, so that a later one goes on where an earlier one stopped.
fn ingest(digest: &str) -> String {
    format!("offline-{digest}")
}

/// containerd's sizes are signed.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl Containerd {
    /// Labels of a blob, or nothing if it is not there.
    pub(crate) async fn labels(&self, digest: &str) -> Result<Option<Labels>> {
        let question = messages::InfoRequest { digest: digest.to_owned() };
        match self.unary::<_, messages::InfoResponse>("/containerd.services.content.v1.Content/Info", question).await {
            Ok(answer) => Ok(Some(answer.info.unwrap_or_default().labels)),
            Err(e) if e.code() == Code::NotFound => Ok(None),
            Err(e) => Err(Error::runtime(format!("looking for {digest}"), &e)),
        }
    }

    /// Size of a blob, or nothing if it is not there.
    pub(crate) async fn size(&self, digest: &str) -> Result<Option<u64>> {
        let question = messages::InfoRequest { digest: digest.to_owned() };
        match self.unary::<_, messages::InfoResponse>("/containerd.services.content.v1.Content/Info", question).await {
            Ok(answer) => Ok(Some(answer.info.and_then(|info| u64::try_from(info.size).ok()).unwrap_or(0))),
            Err(e) if e.code() == Code::NotFound => Ok(None),
            Err(e) => Err(Error::runtime(format!("looking for {digest}"), &e)),
        }
    }

    /// Adds labels to a blob; those that it has are left alone, and nothing is written when it has them all.
    pub(crate) async fn label(&self, digest: &str, labels: Labels) -> Result<()> {
        let has = self.labels(digest).await?.unwrap_or_default();
        let labels: Labels = labels.into_iter().filter(|(key, value)| has.get(key) != Some(value)).collect();
        if labels.is_empty() {
            return Ok(());
        }
        let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
        let info = Some(messages::Info { digest: digest.to_owned(), size: 0, labels });
        let question = messages::UpdateInfo { info, mask: Some(messages::FieldMask { paths }) };
        let done: std::result::Result<messages::InfoResponse, Status> = self.unary("/containerd.services.content.v1.Content/Update", question).await;
        done.map(|_| ()).map_err(|e| Error::runtime(format!("labelling {digest}"), &e))
    }

    /// How many bytes of a blob an unfinished write has.
    pub(crate) async fn ingested(&self, digest: &str) -> u64 {
        let question = messages::IngestRef { reference: ingest(digest) };
        let answer: std::result::Result<messages::StatusResponse, Status> = self.unary("/containerd.services.content.v1.Content/Status", question).await;
        answer.ok().and_then(|a| a.status).and_then(|s| u64::try_from(s.offset).ok()).unwrap_or(0)
    }

    /// A blob's bytes from an offset on, in pieces of containerd's choosing.
    pub(crate) async fn read(&self, digest: &str, offset: u64) -> Result<Pieces> {
        let doing = || format!("reading {digest}");
        let question = messages::ReadRequest { digest: digest.to_owned(), offset: signed(offset), size: 0 };
        let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
        let opened = async {
            let mut grpc = self.grpc().await?;
            grpc.server_streaming(self.request(question)?, path, ProstCodec::<messages::ReadRequest, messages::ReadResponse>::default()).await
        };
        let stream = opened.await.map_err(|e| Error::runtime(doing(), &e))?.into_inner();
        Ok(Pieces { stream, digest: digest.to_owned() })
    }

    /// A manifest or config.
    pub(crate) async fn document(&self, digest: &str) -> Result<Vec<u8>> {
        let mut pieces = self.read(digest, 0).await?;
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await? {
            all.extend(piece);
            if all.len() > DOCUMENT_MAX {
                return Err(Error::content(format!("{digest} is larger than {DOCUMENT_MAX} bytes, too large for a manifest or config")));
            }
        }
        Ok(all)
    }

    /// Begins or continues the write of a blob, waiting for another writer to let go. `None`: the blob is there.
    pub(crate) async fn open(&self, digest: &str, size: u64) -> Result<Option<Ingest>> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            match self.try_open(digest, size).await {
                Ok(Some(ingest)) if ingest.offset > size => {
                    // Not of this blob, whatever it was.
                    drop(ingest);
                    self.abort(digest).await;
                }
                Ok(opened) => return Ok(opened),
                // "ref … locked": somebody writes it, or has died so recently that containerd has not noticed.
                Err(e) if e.code() == Code::Unavailable && started.elapsed() < LOCKED_MAX => {}
                Err(e) => return Err(Error::runtime(format!("opening {digest} for writing"), &e)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
            if self.size(digest).await?.is_some() {
                return Ok(None);
            }
        }
    }

    async fn try_open(&self, digest: &str, size: u64) -> std::result::Result<Option<Ingest>, Status> {
        let (pieces, receiver) = mpsc::channel(PIECES);
        let template =
            messages::WriteRequest { action: messages::action::STAT, reference: ingest(digest), total: signed(size), expected: digest.to_owned(), offset: 0 };
        // The receiver is alive, so this cannot fail.
        let _ = pieces.send(template.head(0)).await;
        let opened = self.encoded::<messages::WriteResponse>("/containerd.services.content.v1.Content/Write", receiver).await;
        let Some(mut answers) = unless_exists(opened)? else { return Ok(None) };
        let Some(first) = unless_exists(answers.message().await)? else { return Ok(None) };
        let first = first.ok_or_else(|| Status::internal("the write stream ended at once"))?;
        let offset = u64::try_from(first.offset).unwrap_or(0);
        let (acks, confirmed) = mpsc::channel(8);
        let answers = tokio::spawn(answer_loop(answers, acks));
        Ok(Some(Ingest { pieces, answers, confirmed: Some(confirmed), template, offset }))
    }

    /// Throws an unfinished write away.
    pub(crate) async fn abort(&self, digest: &str) {
        // If there is none, or if it cannot be done, the next open says so.
        let _: std::result::Result<(), Status> =
            self.unary("/containerd.services.content.v1.Content/Abort", messages::IngestRef { reference: ingest(digest) }).await;
    }

    /// Writes a small blob as a whole.
    pub(crate) async fn put(&self, digest: &str, data: Vec<u8>) -> Result<()> {
        let size = data.len() as u64;
        let Some(mut ingest) = self.open(digest, size).await? else { return Ok(()) };
        // What an earlier attempt left need not be sent again, nor be right: the commit checks all of it.
        let rest = usize::try_from(ingest.offset).unwrap_or(0).min(data.len());
        ingest.write(Bytes::from(data).split_off(rest)).await;
        self.commit(ingest).await
    }

    /// Ends a write; containerd checks size and digest. One that does not fit is thrown away, so that the next begins anew.
    pub(crate) async fn commit(&self, ingest: Ingest) -> Result<()> {
        let digest = ingest.template.expected.clone();
        let Err(e) = ingest.finish().await else { return Ok(()) };
        let wrong = matches!(e.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::OutOfRange);
        if wrong {
            self.abort(&digest).await;
            return Err(Error::content(format!("{digest} did not arrive as what it should be: {}", e.message())));
        }
        Err(Error::runtime(format!("storing {digest}"), &e))
    }
}

/// Passes containerd's confirmations on, and ends with the commit. True: it is in the store.
async fn answer_loop(mut answers: Streaming<messages::WriteResponse>, acks: mpsc::Sender<u64>) -> std::result::Result<bool, Status> {
    loop {
        match unless_exists(answers.message().await)? {
            None => return Ok(true),
            Some(None) => return Ok(false),
            Some(Some(answer)) if answer.action == messages::action::COMMIT => return Ok(true),
            Some(Some(answer)) => {
                // Nobody listens any more when the blob was given up; the answers must be read all the same.
                let _ = acks.send(u64::try_from(answer.offset).unwrap_or(0)).await;
            }
        }
    }
}

/// A blob being read.
pub(crate) struct Pieces {
    stream: Streaming<messages::ReadResponse>,
    digest: String,
}

impl Pieces {
    /// The next piece.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let piece = self.stream.message().await.map_err(|e| Error::runtime(format!("reading {}", self.digest), &e))?;
        Ok(piece.map(|p| p.data))
    }
}

/// A blob being written. Dropping it leaves what has been written, for a later writer to go on.
pub(crate) struct Ingest {
    pieces: mpsc::Sender<Bytes>,
    answers: JoinHandle<std::result::Result<bool, Status>>,
    confirmed: Option<mpsc::Receiver<u64>>,
    template: messages::WriteRequest,
    /// Where the next write goes.
    pub(crate) offset: u64,
}

impl Ingest {
    /// The blob's digest.
    pub(crate) fn digest(&self) -> &str {
        &self.template.expected
    }

    /// Offsets as containerd confirms them. To be taken once and read to its end, or dropped.
    pub(crate) fn confirmations(&mut self) -> Option<mpsc::Receiver<u64>> {
        self.confirmed.take()
    }

    /// Writes the next bytes. False: containerd has ended the stream; `commit` tells why.
    pub(crate) async fn write(&mut self, data: Bytes) -> bool {
        if data.is_empty() {
            return !self.pieces.is_closed();
        }
        let message = messages::WriteRequest { action: messages::action::WRITE, offset: signed(self.offset), ..self.template.clone() };
        self.offset += data.len() as u64;
        self.pieces.send(message.head(data.len())).await.is_ok() && self.pieces.send(data).await.is_ok()
    }

    async fn finish(mut self) -> std::result::Result<(), Status> {
        // Nobody reads confirmations any more: closing the channel keeps the answer loop from waiting for room in it.
        drop(self.confirmed.take());
        let message = messages::WriteRequest { action: messages::action::COMMIT, offset: signed(self.offset), ..self.template.clone() };
        // If that fails the answers have the reason.
        let _ = self.pieces.send(message.head(0)).await;
        match self.answers.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Status::aborted("the write stream ended before the commit")),
            Ok(Err(status)) => Err(status),
            Err(e) => Err(Status::internal(e.to_string())),
        }
    }
}
