//! A stream over SPDY/3.1, the older of the two protocols for exec, as far as exec needs it (the draft "SPDY Protocol - Draft 3.1";
//! k8s.io/apimachinery `pkg/util/httpstream/spdy`, github.com/moby/spdystream).
//!
//! For bulk it is the better one: container runtimes take the masks off WebSocket messages byte by byte, and collect each message in a buffer
//! that grows as it comes. There is no flow control in the runtimes' SPDY; the window of an upload bounds what is on its way.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, UPGRADE},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    sync::Mutex,
};

use super::Channel;

type Writing = Arc<Mutex<WriteHalf<TokioIo<Upgraded>>>>;

/// The protocol, as an upgrade names it.
const NAME: &str = "SPDY/3.1";

/// What is spoken on the streams (k8s.io/apimachinery, `httpstream.HeaderProtocolVersion`).
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Bytes before the payload of a frame.
pub(super) const HEADER: usize = 8;

/// What the header of a data frame can say of its payload's length.
const LENGTH_MAX: usize = (1 << 24) - 1;

/// Bytes that are taken off the connection at a time.
const READ: usize = 64 << 10;

/// A control frame that is longer is none of a container runtime's.
const CONTROL_MAX: usize = 64 << 10;

/// The version's number, with the bit that marks a control frame.
const VERSION: u32 = 0x8003;

/// Types of control frames. Of the others none asks for anything.
const SYN_STREAM: u32 = 1;
const RST_STREAM: u32 = 3;
const PING: u32 = 6;
const GOAWAY: u32 = 7;

/// Streams that a client opens have odd numbers. In kubectl's order; the first one carries how the process ended.
const STREAMS: [(u32, &str, Channel); 4] =
    [(1, "error", Channel::Status), (3, "stdin", Channel::Stdin), (5, "stdout", Channel::Stdout), (7, "stderr", Channel::Stderr)];
const STDIN: u32 = STREAMS[1].0;

/// What a request for this protocol says. Its method is POST.
pub(super) fn headers() -> [(HeaderName, HeaderValue); 3] {
    let fixed = HeaderValue::from_static;
    [(CONNECTION, fixed("Upgrade")), (UPGRADE, fixed(NAME)), (STREAM_PROTOCOL, fixed(super::PROTOCOL))]
}

/// Whether an answer with status 101 means this protocol.
pub(super) fn agreed(headers: &HeaderMap) -> bool {
    let is = |name, wanted: &str| headers.get(name).is_some_and(|v: &HeaderValue| v.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()));
    is(UPGRADE, NAME) && is(STREAM_PROTOCOL, super::PROTOCOL)
}

/// The writing half.
pub(in crate::cluster::nodes) struct Writer {
    connection: Writing,
}

/// The reading half.
pub(super) struct Reader {
    connection: ReadHalf<TokioIo<Upgraded>>,
    answers: Writing,
    frames: Frames,
}

/// Opens the four streams of an exec.
pub(super) async fn open(upgraded: Upgraded) -> Result<(Writer, Reader), String> {
    let (connection, writer) = split(TokioIo::new(upgraded));
    let writer = Arc::new(Mutex::new(writer));
    let answers = Arc::clone(&writer);
    let mut writer = Writer { connection: writer };
    writer.write(&syn_streams()).await?;
    Ok((writer, Reader { connection, answers, frames: Frames::default() }))
}

impl Writer {
    /// Sends a message that begins with [`HEADER`] bytes of room.
    pub(super) async fn send(&mut self, mut message: Vec<u8>) -> Result<(), String> {
        let length = message.len() - HEADER;
        if length > LENGTH_MAX {
            return Err(format!("a message of {length} bytes is too long"));
        }
        message[..HEADER].copy_from_slice(&header(STDIN, length));
        self.write(&message).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut connection = self.connection.lock().await;
        connection.write_all(bytes).await.map_err(|e| e.to_string())?;
        connection.flush().await.map_err(|e| e.to_string())
    }
}

impl Reader {
    /// What comes next on any stream. An error is the end.
    pub(super) async fn next(&mut self) -> Result<(Channel, Bytes), String> {
        loop {
            match self.frames.next()? {
                Some(Said::Data(channel, bytes)) => return Ok((channel, bytes)),
                Some(Said::Ping(frame)) => {
                    // Beside the reading: who writes may just wait for us to read.
                    let answers = Arc::clone(&self.answers);
                    tokio::spawn(async move { answers.lock().await.write_all(&frame).await });
                }
                None => {
                    self.frames.buffer.reserve(READ);
                    if self.connection.read_buf(&mut self.frames.buffer).await.map_err(|e| e.to_string())? == 0 {
                        return Err("the stream ended".to_owned());
                    }
                }
            }
        }
    }
}

/// What frames mean to us.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Data(Channel, Bytes),
    /// To be sent back as it is.
    Ping(Bytes),
}

/// Takes what was read apart. A data frame is passed on piece by piece, a control frame only whole.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
    /// The stream of the data frame that is being read, if it is one of ours, and what is left of it.
    data: Option<(Option<Channel>, usize)>,
}

impl Frames {
    fn next(&mut self) -> Result<Option<Said>, String> {
        loop {
            if let Some((channel, left)) = &mut self.data {
                if *left == 0 {
                    self.data = None;
                    continue;
                }
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let piece = self.buffer.split_to(self.buffer.len().min(*left)).freeze();
                *left -= piece.len();
                match *channel {
                    Some(channel) => return Ok(Some(Said::Data(channel, piece))),
                    None => continue,
                }
            }
            let Some((head, length)) = self.header() else { return Ok(None) };
            if head >> 31 == 0 {
                self.data = Some((STREAMS.iter().find(|s| s.0 == head).map(|s| s.2), length));
                self.buffer.advance(HEADER);
                continue;
            }
            if head >> 16 != VERSION || length > CONTROL_MAX {
                return Err("what came is not SPDY/3.1".to_owned());
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            let frame = self.buffer.split_to(HEADER + length).freeze();
            match head & 0xffff {
                RST_STREAM => return Err(format!("a stream was reset (status {})", last(&frame))),
                GOAWAY => return Err("the other side closes the connection".to_owned()),
                // Those with even numbers are the server's own.
                PING if last(&frame).is_multiple_of(2) => return Ok(Some(Said::Ping(frame))),
                _ => {}
            }
        }
    }

    /// The first word of a frame, and how long its payload is; between them are flags.
    fn header(&self) -> Option<(u32, usize)> {
        let (first, rest) = self.buffer.split_first_chunk()?;
        let second = rest.first_chunk()?;
        Some((u32::from_be_bytes(*first), (u32::from_be_bytes(*second) & 0xff_ffff) as usize))
    }
}

/// The last number of a frame.
fn last(frame: &[u8]) -> u32 {
    frame.last_chunk().map_or(0, |last| u32::from_be_bytes(*last))
}

/// The header of a data frame (section 2.2.2).
fn header(stream: u32, length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&stream.to_be_bytes());
    // Callers know that it fits into 24 bits; before these are the flags.
    header[4..].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
    header
}

/// The frames that open the streams (section 2.6.1). The header blocks of a connection are one zlib stream (2.6.10.1): ours is of stored blocks, which
/// say the same with or without the dictionary that the draft has for it.
fn syn_streams() -> Vec<u8> {
    let mut frames = Vec::new();
    for (at, (stream, name, _)) in STREAMS.iter().enumerate() {
        let mut block = Vec::from(1u32.to_be_bytes());
        for text in ["streamtype", name] {
            // A dozen bytes.
            block.extend(u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
            block.extend(text.as_bytes());
        }
        let length = u16::try_from(block.len()).unwrap_or(0);
        let mut payload = Vec::from(stream.to_be_bytes());
        // No stream that this one belongs to, and the highest priority.
        payload.extend([0; 6]);
        if at == 0 {
            // Deflate with a window of 32 KiB (RFC 1950, section 2.2).
            payload.extend([0x78, 0x01]);
        }
        // Not the last block, and stored (RFC 1951, section 3.2.4).
        payload.push(0);
        payload.extend(length.to_le_bytes());
        payload.extend((!length).to_le_bytes());
        payload.extend(block);
        // The empty block of a flush: Go's reader gives nothing out before it.
        payload.extend([0, 0, 0, 0xff, 0xff]);
        frames.extend((VERSION << 16 | SYN_STREAM).to_be_bytes());
        frames.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
        frames.extend(payload);
    }
    frames
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn header_blocks_are_one_zlib_stream() {
        let frames = syn_streams();
        let (mut rest, mut deflated, mut streams) = (frames.as_slice(), Vec::new(), Vec::new());
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            assert_eq!(head[..5], [0x80, 3, 0, 1, 0]);
            let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            streams.push(u32::from_be_bytes(*after.first_chunk().unwrap()));
            deflated.extend_from_slice(&after[10..length]);
            rest = &after[length..];
        }
        assert_eq!(streams, [1, 3, 5, 7]);
        let mut text = Vec::new();
        // It has no end, as the connection has none.
        let end = flate2::read::ZlibDecoder::new(deflated.as_slice()).read_to_end(&mut text);
        assert!(end.is_err());
        let pair = |name: &str| [&[0, 0, 0, 1, 0, 0, 0, 10], b"streamtype".as_slice(), &[0, 0, 0, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        assert_eq!(text, ["error", "stdin", "stdout", "stderr"].map(pair).concat());
    }

    #[derive(Default)]
    struct Heard {
        data: Vec<(Channel, Vec<u8>)>,
        pings: Vec<Bytes>,
        end: Option<String>,
    }

    /// All that is said by frames that come in pieces of some size.
    fn heard(bytes: &[u8], piece: usize) -> Heard {
        let (mut heard, mut frames) = (Heard::default(), Frames::default());
        for chunk in bytes.chunks(piece) {
            frames.buffer.extend_from_slice(chunk);
            loop {
                match frames.next() {
                    Ok(Some(Said::Data(channel, bytes))) => match heard.data.last_mut() {
                        Some((last, all)) if *last == channel => all.extend_from_slice(&bytes),
                        _ => heard.data.push((channel, bytes.to_vec())),
                    },
                    Ok(Some(Said::Ping(frame))) => heard.pings.push(frame),
                    Ok(None) => break,
                    Err(end) => return Heard { end: Some(end), ..heard },
                }
            }
        }
        heard
    }

    #[test]
    fn frames_are_read_whatever_the_pieces() {
        let ping = |id: u8| [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, id];
        let mut bytes = Vec::new();
        bytes.extend([0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1, 0x78, 0x9c]); // SYN_REPLY
        bytes.extend(header(5, 3));
        bytes.extend(b"out");
        bytes.extend(header(9, 2)); // no stream of ours
        bytes.extend(b"??");
        bytes.extend(header(5, 0));
        bytes.extend(ping(2));
        bytes.extend(ping(1)); // an answer to a ping, not one
        bytes.extend(header(7, 3));
        bytes.extend(b"err");
        bytes.extend(header(1, 1));
        bytes.extend(b"{");
        bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 5]); // RST_STREAM
        for piece in [1, 2, 7, 1000] {
            let Heard { data, pings, end } = heard(&bytes, piece);
            assert_eq!(data, [(Channel::Stdout, b"out".to_vec()), (Channel::Stderr, b"err".to_vec()), (Channel::Status, b"{".to_vec())], "{piece}");
            assert_eq!(pings, [Bytes::copy_from_slice(&ping(2))]);
            assert_eq!(end.as_deref(), Some("a stream was reset (status 5)"));
        }
    }

    #[test]
    fn what_is_no_spdy_ends_the_stream() {
        for bytes in [&b"\x80\x02\0\x01\0\0\0\0"[..], b"\x80\x03\0\x02\0\xff\xff\xff"] {
            assert_eq!(heard(bytes, 3).end.as_deref(), Some("what came is not SPDY/3.1"));
        }
    }
}
