//! Node to node: blobs by digest over HTTP/1.1, one a connection, for those who know the run's token.
//!
//! What arrives is checked by its digest, so the worst that a stranger in between can do is to make it fail, and then the blob comes
//! by the API server instead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use offline_agent::Blob;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    time::timeout,
};

use crate::{
    containerd::Containerd,
    error::{Error, Result},
};

/// A peer that does not answer for so long is not there.
const CONNECT: Duration = Duration::from_secs(3);
/// Between two pieces of a blob.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes of a request's or an answer's head.
const HEAD_MAX: u64 = 8 << 10;
const PIECE: usize = 1 << 20;

/// Serves the store's blobs until the process ends, and counts the pieces that it has sent.
pub(crate) async fn serve(containerd: Containerd, token: String, port: u16, served: Arc<AtomicU64>) -> Result<()> {
    let listener = TcpListener::bind(("::", port)).await;
    let listener = match listener {
        Ok(listener) => listener,
        // Nodes without IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await.map_err(|e| Error::unusable(format!("cannot listen on port {port}: {e}")))?,
    };
    loop {
        // A connection that failed before it was taken is the other side's business.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (containerd, token, served) = (containerd.clone(), token.clone(), Arc::clone(&served));
        tokio::spawn(async move {
            // Whoever asked sees a connection that ends too early, and goes another way.
            let _ = answer(&containerd, &token, stream, &served).await;
        });
    }
}

#[derive(Debug, Default, PartialEq)]
struct Asked {
    digest: String,
    token: String,
    offset: u64,
}

impl Asked {
    fn parse(head: &[String]) -> Self {
        let mut asked = Self::default();
        for line in head {
            if let Some(rest) = line.strip_prefix("GET /") {
                rest.split(' ').next().unwrap_or_default().clone_into(&mut asked.digest);
            } else if let Some(token) = line.strip_prefix("authorization: Bearer ") {
                token.clone_into(&mut asked.token);
            } else if let Some(range) = line.strip_prefix("range: bytes=") {
                asked.offset = range.trim_end_matches('-').parse().unwrap_or(0);
            }
        }
        asked
    }
}

/// Takes as long for a wrong token as for the right one.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

async fn head(reader: &mut BufReader<OwnedReadHalf>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut limited = reader.take(HEAD_MAX);
    loop {
        let mut line = String::new();
        let read = timeout(SILENCE, limited.read_line(&mut line)).await.map_err(|_| Error::peer("no answer"))?;
        if read.map_err(|e| Error::peer(format!("cannot read: {e}")))? == 0 {
            return Err(Error::peer("the connection ended too early"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

async fn answer(containerd: &Containerd, token: &str, stream: TcpStream, served: &AtomicU64) -> Result<()> {
    let lost = |e: std::io::Error| Error::peer(e.to_string());
    stream.set_nodelay(true).map_err(lost)?;
    let (reader, mut writer) = stream.into_split();
    let asked = Asked::parse(&head(&mut BufReader::new(reader)).await?);
    if !same(&asked.token, token) {
        return writer.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.map_err(lost);
    }
    let size = if asked.digest.starts_with("sha256:") { containerd.size(&asked.digest).await? } else { None };
    let Some(left) = size.and_then(|size| size.checked_sub(asked.offset)) else {
        return writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.map_err(lost);
    };
    writer.write_all(format!("HTTP/1.1 206 Partial Content\r\ncontent-length: {left}\r\n\r\n").as_bytes()).await.map_err(lost)?;
    if left > 0 {
        let mut pieces = containerd.read(&asked.digest, asked.offset).await?;
        while let Some(piece) = pieces.next().await? {
            writer.write_all(&piece).await.map_err(lost)?;
            served.fetch_add(1, Ordering::Relaxed);
        }
    }
    writer.shutdown().await.map_err(lost)
}

/// Takes a blob from another node's agent into our store. `progress` gets the bytes as they come. Returns how many came.
pub(crate) async fn fetch(containerd: &Containerd, peer: &str, token: &str, blob: &Blob, progress: impl Fn(u64)) -> Result<u64> {
    // First the peer, then the lock on the blob: who cannot be reached shall not keep others waiting.
    let stream = timeout(CONNECT, TcpStream::connect(peer)).await.map_err(|_| Error::peer(format!("{peer} does not answer")))?;
    let stream = stream.map_err(|e| Error::peer(format!("cannot connect to {peer}: {e}")))?;
    let Some(mut ingest) = containerd.open(&blob.digest, blob.size).await? else { return Ok(0) };
    // Nobody is told of confirmations here.
    drop(ingest.confirmations());
    let (reader, mut writer) = stream.into_split();
    let ask = format!("GET /{} HTTP/1.1\r\nhost: {peer}\r\nauthorization: Bearer {token}\r\nrange: bytes={}-\r\n\r\n", blob.digest, ingest.offset);
    writer.write_all(ask.as_bytes()).await.map_err(|e| Error::peer(format!("cannot ask {peer}: {e}")))?;
    let mut reader = BufReader::with_capacity(256 << 10, reader);
    let head = head(&mut reader).await?;
    let status = head.first().map_or("", String::as_str);
    if !status.starts_with("HTTP/1.1 206 ") {
        return Err(Error::peer(format!("{peer} answers `{status}` when asked for {}", blob.digest)));
    }
    let mut left = blob.size.saturating_sub(ingest.offset);
    let whole = left;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        let read = timeout(SILENCE, reader.read_exact(&mut piece)).await.map_err(|_| Error::peer(format!("{peer} has stopped sending {}", blob.digest)))?;
        read.map_err(|e| Error::peer(format!("{peer} broke off while sending {}: {e}", blob.digest)))?;
        left -= piece.len() as u64;
        if !ingest.write(piece.into()).await {
            break;
        }
        progress(whole - left);
    }
    containerd.commit(ingest).await?;
    Ok(whole - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_tokens_compared() {
        let head: Vec<String> = ["GET /sha256:ab HTTP/1.1", "host: x", "authorization: Bearer tok", "range: bytes=17-"].iter().map(|&l| l.to_owned()).collect();
        assert_eq!(Asked::parse(&head), Asked { digest: "sha256:ab".into(), token: "tok".into(), offset: 17 });
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd") && !same("abc", "ab") && !same("", "x"));
    }
}
