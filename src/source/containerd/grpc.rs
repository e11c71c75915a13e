//! gRPC as containerd speaks it: HTTP/2 over its socket, messages with a length before each, the outcome in the trailers (grpc,
//! doc/PROTOCOL-HTTP2.md).

use std::{fmt::Display, marker::PhantomData, path::Path, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::UnixStream, time::timeout};

use super::ContainerdProblem;

/// The longest that it may say nothing.
const STALL: Duration = Duration::from_mins(1);
/// The largest message that is taken: what containerd itself takes (containerd, defaults/defaults.go, `DefaultMaxRecvMsgSize`).
const MESSAGE_MAX: usize = 16 << 20;
/// Before each message: whether it is compressed, and its length.
const HEAD: usize = 5;
/// The codes that are told apart (grpc, doc/statuscodes.md).
const OK: u32 = 0;
const NOT_FOUND: u32 = 5;

/// A connection to containerd, for the content of one namespace.
#[derive(Clone)]
pub(super) struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to a socket. The runtime that this is called in drives the connection.
    pub(super) async fn open(socket: &Path) -> Result<Self, ContainerdProblem> {
        let failed = |error: &dyn Display| ContainerdProblem::Connect { socket: socket.into(), reason: error.to_string() };
        let opened = async {
            let stream = UnixStream::connect(socket).await.map_err(|error| failed(&error))?;
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|error| failed(&error))
        };
        let (sender, connection) = timeout(STALL, opened).await.map_err(|_| stalled())??;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// One question, one answer; none where containerd does not have what is asked for.
    pub(super) async fn ask<A: Message + Default>(&self, namespace: &str, path: &'static str, question: &impl Message) -> Result<Option<A>, ContainerdProblem> {
        let Some(mut answers) = self.stream::<A>(namespace, path, question).await? else { return Ok(None) };
        let Some(answer) = answers.next().await? else { return Ok(None) };
        // The status comes after the answer, and counts.
        match answers.next().await? {
            None => Ok(Some(answer)),
            Some(_) => Err(ContainerdProblem::Broken("it answered twice".to_owned())),
        }
    }

    /// One question, many answers.
    pub(super) async fn stream<A: Message + Default>(
        &self,
        namespace: &str,
        path: &'static str,
        question: &impl Message,
    ) -> Result<Option<Answers<A>>, ContainerdProblem> {
        let broken = |error: &dyn Display| ContainerdProblem::Broken(error.to_string());
        let request = Request::post(format!("http://containerd{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("containerd-namespace", namespace)
            .body(Full::new(framed(question)))
            .map_err(|error| broken(&error))?;
        let answer = timeout(STALL, self.sender.clone().send_request(request)).await.map_err(|_| stalled())?.map_err(|error| broken(&error))?;
        if answer.status() != 200 {
            return Err(ContainerdProblem::Broken(format!("it answered with HTTP status {}", answer.status().as_u16())));
        }
        // Where there is no message at all, the headers are the trailers.
        if answer.headers().contains_key("grpc-status") {
            return if found(answer.headers())? { Err(ContainerdProblem::Broken("it answered with nothing".to_owned())) } else { Ok(None) };
        }
        Ok(Some(Answers { body: answer.into_body(), buffer: BytesMut::new(), found: true, kind: PhantomData }))
    }
}

/// Messages that come one after the other.
pub(super) struct Answers<A> {
    body: Incoming,
    buffer: BytesMut,
    found: bool,
    kind: PhantomData<A>,
}

impl<A: Message + Default> Answers<A> {
    /// The next message; none after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<A>, ContainerdProblem> {
        let broken = |reason: &dyn Display| ContainerdProblem::Broken(reason.to_string());
        loop {
            if let Some(message) = unframed(&mut self.buffer)? {
                return A::decode(message).map(Some).map_err(|error| broken(&error));
            }
            let frame = timeout(STALL, self.body.frame()).await.map_err(|_| stalled())?;
            let frame = frame.ok_or_else(|| broken(&"it ended without a status"))?.map_err(|error| broken(&error))?;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    self.found = found(&trailers)?;
                    return if self.buffer.is_empty() { Ok(None) } else { Err(broken(&"it ended within a message")) };
                }
            }
        }
    }

    /// After the last message: whether containerd had what was asked for.
    pub(super) fn found(&self) -> bool {
        self.found
    }
}

/// A message with its head.
fn framed(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("questions are short");
    [&[0], &length.to_be_bytes()[..], &bytes].concat().into()
}

/// Takes a message out of what has come, where there is a whole one.
fn unframed(buffer: &mut BytesMut) -> Result<Option<Bytes>, ContainerdProblem> {
    let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
    let [compressed, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 || length > MESSAGE_MAX {
        return Err(ContainerdProblem::Broken(format!("it sends a message of {length} bytes{}", if compressed == 0 { "" } else { ", compressed" })));
    }
    if buffer.len() < HEAD + length {
        // Exactly as much as it needs: grown by doubling it would hold up to twice that for as long as the message is in use.
        buffer.reserve(HEAD + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// What the trailers say: whether it was found.
fn found(trailers: &HeaderMap) -> Result<bool, ContainerdProblem> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status").parse() {
        Ok(OK) => Ok(true),
        Ok(NOT_FOUND) => Ok(false),
        Ok(code) => Err(ContainerdProblem::Answer { code, message: message(text("grpc-message")) }),
        Err(_) => Err(ContainerdProblem::Broken("it ended without a status".to_owned())),
    }
}

/// Its words, which are percent-encoded.
fn message(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.first_chunk::<2>().and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        let (byte, after) = match code {
            Some(byte) if *first == b'%' => (byte, &after[2..]),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(200).collect()
}

fn stalled() -> ContainerdProblem {
    ContainerdProblem::Stalled(STALL.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_any_pieces() {
        let whole = [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1], b"d"].concat();
        for size in 1..=whole.len() {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in whole.chunks(size) {
                buffer.extend_from_slice(piece);
                while let Some(message) = unframed(&mut buffer).unwrap() {
                    found.push(message);
                }
            }
            assert_eq!((found, buffer.len()), (vec![Bytes::from("abc"), Bytes::new(), Bytes::from("d")], 0), "{size}");
        }
    }

    #[test]
    fn messages_that_nobody_should_send_are_refused() {
        for head in [[0, 255, 255, 255, 255], [1, 0, 0, 0, 1]] {
            assert!(unframed(&mut BytesMut::from(head.as_slice())).is_err(), "{head:?}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
            found(&pairs.iter().map(header).collect())
        };
        assert!(of(&[("grpc-status", "0")]).unwrap());
        assert!(!of(&[("grpc-status", "5"), ("grpc-message", "not found")]).unwrap());
        let error = of(&[("grpc-status", "3"), ("grpc-message", "bad%20name%3A 100% %0Ax")]).unwrap_err().to_string();
        assert!(error.contains("status 3") && error.contains("bad name: 100% x"), "{error}");
        assert!(matches!(of(&[]), Err(ContainerdProblem::Broken(_))));
    }
}
