//! What an archive is read from: a file, or whatever else gives bytes at an offset.

use std::{fmt::Debug, fs::File, io::Result};

use super::volumes::VolumeError;
use crate::io;

/// The bytes of an archive, wherever they are. Several threads may read at a time.
///
/// Nothing that it gives is trusted: what is used is hashed, each time that it is read.
pub trait Medium: Debug + Send + Sync {
    /// Bytes of the whole archive.
    fn length(&self) -> u64;

    /// Some bytes from an offset on; 0 only at the end, or into an empty buffer.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Something that was read is wrong: which piece is to blame, where there are pieces and it can be told. This may take a while.
    fn blame(&self) -> Option<VolumeError> {
        None
    }
}

/// Fills the whole buffer.
pub(crate) fn read_exact_at(medium: &dyn Medium, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
    while !buffer.is_empty() {
        match medium.read_at(buffer, offset) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One file.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: File,
    length: u64,
}

impl WholeFile {
    /// `length` is that of the file.
    pub(crate) fn new(file: File, length: u64) -> Self {
        Self { file, length }
    }
}

impl Medium for WholeFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        io::read_at(&self.file, buffer, offset)
    }
}
