//! The data stream: blobs from the other side into the store.

use std::sync::Arc;

use offline_agent::{Failed, Frame, Open, Pack, frame::PRESENT, kind};
use tokio::sync::Semaphore;

use crate::{
    containerd::{Containerd, content::Ingest},
    error::{Error, Result},
    stdio::{self, Input, Output},
};

/// Small frames are joined to writes of this size: each write is a call, and containerd's limit for one is 16 MiB.
const WRITE: usize = 1 << 20;

/// Commits and packs that run beside the next blob.
const BESIDE: usize = 4;

struct Blob {
    ingest: Ingest,
    pending: Vec<u8>,
}

struct Stream {
    containerd: Containerd,
    output: Output,
    beside: Arc<Semaphore>,
    blob: Option<Blob>,
    opened: u64,
}

/// Runs until the other side quits or goes.
pub(crate) async fn run(socket: &str) -> Result<()> {
    let mut input = Input::open()?;
    let containerd = Containerd::connect(socket).await?;
    let (output, writer) = Output::open()?;
    let mut stream = Stream { containerd, output, beside: Arc::new(Semaphore::new(BESIDE)), blob: None, opened: 0 };
    while let Some(frame) = input.next().await? {
        if frame.kind == kind::QUIT {
            break;
        }
        stream.take(frame).await?;
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
            kind::DATA => self.data(frame.payload).await,
            kind::COMMIT => self.commit().await,
            kind::PACK => self.pack(frame.payload).await,
            kind::ALIVE => Ok(()),
            other => Err(Error::protocol(format!("frame {:?} does not belong on a data stream", char::from(other)))),
        }
    }

    async fn open(&mut self, open: Open) -> Result<()> {
        let containerd = self.containerd.under(&open.lease);
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
                self.blob = Some(Blob { ingest, pending: Vec::new() });
            }
            Ok(None) => self.output.send(Frame::number(kind::OFFSET, PRESENT)).await,
            Err(e) => fail(&self.output, digest, e).await,
        }
        Ok(())
    }

    async fn data(&mut self, payload: Vec<u8>) -> Result<()> {
        // After a failure the other side may still have sent some; it goes nowhere.
        let Some(blob) = &mut self.blob else { return Ok(()) };
        if blob.pending.is_empty() && payload.len() >= WRITE {
            blob.ingest.write(payload).await;
            return Ok(());
        }
        blob.pending.extend_from_slice(&payload);
        if blob.pending.len() >= WRITE {
            let piece = std::mem::take(&mut blob.pending);
            blob.ingest.write(piece).await;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        let Some(mut blob) = self.blob.take() else { return Ok(()) };
        if !blob.pending.is_empty() {
            blob.ingest.write(std::mem::take(&mut blob.pending)).await;
        }
        let (containerd, output) = (self.containerd.clone(), self.output.clone());
        let permit = self.permit().await?;
        tokio::spawn(async move {
            let digest = blob.ingest.digest().to_owned();
            match containerd.commit(blob.ingest).await {
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
