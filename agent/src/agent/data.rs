//! The data stream: blobs from the other side into the store.

use std::sync::Arc;

use offline_agent::{Failed, Frame, Open, Pack, frame::PRESENT, kind};
use tokio::sync::Semaphore;

use crate::{
    buffers::Buffers,
    containerd::{Containerd, content::Ingest},
    error::{Error, Result},
    stdio::{self, Input, Output, Received},
};

/// Small frames are joined to writes of this size: each write is a call, and containerd's limit for one is 16 MiB.
const WRITE: usize = 1 << 20;

/// Room of a buffer: a write, and what the frame that fills it may have over.
const ROOM: usize = WRITE + (512 << 10);

/// Commits and packs that run beside the next blob.
const BESIDE: usize = 4;

struct Stream {
    containerd: Containerd,
    output: Output,
    beside: Arc<Semaphore>,
    blob: Option<Ingest>,
    /// Bytes of the blob that are not with containerd yet.
    pending: Vec<u8>,
    buffers: Buffers,
    opened: u64,
}

/// Runs until the other side quits or goes.
pub(crate) async fn run(socket: &str) -> Result<()> {
    let mut input = Input::open()?;
    let containerd = Containerd::connect(socket).await?;
    let (output, writer) = Output::open()?;
    let beside = Arc::new(Semaphore::new(BESIDE));
    let mut stream = Stream { containerd, output, beside, blob: None, pending: Vec::new(), buffers: Buffers::default(), opened: 0 };
    while let Some(received) = input.next_or_bulk(&mut stream.pending).await? {
        match received {
            Received::Bulk => stream.data().await,
            Received::Frame(frame) if frame.kind == kind::QUIT => break,
            Received::Frame(frame) => stream.take(frame).await?,
        }
    }
    stdio::finish(stream.output, writer).await;
    Ok(())
}

fn malformed(e: &offline_agent::FrameError) -> Error {
    Error::protocol(e.to_string())
}

impl Stream {
    async fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.kind {
            kind::OPEN => self.open(frame.as_json().map_err(|e| malformed(&e))?).await,
            kind::COMMIT => self.commit().await,
            kind::PACK => self.pack(frame.payload).await,
            kind::ALIVE => Ok(()),
            other => Err(Error::protocol(format!("frame {:?} does not belong on a data stream", char::from(other)))),
        }
    }

    async fn open(&mut self, open: Open) -> Result<()> {
        let containerd = self.containerd.under(&open.lease);
        // Whatever was left of another blob is not of this one.
        self.pending.clear();
        let sequence = self.opened;
        self.opened += 1;
        let digest = open.blob.digest;
        let opened = async {
            let ingest = containerd.open(&digest, open.blob.size).await?;
            if ingest.is_none() {
                // Found is not ours yet: the lease must hold it as well.
                self.containerd.hold(&open.lease, &digest).await?;
            }
            Ok(ingest)
        };
        match opened.await {
            Ok(Some(mut ingest)) => {
                self.output.send(Frame::number(kind::OFFSET, ingest.offset)).await;
                if let Some(mut confirmed) = ingest.confirmations() {
                    let output = self.output.clone();
                    tokio::spawn(async move {
                        while let Some(offset) = confirmed.recv().await {
                            output.send(Frame::numbers(kind::ACK, sequence, offset)).await;
                        }
                    });
                }
                self.blob = Some(ingest);
            }
            Ok(None) => self.output.send(Frame::number(kind::OFFSET, PRESENT)).await,
            Err(e) => fail(&self.output, digest, e).await,
        }
        Ok(())
    }

    /// Bytes have been added to those that are pending.
    async fn data(&mut self) {
        if self.blob.is_none() {
            // After a failure the other side may still have sent some; it goes nowhere.
            self.pending.clear();
        } else if self.pending.len() >= WRITE {
            self.write().await;
        }
    }

    async fn write(&mut self) {
        let Some(ingest) = &mut self.blob else { return };
        let full = std::mem::replace(&mut self.pending, self.buffers.take(ROOM));
        ingest.write(self.buffers.lend(full)).await;
    }

    async fn commit(&mut self) -> Result<()> {
        self.write().await;
        let Some(ingest) = self.blob.take() else { return Ok(()) };
        let (containerd, output) = (self.containerd.clone(), self.output.clone());
        let permit = self.permit().await?;
        tokio::spawn(async move {
            let digest = ingest.digest().to_owned();
            match containerd.commit(ingest).await {
                Ok(()) => output.send(Frame::new(kind::COMMITTED, digest)).await,
                Err(e) => fail(&output, digest, e).await,
            }
            drop(permit);
        });
        Ok(())
    }

    async fn pack(&mut self, payload: Vec<u8>) -> Result<()> {
        let (pack, parts) = unpack(&payload)?;
        let containerd = self.containerd.under(&pack.lease);
        let output = self.output.clone();
        let permit = self.permit().await?;
        tokio::spawn(async move {
            let mut failed = None;
            for (blob, part) in pack.blobs.iter().zip(parts) {
                let stored = match containerd.put(&blob.digest, part).await {
                    Ok(()) => containerd.hold(&pack.lease, &blob.digest).await,
                    Err(e) => Err(e),
                };
                failed = failed.or(stored.err());
            }
            match failed {
                None => output.send(Frame::new(kind::COMMITTED, [])).await,
                Some(e) => fail(&output, String::new(), e).await,
            }
            drop(permit);
        });
        Ok(())
    }

    async fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.beside).acquire_owned().await.map_err(|e| Error::unusable(e.to_string()))
    }
}

async fn fail(output: &Output, digest: String, error: Error) {
    output.send(Frame::json(kind::FAILED, &Failed { digest, failure: error.into_failure() })).await;
}

/// Takes a pack apart.
fn unpack(payload: &[u8]) -> Result<(Pack, Vec<Vec<u8>>)> {
    let short = || Error::protocol("a pack that is too short");
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(short)?;
    let (json, mut rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(short)?;
    let pack: Pack = serde_json::from_slice(json).map_err(|e| Error::protocol(format!("a pack that cannot be read: {e}")))?;
    let mut parts = Vec::with_capacity(pack.blobs.len());
    for blob in &pack.blobs {
        let size = usize::try_from(blob.size).map_err(|_| short())?;
        let (part, after) = rest.split_at_checked(size).ok_or_else(short)?;
        parts.push(part.to_vec());
        rest = after;
    }
    Ok((pack, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_taken_apart_and_short_ones_refused() {
        let pack =
            Pack { lease: "l".into(), blobs: vec![offline_agent::Blob { digest: "a".into(), size: 2 }, offline_agent::Blob { digest: "b".into(), size: 3 }] };
        let json = serde_json::to_vec(&pack).unwrap();
        let mut payload = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
        payload.extend(json);
        payload.extend(b"xxyyy");
        let (got, parts) = unpack(&payload).unwrap();
        assert_eq!((got, parts), (pack, vec![b"xx".to_vec(), b"yyy".to_vec()]));
        for cut in [0, 3, 10, payload.len() - 1] {
            assert!(unpack(&payload[..cut]).is_err(), "{cut}");
        }
    }
}
