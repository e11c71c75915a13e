//! One exec stream to an agent, with our frames on it.
//!
//! A WebSocket of our own, not kube's `AttachedProcess`: that cuts everything to 4 KiB and always offers v5 of the protocol first, which makes
//! the API server translate to SPDY; v4 is passed through as bytes, at a quarter of the cost. What v4 lacks, an end of stdin, our framing
//! does not need.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use kube::{Client, api::AttachParams, client::Body};
use offline_agent::{Decoder, Frame, Hello, PROTOCOL, frame, kind};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::client::generate_key,
        protocol::{Role, WebSocketConfig},
    },
};

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// An agent says something every few seconds; a stream that is silent for so long is dead, whatever TCP believes.
const SILENCE: Duration = Duration::from_secs(45);

/// Bytes of stderr that are kept for an error message.
const STDERR_MAX: usize = 4 << 10;

/// Channels of the protocol (k8s.io/apimachinery, pkg/util/remotecommand/constants.go).
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// Bytes that go before a payload in a message: the channel, and the frame's header.
pub(super) const PREFIX: usize = 1 + frame::HEADER;

/// Why a stream is of no use any more.
#[derive(Debug, Clone)]
pub(super) struct Broken(pub(super) String);

/// The writing half.
pub(super) struct Sender {
    sink: SplitSink<Socket, Message>,
}

/// The reading half. What arrives is taken off the socket by a task of its own, so that neither side ever waits for the other to read.
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

/// Starts a process in a pod's only container and waits for the agent's hello.
pub(super) async fn open(client: &Client, namespace: &str, pod: &str, command: &[&str]) -> Result<Stream, Broken> {
    let socket = timeout(SILENCE, upgrade(client, namespace, pod, command)).await.map_err(|_| Broken("the API server does not answer".to_owned()))??;
    let (sink, stream) = socket.split();
    let (sender, frames) = mpsc::unbounded_channel();
    let task = tokio::spawn(pump(stream, sender));
    let mut receiver = Receiver { frames, task };
    let hello = receiver.next().await?;
    let Hello { protocol, address } = hello.as_json::<Hello>().map_err(|e| Broken(e.to_string()))?;
    if hello.kind != kind::HELLO || protocol != PROTOCOL {
        return Err(Broken(format!("the agent speaks protocol {protocol}, this program {PROTOCOL}")));
    }
    Ok(Stream { sender: Sender { sink }, receiver, address })
}

async fn upgrade(client: &Client, namespace: &str, pod: &str, command: &[&str]) -> Result<Socket, Broken> {
    let parameters = AttachParams::default().stdin(true).stdout(true).stderr(true);
    let request = kube::core::Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let request = request.exec(pod, command.iter().copied(), &parameters).map_err(|e| Broken(e.to_string()))?;
    let (mut parts, _) = request.into_parts();
    let key = HeaderValue::from_str(&generate_key()).map_err(|e| Broken(e.to_string()))?;
    let fixed = HeaderValue::from_static;
    for (name, value) in [
        ("connection", fixed("Upgrade")),
        ("upgrade", fixed("websocket")),
        ("sec-websocket-version", fixed("13")),
        ("sec-websocket-key", key),
        ("sec-websocket-protocol", fixed("v4.channel.k8s.io")),
    ] {
        parts.headers.insert(HeaderName::from_static(name), value);
    }
    let response = client.send(http::Request::from_parts(parts, Body::empty())).await.map_err(|e| Broken(format!("exec: {e}")))?;
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        let text = response.into_body().collect_bytes().await.map(|b| String::from_utf8_lossy(&b[..b.len().min(STDERR_MAX)]).into_owned());
        return Err(Broken(format!("exec is refused with {status}: {}", text.unwrap_or_default().trim())));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|e| Broken(format!("exec: {e}")))?;
    let config = WebSocketConfig::default().write_buffer_size(0).max_write_buffer_size(64 << 20);
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

/// Reads until the end, whoever listens.
async fn pump(mut stream: SplitStream<Socket>, frames: mpsc::UnboundedSender<Result<Frame, Broken>>) {
    let mut decoder = Decoder::default();
    let said = Arc::new(Mutex::new(String::new()));
    let end = loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Err(_) => break format!("no sign of life for {} seconds", SILENCE.as_secs()),
            Ok(None) => break "the stream ended".to_owned(),
            Ok(Some(Err(e))) => break e.to_string(),
            Ok(Some(Ok(Message::Close(frame)))) => break frame.map_or_else(|| "the stream was closed".to_owned(), |f| format!("closed: {f}")),
            Ok(Some(Ok(message))) => message,
        };
        let Message::Binary(bytes) = message else { continue };
        let Some((&channel, bytes)) = bytes.split_first() else { continue };
        match channel {
            STDOUT => {
                decoder.feed(bytes);
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
            STDERR => keep(&said, bytes),
            STATUS => keep(&said, status(bytes).as_bytes()),
            _ => {}
        }
    };
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
    // Nobody listens: then nobody needs to know.
    let _ = frames.send(Err(Broken(if said.is_empty() { end } else { said })));
}

fn keep(said: &Mutex<String>, bytes: &[u8]) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if !bytes.is_empty() && said.len() + bytes.len() <= STDERR_MAX {
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(String::from_utf8_lossy(bytes).trim());
    }
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
        message[0] = STDIN;
        message[1..PREFIX].copy_from_slice(&Frame::header(kind, length));
        let sent = timeout(SILENCE, self.sink.send(Message::Binary(Bytes::from(message)))).await;
        sent.map_err(|_| Broken(format!("nothing could be sent for {} seconds", SILENCE.as_secs())))?.map_err(|e| Broken(e.to_string()))
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
