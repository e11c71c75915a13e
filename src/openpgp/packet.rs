//! Packets (RFC 9580, section 4), and the fields that they are made of.

use super::{PgpError, key::PublicKey, signature::Signature, structural, unsupported};

/// Longest number that is read, in bits; keys that people use have 4096 at most.
const MPI_BITS: usize = 16_384;

/// What of a packet counts here.
#[derive(Debug)]
pub(super) enum Packet {
    /// A public key, or the public part of a private one.
    Key(Box<PublicKey>),
    /// Whose key it is.
    UserId(Vec<u8>),
    /// A signature.
    Signature(Box<Signature>),
    /// A key whose algorithm is not known.
    UnknownKey {
        /// Whether it belongs to the key before it.
        subkey: bool,
    },
    /// Something of no interest.
    Other,
    /// Something that should be one of these.
    Broken(PgpError),
}

/// All packets. What is not known is left out as go-crypto does (packet/reader.go, `Next`); an error is one after which nothing can be found.
pub(super) fn all(bytes: &[u8]) -> Result<Vec<Packet>, PgpError> {
    let (mut cursor, mut found) = (Cursor(bytes), Vec::new());
    while !cursor.0.is_empty() {
        let (tag, body) = cursor.packet()?;
        found.push(match read(tag, body) {
            Ok(packet) => packet,
            Err(PgpError::Unsupported(_)) if matches!(tag, 5 | 6 | 7 | 14) => Packet::UnknownKey { subkey: matches!(tag, 7 | 14) },
            Err(PgpError::Unsupported(_)) => Packet::Other,
            Err(error) => Packet::Broken(error),
        });
    }
    Ok(found)
}

/// Tags are those of section 5.
fn read(tag: u8, body: &[u8]) -> Result<Packet, PgpError> {
    Ok(match tag {
        2 => Packet::Signature(Box::new(Signature::parse(body)?)),
        5 | 6 => Packet::Key(Box::new(PublicKey::parse(body, false)?)),
        7 | 14 => Packet::Key(Box::new(PublicKey::parse(body, true)?)),
        13 => Packet::UserId(body.to_owned()),
        _ => Packet::Other,
    })
}

/// Bytes from front to back.
#[derive(Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], PgpError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PgpError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to four octets.
    pub(super) fn number(&mut self, octets: usize) -> Result<u32, PgpError> {
        Ok(self.take(octets)?.iter().fold(0, |number, octet| (number << 8) | u32::from(*octet)))
    }

    pub(super) fn octet(&mut self) -> Result<u8, PgpError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn length(&mut self, octets: usize) -> Result<usize, PgpError> {
        usize::try_from(self.number(octets)?).map_err(|_| PgpError::Cut)
    }

    /// A multiprecision integer (section 3.2).
    pub(super) fn mpi(&mut self) -> Result<&'a [u8], PgpError> {
        let bits = self.length(2)?;
        if bits > MPI_BITS {
            return Err(unsupported(format!("a number of {bits} bits")));
        }
        self.take(bits.div_ceil(8))
    }

    /// A field that says in one octet how long it is, such as a curve's identifier.
    pub(super) fn short(&mut self) -> Result<&'a [u8], PgpError> {
        let length = self.length(1)?;
        self.take(length)
    }

    /// A packet's tag and body (section 4.2). Keys and signatures have no partial lengths.
    fn packet(&mut self) -> Result<(u8, &'a [u8]), PgpError> {
        let head = self.octet()?;
        if head & 0x80 == 0 {
            return Err(structural("tag byte does not have MSB set"));
        }
        let (tag, length) = if head & 0x40 == 0 {
            let length = match head & 3 {
                3 => self.0.len(),
                kind => self.length(1 << kind)?,
            };
            ((head >> 2) & 0xf, length)
        } else {
            let length = match self.octet()? {
                first @ 0..192 => usize::from(first),
                first @ 192..224 => ((usize::from(first) - 192) << 8) + self.length(1)? + 192,
                255 => self.length(4)?,
                _ => return Err(structural("a packet in parts")),
            };
            (head & 0x3f, length)
        };
        Ok((tag, self.take(length)?))
    }

    /// A subpacket: its type, whether it is critical, and its content (section 5.2.3.7).
    pub(super) fn subpacket(&mut self) -> Result<(u8, bool, &'a [u8]), PgpError> {
        let truncated = |_| structural("signature subpacket truncated");
        let length = match self.octet()? {
            first @ 0..192 => usize::from(first),
            255 => self.length(4).map_err(truncated)?,
            first => ((usize::from(first) - 192) << 8) + self.length(1).map_err(truncated)? + 192,
        };
        let content = self.take(length).map_err(truncated)?;
        let (head, content) = content.split_first().ok_or_else(|| structural("zero length signature subpacket"))?;
        Ok((head & 0x7f, head & 0x80 != 0, content))
    }
}
