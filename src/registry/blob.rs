//! Pulling a blob piece by piece; what breaks goes on where it broke.

use std::error::Error;

use reqwest::{Response, StatusCode, header::CONTENT_RANGE};

use super::{Problem, host::Session, pool::Target, web::Wanted};
use crate::oci::{Descriptor, Digest};

/// New bytes that count as progress: a server that stalls after each few would take for ever.
const PROGRESS: u64 = 64 << 10;

/// Takes a blob's bytes in order.
pub trait BlobSink: Send {
    /// Takes the next bytes.
    fn write(&mut self, chunk: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>;
    /// Bytes taken so far.
    fn written(&self) -> u64;
    /// Forgets everything taken: the server can only send from the start, or what it sent was wrong.
    fn restart(&mut self);
    /// Digest of the bytes taken so far.
    fn digest(&self) -> Digest;
}

/// A blob in memory: configs, charts, whatever else is small.
#[derive(Debug, Default)]
pub struct Memory(pub Vec<u8>);

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

    fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// Streams a blob into a sink until all its bytes are there, and are the right ones. Wrong ones are asked for a second time, from the start:
/// what was pieced together, or passed through a bad line, may well be whole the next time.
pub(super) async fn pull(target: &Target<'_>, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    whole(target, blob, sink).await?;
    if sink.digest() == blob.digest {
        return Ok(());
    }
    tracing::debug!(digest = %blob.digest, host = target.endpoint.host, "wrong bytes came; asking once more");
    sink.restart();
    whole(target, blob, sink).await?;
    match sink.digest() {
        found if found == blob.digest => Ok(()),
        found => Err(Problem::Digest { wanted: blob.digest.clone(), found }),
    }
}

/// As many bytes as the blob has.
async fn whole(target: &Target<'_>, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    let (mut attempts, mut best) = (0, sink.written());
    let session = target.host.session().await?;
    while sink.written() < blob.size {
        target.host.rested().await;
        let ended = attempt(session, target, blob, sink).await;
        if sink.written() >= blob.size {
            break;
        }
        // A server that begins anew each time makes progress only beyond what was there before.
        if sink.written() >= best + PROGRESS {
            (attempts, best) = (0, sink.written());
        }
        attempts += 1;
        // An answer that ends early without an error is a server's that promised nothing.
        let problem = ended.err().unwrap_or(Problem::Early);
        if target.host.again(attempts, &problem).await {
            continue;
        }
        return Err(match problem {
            problem if attempts > 1 => Problem::Broken { attempts, done: sink.written(), size: blob.size, source: Some(Box::new(problem)) },
            problem => problem,
        });
    }
    Ok(())
}

async fn attempt(session: &Session, target: &Target<'_>, blob: &Descriptor, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    let (scope, from) = (target.endpoint.scope(), sink.written());
    let wanted = Wanted { from, ..Wanted::all(session.web.at(&target.endpoint.blob(&blob.digest))?, &scope) };
    let mut answer = match session.web.get(&wanted, &session.credentials).await {
        // There is no such part, where there should be: what the server has is another file, or was.
        Err(Problem::Server { status: 416, .. }) if from > 0 => {
            sink.restart();
            return Err(Problem::Range { wanted: from, said: 0 });
        }
        answer => answer?,
    };
    target.host.has_answered();
    begin(&answer, from, blob.size, sink)?;
    while let Some(chunk) = answer.chunk().await.map_err(|error| session.web.problem(error, session.credentials.user()))? {
        // A server that sends more than the descriptor says is stopped here.
        if chunk.len() as u64 > blob.size - sink.written() {
            return Err(Problem::Length { said: sink.written() + chunk.len() as u64, wanted: blob.size });
        }
        sink.write(&chunk).map_err(Problem::Sink)?;
    }
    Ok(())
}

/// Holds what the server says of its answer against what is wanted (RFC 9110, 14.4).
fn begin(answer: &Response, from: u64, size: u64, sink: &mut dyn BlobSink) -> Result<(), Problem> {
    let total = if answer.status() == StatusCode::PARTIAL_CONTENT {
        let said = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let (first, total) = said.and_then(content_range).unwrap_or((from, None));
        if first != from {
            // It does not do what it says, so it is asked for all.
            sink.restart();
            return Err(Problem::Range { wanted: from, said: first });
        }
        total
    } else {
        if from > 0 {
            sink.restart();
        }
        answer.content_length()
    };
    match total {
        Some(said) if said != size => Err(Problem::Length { said, wanted: size }),
        _ => Ok(()),
    }
}

/// First byte and whole size of `bytes FIRST-LAST/SIZE`.
pub(super) fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_servers_write_them() {
        for (text, wanted) in
            [("bytes 100-199/200", Some((100, Some(200)))), ("bytes 100-199/*", Some((100, None))), ("bytes */200", None), ("lines 1-2/3", None), ("", None)]
        {
            assert_eq!(content_range(text), wanted, "{text}");
        }
    }
}
