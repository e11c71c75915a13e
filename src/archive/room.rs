//! More room for signatures in an archive that was written with less.

use super::{
    ArchiveError, BuildError, SIGNATURES_MAX,
    builder::{SIGNATURE_ROOM, padded_signature},
    header,
    medium::{self, Medium},
    names::{self, Name},
    unverified::Opened,
};
use crate::io::{self, FileError, NewFile};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// Writes the archive anew, under its own name, with blank places for signatures after those that it has.
pub(crate) fn rewrite(opened: &Opened, signatures: usize) -> Result<(), ArchiveError> {
    let more = blank_entries(opened, signatures)?;
    let (path, medium) = (&opened.path, &*opened.medium);
    let wanted = medium.length() + more.len() as u64;
    if let Some(free) = io::free_space(path)?.filter(|&free| free < wanted) {
        return Err(ArchiveError::NoSpace { path: path.clone(), wanted, free });
    }
    let new = NewFile::create(path)?;
    let end = opened.signatures.iter().filter_map(|entry| Some(entry.offset + header::padded(entry.size)?)).max().unwrap_or_default();
    let written = copy(medium, 0..end, &new, 0)
        .and_then(|()| io::write_all_at(new.file(), &more, end))
        .and_then(|()| copy(medium, end..medium.length(), &new, more.len() as u64));
    written.map_err(|source| FileError::new("write", new.part(), source))?;
    Ok(new.keep()?)
}

/// The entries that are missing: the lowest numbers above those in use, because numbers ascend.
fn blank_entries(opened: &Opened, signatures: usize) -> Result<Vec<u8>, ArchiveError> {
    let last = opened.signatures.iter().filter_map(|entry| if let Name::FurtherSignature(number) = entry.name { Some(usize::from(number)) } else { None });
    let last = last.max().unwrap_or_default();
    let missing = signatures.saturating_sub(opened.signatures.len());
    if last + missing >= SIGNATURES_MAX {
        return Err(BuildError::NoRoom { wanted: signatures, room: SIGNATURES_MAX }.into());
    }
    let blank = padded_signature(None, SIGNATURE_ROOM)?;
    let mut bytes = Vec::new();
    for number in last + 1..=last + missing {
        bytes.extend(header::write(&names::further_signature(number), blank.len() as u64));
        bytes.extend(&blank);
        // The room is a number of whole blocks.
    }
    Ok(bytes)
}

fn copy(from: &dyn Medium, range: std::ops::Range<u64>, to: &NewFile, shift: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = range.start;
    while at < range.end {
        let n = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
        medium::read_exact_at(from, &mut buffer[..n], at)?;
        io::write_all_at(to.file(), &buffer[..n], at + shift)?;
        at += n as u64;
    }
    Ok(())
}
