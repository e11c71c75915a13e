//! Frames on stdin and stdout, which are pipes that the runtime's shim made.

use std::{
    env::var,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use offline_agent::{Frame, HEARTBEAT_SECONDS, Hello, PROTOCOL, env, frame, kind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::error::{Error, Result};

/// A pipe holds 64 KiB unless enlarged; this saves most of the switching between shim and agent.
const PIPE: usize = 1 << 20;

/// Frames as they come in.
pub(crate) struct Input {
    pipe: pipe::Receiver,
}

impl Input {
    /// Takes stdin.
    pub(crate) fn open() -> Result<Self> {
        let descriptor = own(io::stdin())?;
        // More than an unprivileged process may have is refused; the smaller pipe works as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&descriptor, PIPE);
        let pipe = pipe::Receiver::from_owned_fd(descriptor).map_err(|e| Error::protocol(format!("stdin is no pipe: {e}")))?;
        Ok(Self { pipe })
    }

    /// The next frame; none when the other side has gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        let Some((kind, length)) = self.header().await? else { return Ok(None) };
        self.frame(kind, length).await
    }

    /// The same, with the bytes of a blob behind what is in `bulk` already.
    pub(crate) async fn next_or_bulk(&mut self, bulk: &mut Vec<u8>) -> Result<Option<Received>> {
        let Some((kind, length)) = self.header().await? else { return Ok(None) };
        if kind == kind::DATA {
            return Ok(self.payload(length, bulk).await?.then_some(Received::Bulk));
        }
        Ok(self.frame(kind, length).await?.map(Received::Frame))
    }

    async fn frame(&mut self, kind: u8, length: usize) -> Result<Option<Frame>> {
        let mut payload = Vec::new();
        Ok(self.payload(length, &mut payload).await?.then_some(Frame { kind, payload }))
    }

    async fn header(&mut self) -> Result<Option<(u8, usize)>> {
        let mut header = [0; frame::HEADER];
        match self.pipe.read_exact(&mut header).await {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| unreadable(&e))?,
        };
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length > frame::PAYLOAD_MAX {
            return Err(Error::protocol(frame::FrameError::TooLong { kind, length }.to_string()));
        }
        Ok(Some((kind, length)))
    }

    /// Appends a payload. False: the other side has gone before its end.
    async fn payload(&mut self, length: usize, to: &mut Vec<u8>) -> Result<bool> {
        to.reserve(length);
        let mut rest = (&mut self.pipe).take(length as u64);
        while rest.limit() > 0 {
            if rest.read_buf(to).await.map_err(|e| unreadable(&e))? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn unreadable(e: &io::Error) -> Error {
    Error::protocol(format!("cannot read stdin: {e}"))
}

/// What has come in.
pub(crate) enum Received {
    /// The bytes of a blob.
    Bulk,
    /// Anything else.
    Frame(Frame),
}

/// Where answers go. Clones write to the same stdout, frame by frame.
#[derive(Clone)]
pub(crate) struct Output {
    frames: mpsc::Sender<Frame>,
}

impl Output {
    /// Takes stdout and says hello.
    pub(crate) fn open() -> Result<(Self, JoinHandle<()>)> {
        let pipe = pipe::Sender::from_owned_fd(own(io::stdout())?).map_err(|e| Error::protocol(format!("stdout is no pipe: {e}")))?;
        let (frames, receiver) = mpsc::channel(64);
        let writer = tokio::spawn(write(pipe, receiver));
        Ok((Self { frames }, writer))
    }

    /// Sends a frame. If the other side has gone, stdin ends too and so does the process.
    pub(crate) async fn send(&self, frame: Frame) {
        let _ = self.frames.send(frame).await;
    }

    /// Sends a frame unless too many are waiting already.
    pub(crate) fn offer(&self, frame: Frame) {
        let _ = self.frames.try_send(frame);
    }
}

async fn write(mut pipe: pipe::Sender, mut frames: mpsc::Receiver<Frame>) {
    let mut alive = interval(Duration::from_secs(HEARTBEAT_SECONDS));
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alive.tick().await;
    let mut next = Some(Frame::json(kind::HELLO, &Hello { protocol: PROTOCOL, address: var(env::POD_IP).ok() }));
    loop {
        let Some(frame) = next else { return };
        if pipe.write_all(&frame.encode()).await.is_err() {
            return;
        }
        next = tokio::select! {
            frame = frames.recv() => frame,
            _ = alive.tick() => Some(Frame::new(kind::ALIVE, [])),
        };
    }
}

/// Lets the last frames out before the process ends.
pub(crate) async fn finish(output: Output, writer: JoinHandle<()>) {
    drop(output);
    // Tasks may still hold clones; who has quit does not wait for their words.
    let _ = timeout(Duration::from_millis(500), writer).await;
}

fn own(stream: impl AsFd) -> Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned().map_err(|e| Error::unusable(format!("cannot take stdin and stdout: {e}")))
}
