//! Reads the container: which entries there are and where, without looking into any. Strict to the byte.

use std::collections::BTreeSet;

use super::{
    Fault, Flaw, Limits,
    header::{self, BLOCK, BLOCK_U64},
    medium::{self, Medium},
    names::{self, Name},
};

/// An entry; `offset` is that of its content.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) label: String,
    pub(crate) name: Name,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// All entries of an archive, in order.
pub(crate) fn scan(medium: &dyn Medium, limits: &Limits) -> Result<Vec<Entry>, Flaw> {
    let mut tape = Whole { medium, length: medium.length(), at: 0 };
    let mut scanner = Scanner::new(limits);
    while let Some(entry) = scanner.next(&mut tape)? {
        let flaw = |fault| Flaw::new(entry.label.clone(), fault);
        // The end is known, so that a size that is a lie is noticed before anything is looked for there.
        let next = scanner.at;
        if next > tape.length {
            return Err(flaw(Fault::Truncated { missing: next - tape.length }));
        }
        tape.at = entry.offset + entry.size;
        padding(&mut tape, entry.size).map_err(flaw)?;
    }
    scanner.finish()
}

/// What a tar is read from, from the start to the end.
pub(crate) trait Tape {
    /// Fills the buffer with what comes next.
    fn take(&mut self, buffer: &mut [u8]) -> Result<(), Fault>;

    /// How much there still is; of a stream, no more is counted than has come.
    fn left(&mut self) -> Result<u64, Fault>;
}

/// A medium, whose length is known.
struct Whole<'a> {
    medium: &'a dyn Medium,
    length: u64,
    at: u64,
}

impl Tape for Whole<'_> {
    fn take(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        let wanted = buffer.len() as u64;
        if self.length - self.at < wanted {
            return Err(Fault::Truncated { missing: self.at + wanted - self.length });
        }
        medium::read_exact_at(self.medium, buffer, self.at).map_err(Fault::Read)?;
        self.at += wanted;
        Ok(())
    }

    fn left(&mut self) -> Result<u64, Fault> {
        Ok(self.length - self.at)
    }
}

/// Reads one header after the other; contents and padding between them are the caller's.
pub(crate) struct Scanner<'a> {
    limits: &'a Limits,
    entries: Vec<Entry>,
    seen: BTreeSet<String>,
    /// Where the next header stands.
    at: u64,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self { limits, entries: Vec::new(), seen: BTreeSet::new(), at: 0 }
    }

    /// The next entry, none at the end of the archive. The tape stands behind its header.
    pub(crate) fn next(&mut self, tape: &mut dyn Tape) -> Result<Option<Entry>, Flaw> {
        let after = self.entries.last().map_or("the start", |entry| &entry.label);
        let place = format!("at byte {}, after {after}", self.at);
        let mut head = [0; BLOCK];
        tape.take(&mut head).map_err(|fault| Flaw::new(place.clone(), fault))?;
        if head == [0; BLOCK] {
            end(tape).map_err(|fault| Flaw::new(format!("end of the archive {place}"), fault))?;
            return Ok(None);
        }
        let label = header::name(&head);
        let label = if label.is_empty() { place } else { label };
        let flaw = |fault| Flaw::new(label.clone(), fault);
        let size = header::size(&head, &label).map_err(flaw)?;
        let name = Name::parse(&label).ok_or_else(|| flaw(Fault::Name))?;
        let max = maximum(&name, self.limits);
        if size > max {
            return Err(flaw(Fault::TooLarge { size, max }));
        }
        if !self.seen.insert(label.clone()) {
            return Err(flaw(Fault::Duplicate));
        }
        if self.entries.len() == self.limits.entries {
            return Err(flaw(Fault::TooMany { max: self.limits.entries }));
        }
        let offset = self.at + BLOCK_U64;
        self.at = header::padded(size).and_then(|padded| offset.checked_add(padded)).ok_or_else(|| flaw(Fault::Header))?;
        let entry = Entry { label, name, offset, size };
        self.entries.push(entry.clone());
        Ok(Some(entry))
    }

    /// What was read so far, held against the format as if it were all, without the entry that was read last.
    pub(crate) fn so_far(&self) -> Result<Vec<Entry>, Flaw> {
        let before = &self.entries[..self.entries.len().saturating_sub(1)];
        check_sequence(before, self.limits, self.at)?;
        Ok(before.to_vec())
    }

    /// Holds the order of all entries against the format.
    pub(crate) fn finish(self) -> Result<Vec<Entry>, Flaw> {
        check_sequence(&self.entries, self.limits, self.at)?;
        Ok(self.entries)
    }
}

/// What fills the last block of an entry.
pub(crate) fn padding(tape: &mut dyn Tape, size: u64) -> Result<(), Fault> {
    let mut filling = [0; BLOCK];
    let rest = usize::try_from(size % BLOCK_U64).map_err(|_| Fault::Padding)?;
    let filling = &mut filling[..(BLOCK - rest) % BLOCK];
    tape.take(filling)?;
    if filling.iter().all(|&b| b == 0) { Ok(()) } else { Err(Fault::Padding) }
}

fn maximum(name: &Name, limits: &Limits) -> u64 {
    match name {
        Name::Layout => names::LAYOUT_CONTENT.len() as u64,
        Name::Index => limits.document,
        Name::Signature | Name::FurtherSignature(_) => limits.signature,
        Name::DockerList => limits.docker_list,
        Name::Blob(_) => limits.layer,
    }
}

/// Two blocks of zeros, of which one was read, and then nothing.
fn end(tape: &mut dyn Tape) -> Result<(), Fault> {
    let mut second = [0; BLOCK];
    tape.take(&mut second)?;
    if second != [0; BLOCK] {
        return Err(Fault::Trailing(BLOCK_U64 + tape.left()?));
    }
    match tape.left()? {
        0 => Ok(()),
        more => Err(Fault::Trailing(more)),
    }
}

/// The head stands in a fixed order; blobs follow it.
fn check_sequence(entries: &[Entry], limits: &Limits, end: u64) -> Result<(), Flaw> {
    let mut rest = entries.iter().peekable();
    for wanted in [Name::Layout, Name::Index, Name::Signature] {
        expect(rest.next(), &wanted, end)?;
    }
    let mut last = 0;
    while let Some(Entry { name: Name::FurtherSignature(number), label, .. }) = rest.peek() {
        if *number <= last {
            return Err(Flaw::new(label.clone(), Fault::Order { wanted: "a signature with a higher number".into() }));
        }
        if usize::from(*number) > limits.signatures {
            return Err(Flaw::new(label.clone(), Fault::TooMany { max: limits.signatures }));
        }
        last = *number;
        rest.next();
    }
    expect(rest.next(), &Name::DockerList, end)?;
    match rest.find(|entry| !matches!(entry.name, Name::Blob(_))) {
        Some(entry) => Err(Flaw::new(entry.label.clone(), Fault::Order { wanted: "a blob".into() })),
        None => Ok(()),
    }
}

fn expect(found: Option<&Entry>, wanted: &Name, end: u64) -> Result<(), Flaw> {
    let label = match wanted {
        Name::Layout => names::LAYOUT,
        Name::Index => names::INDEX,
        Name::Signature => names::SIGNATURE,
        _ => names::DOCKER_LIST,
    };
    match found {
        Some(entry) if entry.name == *wanted => Ok(()),
        Some(entry) => Err(Flaw::new(entry.label.clone(), Fault::Order { wanted: label.into() })),
        None => Err(Flaw::new(label, Fault::Missing { by: format!("the format; the archive ends at byte {end}") })),
    }
}
