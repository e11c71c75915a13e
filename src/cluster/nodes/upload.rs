//! A data stream: blobs from this side into a node, in acknowledged frames.

use std::{io, sync::Arc};

use kube::Client;
use offline_agent::{Blob, Failed, Frame, Open, Pack, frame::PRESENT, kind};
use tokio::sync::mpsc;

use super::{
    Blobs, NodesError,
    control::{AGENT, Place, Trouble},
    exec::{self, PREFIX, Purpose},
};
use crate::oci::Descriptor;

/// Payload of a data frame: on the plateau between 256 KiB and 1 MiB; from 32 MiB on API servers reset the connection.
const FRAME: u64 = 512 << 10;

/// What may be on its way, sent but not yet confirmed by containerd. It decides the speed over long lines.
const WINDOW: u64 = 8 << 20;

/// Blobs up to this size are sent together.
pub(super) const SMALL: u64 = 64 << 10;

/// Bytes of blobs in a pack.
const PACK: u64 = 1 << 20;

/// Blobs whose commit may be outstanding while the next one is sent.
const OUTSTANDING: usize = 4;

/// What became of a blob.
pub(super) enum Fate {
    /// In the store.
    Stored(Descriptor),
    /// Not; it may be tried again.
    Failed(Descriptor, offline_agent::Failure),
}

/// A stream that is open.
pub(super) struct Upload {
    place: Place,
    lease: String,
    blobs: Arc<dyn Blobs>,
    sender: exec::Sender,
    receiver: exec::Receiver,
    opened: u64,
    confirmed: u64,
    outstanding: Vec<Descriptor>,
    packs: usize,
    fates: mpsc::UnboundedSender<Fate>,
}

/// What a frame from the agent means for the blob that is being sent.
enum Said {
    Offset(u64),
    NotOpened(offline_agent::Failure),
    Other,
}

impl Upload {
    /// Opens a data stream in an agent's pod. What becomes of blobs goes to `fates` as soon as it is known.
    pub(super) async fn open(client: &Client, place: Place, lease: String, blobs: Arc<dyn Blobs>, fates: mpsc::UnboundedSender<Fate>) -> Result<Self, Trouble> {
        let opened = exec::open(client, &place.namespace, &place.pod, &[AGENT, "data"], Purpose::Bulk).await;
        let exec::Stream { sender, receiver, .. } = opened.map_err(|e| place.broken(e))?;
        Ok(Self { place, lease, blobs, sender, receiver, opened: 0, confirmed: 0, outstanding: Vec::new(), packs: 0, fates })
    }

    /// Whether anything that was sent is not known to be stored yet.
    pub(super) fn waits(&self) -> bool {
        !self.outstanding.is_empty() || self.packs > 0
    }

    /// Nobody listens when the attempt is being given up.
    fn tell(&self, fate: Fate) {
        let _ = self.fates.send(fate);
    }

    /// Waits for the agent to say something, and passes on what became of blobs.
    pub(super) async fn listen(&mut self) -> Result<(), Trouble> {
        let frame = self.receiver.next().await.map_err(|e| self.place.broken(e))?;
        self.heard(&frame, None).map(|_| ())
    }

    /// Takes what the agent has said already.
    fn catch_up(&mut self) -> Result<(), Trouble> {
        while let Some(frame) = self.receiver.ready() {
            let frame = frame.map_err(|e| self.place.broken(e))?;
            self.heard(&frame, None)?;
        }
        Ok(())
    }

    fn heard(&mut self, frame: &Frame, current: Option<&Descriptor>) -> Result<Said, Trouble> {
        let malformed = |e: offline_agent::FrameError| Trouble::Fatal(NodesError::Agent { node: self.place.node.clone(), reason: e.to_string() });
        match frame.kind {
            kind::OFFSET => return frame.as_number().map(Said::Offset).map_err(malformed),
            kind::ACK => {
                let (sequence, offset) = frame.as_numbers().map_err(malformed)?;
                if sequence + 1 == self.opened {
                    self.confirmed = self.confirmed.max(offset);
                }
            }
            kind::COMMITTED if frame.payload.is_empty() => self.packs = self.packs.saturating_sub(1),
            kind::COMMITTED => {
                if let Some(at) = self.outstanding.iter().position(|b| b.digest.as_str().as_bytes() == frame.payload) {
                    let stored = Fate::Stored(self.outstanding.swap_remove(at));
                    self.tell(stored);
                }
            }
            kind::FAILED => {
                let Failed { digest, failure } = frame.as_json().map_err(malformed)?;
                if let Some(at) = self.outstanding.iter().position(|b| b.digest.as_str() == digest) {
                    let failed = Fate::Failed(self.outstanding.swap_remove(at), failure);
                    self.tell(failed);
                } else if current.is_some_and(|b| b.digest.as_str() == digest) {
                    return Ok(Said::NotOpened(failure));
                } else {
                    return Err(self.place.failed(failure));
                }
            }
            _ => {}
        }
        Ok(Said::Other)
    }

    /// Sends one blob up to its commit. `advance` hears of bytes that need not be sent any more: sent now (true) or by an earlier attempt.
    pub(super) async fn blob(&mut self, blob: Descriptor, advance: &(dyn Fn(u64, bool) + Sync)) -> Result<(), Trouble> {
        let name = Blob { digest: blob.digest.to_string(), size: blob.size };
        self.send(&Frame::json(kind::OPEN, &Open { lease: self.lease.clone(), blob: name })).await?;
        self.opened += 1;
        let mut offset = loop {
            let frame = self.receiver.next().await.map_err(|e| self.place.broken(e))?;
            match self.heard(&frame, Some(&blob))? {
                Said::Offset(PRESENT) => {
                    advance(blob.size, false);
                    self.tell(Fate::Stored(blob));
                    return Ok(());
                }
                Said::Offset(offset) => break offset.min(blob.size),
                Said::NotOpened(failure) => {
                    self.tell(Fate::Failed(blob, failure));
                    return Ok(());
                }
                Said::Other => {}
            }
        };
        self.confirmed = offset;
        advance(offset, false);
        while offset < blob.size {
            let length = FRAME.min(blob.size - offset);
            let message = self.read(&blob, offset, length).await?;
            self.sender.send_prepared(kind::DATA, message).await.map_err(|e| self.place.broken(e))?;
            offset += length;
            advance(length, true);
            self.catch_up()?;
            while offset.saturating_sub(self.confirmed) > WINDOW {
                self.listen().await?;
            }
        }
        self.send(&Frame::new(kind::COMMIT, [])).await?;
        self.outstanding.push(blob);
        while self.outstanding.len() > OUTSTANDING {
            self.listen().await?;
        }
        Ok(())
    }

    /// Sends small blobs together, and waits until all are stored: others wait for them.
    pub(super) async fn small(&mut self, blobs: &[Descriptor], advance: &(dyn Fn(u64, bool) + Sync)) -> Result<(), Trouble> {
        for pack in packs(blobs) {
            let names = pack.iter().map(|b| Blob { digest: b.digest.to_string(), size: b.size }).collect();
            let head = serde_json::to_vec(&Pack { lease: self.lease.clone(), blobs: names }).unwrap_or_default();
            let mut message = vec![0; PREFIX];
            message.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
            message.extend_from_slice(&head);
            let mut sent = 0;
            for blob in pack {
                message.extend_from_slice(&self.read(blob, 0, blob.size).await?[PREFIX..]);
                sent += blob.size;
            }
            self.sender.send_prepared(kind::PACK, message).await.map_err(|e| self.place.broken(e))?;
            self.packs += 1;
            advance(sent, true);
        }
        while self.packs > 0 {
            self.listen().await?;
        }
        Ok(())
    }

    /// Says that the stream is no longer needed. If that fails it has ended already.
    pub(super) async fn close(mut self) {
        let _ = self.sender.send(&Frame::new(kind::QUIT, [])).await;
    }

    async fn send(&mut self, frame: &Frame) -> Result<(), Trouble> {
        self.sender.send(frame).await.map_err(|e| self.place.broken(e))
    }

    /// Bytes of a blob behind room for what goes before them.
    async fn read(&self, blob: &Descriptor, offset: u64, length: u64) -> Result<Vec<u8>, Trouble> {
        let (blobs, digest) = (Arc::clone(&self.blobs), blob.digest.clone());
        let read = move || {
            // FRAME and PACK bound the length.
            let mut message = vec![0; PREFIX + usize::try_from(length).unwrap_or(0)];
            let mut filled = PREFIX;
            while filled < message.len() {
                let at = offset + (filled - PREFIX) as u64;
                match blobs.read_at(&digest, at, &mut message[filled..]) {
                    Ok(0) => return Err((at, io::Error::new(io::ErrorKind::UnexpectedEof, "the blob is shorter than its descriptor says"))),
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err((at, e)),
                }
            }
            Ok(message)
        };
        let result = tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err((offset, io::Error::other(e))));
        result.map_err(|(offset, source)| Trouble::Fatal(NodesError::Blob { digest: blob.digest.clone(), offset, source }))
    }
}

/// Cuts a list of small blobs into packs.
fn packs(blobs: &[Descriptor]) -> Vec<Vec<&Descriptor>> {
    let mut packs: Vec<Vec<&Descriptor>> = Vec::new();
    let mut size = PACK;
    for blob in blobs {
        if size + blob.size > PACK {
            packs.push(Vec::new());
            size = 0;
        }
        size += blob.size;
        if let Some(last) = packs.last_mut() {
            last.push(blob);
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, media_type};

    #[test]
    fn packs_stay_below_their_size() {
        let blobs: Vec<Descriptor> = (0..40u8).map(|i| Descriptor::new(media_type::OCI_CONFIG, Digest::of(&[i]), 60 << 10)).collect();
        let packs = packs(&blobs);
        assert_eq!(packs.iter().map(Vec::len).collect::<Vec<_>>(), [17, 17, 6]);
        assert_eq!(packs.concat().len(), blobs.len());
        assert!(super::packs(&[]).is_empty());
    }
}
