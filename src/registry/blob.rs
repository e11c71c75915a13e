//! Pulling a blob piece by piece; what breaks goes on where it broke.

use std::{error::Error, time::Duration};

use futures::StreamExt as _;
use oci_client::client::BlobResponse;

use super::{Problem, host::Session};
use crate::oci::{Descriptor, Digest};

/// Attempts in a row without a single new byte.
const ATTEMPTS: u32 = 5;

/// Takes a blob's bytes in order.
pub trait BlobSink: Send {
    /// Takes the next bytes.
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
    /// Bytes taken so far.
    fn written(&self) -> u64;
    /// Forgets everything taken: the server can only send from the start.
    fn restart(&mut self);
}

/// A blob in memory, for configs.
#[derive(Debug, Default)]
pub(super) struct Memory(pub(super) Vec<u8>);

impl BlobSink for Memory {
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    fn written(&self) -> u64 {
        self.0.len() as u64
    }

    fn restart(&mut self) {
        self.0.clear();
    }
}

/// How long to wait before an attempt: half a second, doubling, eight seconds at most.
pub(super) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(500 << attempt.saturating_sub(1).min(4))
}

/// Streams a blob into a sink until all its bytes are there. Whether they are the right ones, the sink's owner checks by digest.
pub(super) async fn pull(session: &Session, name: &oci_client::Reference, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    let mut attempts = 0;
    while sink.written() < blob.size {
        let before = sink.written();
        let failure = attempt(session, name, &blob.digest, blob.size, sink).await.err();
        if failure.as_ref().is_some_and(|problem| !problem.is_transient()) {
            return failure.map_or(Ok(()), Err);
        }
        if sink.written() >= blob.size {
            break;
        }
        attempts = if sink.written() > before { 1 } else { attempts + 1 };
        if attempts >= ATTEMPTS {
            return Err(Problem::Broken { attempts, done: sink.written(), size: blob.size, source: failure.map(Box::new) });
        }
        tokio::time::sleep(backoff(attempts)).await;
    }
    Ok(())
}

async fn attempt(session: &Session, name: &oci_client::Reference, digest: &Digest, size: u64, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    // Asked for as a range even from the start: the client then does not hash as well, the sink does.
    let answer = session.client.pull_blob_stream_partial(name, digest.as_str(), sink.written(), None).await.map_err(|e| session.problem(e))?;
    let mut stream = match answer {
        BlobResponse::Partial(stream) => stream,
        BlobResponse::Full(stream) => {
            sink.restart();
            stream
        }
    };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| session.problem(e.into()))?;
        // A server that sends more than the descriptor says is stopped here.
        let rest = usize::try_from(size - sink.written()).unwrap_or(usize::MAX);
        if chunk.len() > rest {
            return Err(Problem::TooLarge { size: sink.written() + chunk.len() as u64, max: size });
        }
        sink.write(&chunk).map_err(Problem::Sink)?;
        if sink.written() == size {
            break;
        }
    }
    Ok(())
}
