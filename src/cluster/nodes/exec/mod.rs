//! One exec stream to an agent, with our frames on it.
//!
//! A control stream is a WebSocket. Bulk goes over SPDY, which costs a container runtime less; where something on the way does not let that
//! through, over a WebSocket as well.

mod spdy;
mod websocket;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::upgrade::Upgraded;
use kube::{Client, api::AttachParams, client::Body};
use offline_agent::{Decoder, Frame, Hello, PROTOCOL as AGENT_PROTOCOL, frame, kind};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tracing::debug;

/// What is spoken on either: channels, and the end as a `Status` (k8s.io/apimachinery, pkg/util/remotecommand/constants.go).
const PROTOCOL: &str = "v4.channel.k8s.io";

/// An agent says something every few seconds; a stream that is silent for so long is dead, whatever TCP believes.
const SILENCE: Duration = Duration::from_secs(45);

/// Bytes of stderr, and of the status, that are kept for an error message.
const STDERR_MAX: usize = 4 << 10;

/// Bytes of room before a payload, for the headers of our frame and of what carries it.
pub(super) const PREFIX: usize = spdy::HEADER + frame::HEADER;

/// What a process says and hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Stdin,
    Stdout,
    Stderr,
    /// How it ended.
    Status,
}

/// Why a stream is of no use any more.
#[derive(Debug, Clone)]
pub(super) struct Broken(pub(super) String);

/// The writing half.
pub(super) enum Sender {
    WebSocket(websocket::Writer),
    Spdy(spdy::Writer),
}

/// Where what arrives is read.
enum Source {
    WebSocket(websocket::Reader),
    Spdy(spdy::Reader),
}

/// The reading half. What arrives is taken off the connection by a task of its own, so that neither side ever waits for the other to read.
pub(super) struct Receiver {
    frames: mpsc::UnboundedReceiver<Result<Frame, Broken>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream whose agent has said hello.
pub(super) struct Stream {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// Address of the agent's pod.
    pub(super) address: Option<String>,
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Little, and often while it is not known whether anybody answers.
    Control,
    /// Blobs.
    Bulk,
}

/// Starts a process in a pod's only container and waits for the agent's hello.
pub(super) async fn open(client: &Client, namespace: &str, pod: &str, command: &[&str], purpose: Purpose) -> Result<Stream, Broken> {
    let place = Exec { client, namespace, pod, command };
    let opened = timeout(SILENCE, place.connect(purpose)).await;
    let (sender, source) = opened.map_err(|_| Broken("the API server does not answer".to_owned()))??;
    let (tell, frames) = mpsc::unbounded_channel();
    let task = tokio::spawn(pump(source, tell));
    let mut receiver = Receiver { frames, task };
    let hello = receiver.next().await?;
    let Hello { protocol, address } = hello.as_json::<Hello>().map_err(|e| Broken(e.to_string()))?;
    if hello.kind != kind::HELLO || protocol != AGENT_PROTOCOL {
        return Err(Broken(format!("the agent speaks protocol {protocol}, this program {AGENT_PROTOCOL}")));
    }
    Ok(Stream { sender, receiver, address })
}

/// A command to be run in a pod.
struct Exec<'a> {
    client: &'a Client,
    namespace: &'a str,
    pod: &'a str,
    command: &'a [&'a str],
}

impl Exec<'_> {
    async fn connect(&self, purpose: Purpose) -> Result<(Sender, Source), Broken> {
        if purpose == Purpose::Bulk {
            match self.spdy().await {
                Ok((writer, reader)) => return Ok((Sender::Spdy(writer), Source::Spdy(reader))),
                // A proxy that knows no SPDY, or an account that may get `pods/exec` and not create it.
                Err(Broken(reason)) => debug!(pod = self.pod, reason, "no SPDY"),
            }
        }
        let headers = websocket::headers().map_err(Broken)?;
        let (upgraded, _) = self.upgrade(Method::GET, headers).await?;
        let (writer, reader) = websocket::open(upgraded).await;
        Ok((Sender::WebSocket(writer), Source::WebSocket(reader)))
    }

    async fn spdy(&self) -> Result<(spdy::Writer, spdy::Reader), Broken> {
        let (upgraded, headers) = self.upgrade(Method::POST, spdy::headers()).await?;
        if !spdy::agreed(&headers) {
            return Err(Broken("what was agreed on is not SPDY/3.1".to_owned()));
        }
        spdy::open(upgraded).await.map_err(Broken)
    }

    async fn upgrade(&self, method: Method, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Result<(Upgraded, HeaderMap), Broken> {
        let parameters = AttachParams::default().stdin(true).stdout(true).stderr(true);
        let request = kube::core::Request::new(format!("/api/v1/namespaces/{}/pods", self.namespace));
        let request = request.exec(self.pod, self.command.iter().copied(), &parameters).map_err(|e| Broken(e.to_string()))?;
        let (mut parts, _) = request.into_parts();
        parts.method = method;
        parts.headers.extend(headers);
        let response = self.client.send(http::Request::from_parts(parts, Body::empty())).await.map_err(|e| Broken(format!("exec: {e}")))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            let text = response.into_body().collect_bytes().await.map(|b| String::from_utf8_lossy(&b[..b.len().min(STDERR_MAX)]).into_owned());
            return Err(Broken(format!("exec is refused with {status}: {}", text.unwrap_or_default().trim())));
        }
        let headers = response.headers().clone();
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| Broken(format!("exec: {e}")))?;
        Ok((upgraded, headers))
    }
}

impl Source {
    async fn next(&mut self) -> Result<(Channel, Bytes), String> {
        match self {
            Self::WebSocket(reader) => reader.next().await,
            Self::Spdy(reader) => reader.next().await,
        }
    }
}

/// Reads until the end, whoever listens.
async fn pump(mut source: Source, frames: mpsc::UnboundedSender<Result<Frame, Broken>>) {
    let mut decoder = Decoder::default();
    let (mut stderr, mut ended) = (Vec::new(), Vec::new());
    let end = loop {
        let (channel, bytes) = match timeout(SILENCE, source.next()).await {
            Err(_) => break format!("no sign of life for {} seconds", SILENCE.as_secs()),
            Ok(Err(end)) => break end,
            Ok(Ok(message)) => message,
        };
        match channel {
            Channel::Stdout => {
                decoder.feed(&bytes);
                loop {
                    match decoder.next_frame() {
                        Ok(Some(frame)) if frame.kind == kind::ALIVE => {}
                        Ok(Some(frame)) => {
                            if frames.send(Ok(frame)).is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(e) => {
                            let _ = frames.send(Err(Broken(e.to_string())));
                            return;
                        }
                    }
                }
            }
            Channel::Stderr => keep(&mut stderr, &bytes),
            Channel::Status => keep(&mut ended, &bytes),
            Channel::Stdin => {}
        }
    };
    let said = format!("{} {}", String::from_utf8_lossy(&stderr).trim(), status(&ended));
    let said = said.trim();
    // Nobody listens: then nobody needs to know.
    let _ = frames.send(Err(Broken(if said.is_empty() { end } else { said.to_owned() })));
}

fn keep(said: &mut Vec<u8>, bytes: &[u8]) {
    let room = STDERR_MAX.saturating_sub(said.len());
    said.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// How the process ended: a `Status` of the API, or nothing if it ended well.
fn status(bytes: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Status {
        #[serde(default)]
        status: String,
        #[serde(default)]
        message: String,
    }
    match serde_json::from_slice::<Status>(bytes) {
        Ok(s) if s.status == "Success" => String::new(),
        Ok(s) => format!("({})", s.message),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

impl Sender {
    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &Frame) -> Result<(), Broken> {
        let mut message = Vec::with_capacity(PREFIX + frame.payload.len());
        message.resize(PREFIX, 0);
        message.extend_from_slice(&frame.payload);
        self.send_prepared(frame.kind, message).await
    }

    /// Sends a frame whose payload lies behind [`PREFIX`] bytes of room, so that bulk is not copied once more.
    pub(super) async fn send_prepared(&mut self, kind: u8, mut message: Vec<u8>) -> Result<(), Broken> {
        let length = message.len().saturating_sub(PREFIX);
        message[PREFIX - frame::HEADER..PREFIX].copy_from_slice(&Frame::header(kind, length));
        let sending = async {
            match self {
                Self::WebSocket(writer) => writer.send(message, PREFIX - frame::HEADER).await,
                Self::Spdy(writer) => writer.send(message).await,
            }
        };
        timeout(SILENCE, sending).await.map_err(|_| Broken(format!("nothing could be sent for {} seconds", SILENCE.as_secs())))?.map_err(Broken)
    }
}

impl Receiver {
    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<Frame, Broken> {
        self.frames.recv().await.unwrap_or_else(|| Err(Broken("the stream ended".to_owned())))
    }

    /// A frame that is there already.
    pub(super) fn ready(&mut self) -> Option<Result<Frame, Broken>> {
        self.frames.try_recv().ok()
    }
}
