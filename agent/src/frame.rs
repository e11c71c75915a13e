//! Frames: type (u8), length (u32, big endian), payload.

use std::fmt;

/// Types of frames. Capitals go to the agent, small letters come from it.
pub mod kind {
    /// A [`Request`](crate::Request) in JSON.
    pub const REQUEST: u8 = b'J';
    /// Begins a blob: [`Open`](crate::Open) in JSON.
    pub const OPEN: u8 = b'O';
    /// The next bytes of the blob.
    pub const DATA: u8 = b'D';
    /// The blob is complete.
    pub const COMMIT: u8 = b'C';
    /// Small blobs: length of a JSON [`Pack`](crate::Pack) (u32), that JSON, then the blobs' bytes one after another.
    pub const PACK: u8 = b'P';
    /// The stream is no longer needed.
    pub const QUIT: u8 = b'Q';

    /// First frame of every stream: [`Hello`](crate::Hello) in JSON.
    pub const HELLO: u8 = b'h';
    /// A [`Response`](crate::Response) in JSON.
    pub const RESPONSE: u8 = b'j';
    /// A [`Progress`](crate::Progress) in JSON.
    pub const PROGRESS: u8 = b'p';
    /// Answer to `OPEN`: where to go on (u64), or [`PRESENT`](super::PRESENT).
    pub const OFFSET: u8 = b'o';
    /// How many blobs were opened on this stream before this one (u64), and how many bytes of it are in containerd's hands (u64).
    pub const ACK: u8 = b'a';
    /// A blob or a pack is in the store. Payload: the blob's digest; empty for a pack.
    pub const COMMITTED: u8 = b'c';
    /// A blob failed: [`Failed`](crate::Failed) in JSON.
    pub const FAILED: u8 = b'e';
    /// A sign of life.
    pub const ALIVE: u8 = b'l';
}

/// In an `OFFSET` frame: the store has the blob already.
pub const PRESENT: u64 = u64::MAX;

/// Bytes before the payload.
pub const HEADER: usize = 5;

/// The largest payload that is accepted. API servers reset connections at 32 MiB; nothing we send is near.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?}, {} bytes)", char::from(self.kind), self.payload.len())
    }
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, payload: payload.into() }
    }

    /// A frame that carries a number.
    pub fn number(kind: u8, value: u64) -> Self {
        Self::new(kind, value.to_be_bytes())
    }

    /// A frame that carries two numbers.
    pub fn numbers(kind: u8, first: u64, second: u64) -> Self {
        Self::new(kind, [first.to_be_bytes(), second.to_be_bytes()].concat())
    }

    /// A frame that carries JSON.
    pub fn json(kind: u8, value: &impl serde::Serialize) -> Self {
        // Our messages have string keys and no failing serializers, which is all that can go wrong.
        Self::new(kind, serde_json::to_vec(value).unwrap_or_default())
    }

    /// Reads the payload as a number.
    pub fn as_number(&self) -> Result<u64, FrameError> {
        let wrong = |_| FrameError::Payload { kind: self.kind, reason: "it should be 8 bytes".to_owned() };
        self.payload.as_slice().try_into().map(u64::from_be_bytes).map_err(wrong)
    }

    /// Reads the payload as two numbers.
    pub fn as_numbers(&self) -> Result<(u64, u64), FrameError> {
        let wrong = || FrameError::Payload { kind: self.kind, reason: "it should be 16 bytes".to_owned() };
        let (first, rest) = self.payload.split_first_chunk().ok_or_else(wrong)?;
        let second = rest.try_into().map_err(|_| wrong())?;
        Ok((u64::from_be_bytes(*first), u64::from_be_bytes(second)))
    }

    /// Reads the payload as JSON.
    pub fn as_json<T: serde::de::DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.payload).map_err(|e| FrameError::Payload { kind: self.kind, reason: e.to_string() })
    }

    /// Type and length as they go before the payload.
    pub fn header(kind: u8, length: usize) -> [u8; HEADER] {
        // Payloads are bounded by PAYLOAD_MAX, far below 4 GiB; a longer one is refused by the reader.
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        [kind, length[0], length[1], length[2], length[3]]
    }

    /// The whole frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(&Self::header(self.kind, self.payload.len()));
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// What is wrong with bytes that should be frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than [`PAYLOAD_MAX`].
    TooLong {
        /// The frame's type.
        kind: u8,
        /// The length it claims.
        length: usize,
    },
    /// The payload is not what the type promises.
    Payload {
        /// The frame's type.
        kind: u8,
        /// What was wrong.
        reason: String,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { kind, length } => write!(f, "a frame {:?} claims {length} bytes, at most {PAYLOAD_MAX} are allowed", char::from(*kind)),
            Self::Payload { kind, reason } => write!(f, "a frame {:?} cannot be read: {reason}", char::from(*kind)),
        }
    }
}

impl std::error::Error for FrameError {}

/// Makes frames of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((header, body)) = rest.split_at_checked(HEADER) else { return Ok(None) };
        let kind = header[0];
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > PAYLOAD_MAX {
            return Err(FrameError::TooLong { kind, length });
        }
        let Some(payload) = body.get(..length) else { return Ok(None) };
        let frame = Frame::new(kind, payload);
        self.start += HEADER + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let frames =
            [Frame::new(kind::DATA, vec![7; 300]), Frame::new(kind::COMMIT, []), Frame::number(kind::ACK, 1 << 40), Frame::new(kind::QUIT, b"x".to_vec())];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        for step in [1, 2, 3, 5, 7, 64, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(step) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames, "pieces of {step}");
        }
    }

    #[test]
    fn a_length_beyond_the_budget_is_refused_before_its_bytes_arrive() {
        let mut decoder = Decoder::default();
        decoder.feed(&Frame::header(kind::DATA, PAYLOAD_MAX + 1));
        assert_eq!(decoder.next_frame(), Err(FrameError::TooLong { kind: kind::DATA, length: PAYLOAD_MAX + 1 }));
        let mut decoder = Decoder::default();
        decoder.feed(&Frame::header(kind::DATA, PAYLOAD_MAX));
        assert_eq!(decoder.next_frame(), Ok(None));
    }

    #[test]
    fn numbers_are_eight_bytes() {
        assert_eq!(Frame::number(kind::ACK, 258).encode(), [b'a', 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert!(Frame::new(kind::ACK, [1]).as_number().is_err());
        assert_eq!(Frame::numbers(kind::ACK, 3, 9).as_numbers(), Ok((3, 9)));
        assert!(Frame::number(kind::ACK, 1).as_numbers().is_err());
    }
}
