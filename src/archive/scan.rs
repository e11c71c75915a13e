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
    let length = medium.length();
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    let mut at = 0;
    loop {
        let after = entries.last().map_or("the start", |entry: &Entry| &entry.label);
        let place = || format!("at byte {at}, after {after}");
        let head = block(medium, at, length).map_err(|fault| Flaw::new(place(), fault))?;
        if head == [0; BLOCK] {
            end(medium, at, length).map_err(|fault| Flaw::new(format!("end of the archive {}", place()), fault))?;
            break;
        }
        let label = header::name(&head);
        let label = if label.is_empty() { place() } else { label };
        let flaw = |fault| Flaw::new(label.clone(), fault);
        let size = header::size(&head, &label).map_err(flaw)?;
        let name = Name::parse(&label).ok_or_else(|| flaw(Fault::Name))?;
        let max = maximum(&name, limits);
        if size > max {
            return Err(flaw(Fault::TooLarge { size, max }));
        }
        if !seen.insert(label.clone()) {
            return Err(flaw(Fault::Duplicate));
        }
        if entries.len() == limits.entries {
            return Err(flaw(Fault::TooMany { max: limits.entries }));
        }
        let offset = at + BLOCK_U64;
        let next = header::padded(size).and_then(|padded| offset.checked_add(padded)).ok_or_else(|| flaw(Fault::Header))?;
        if next > length {
            return Err(flaw(Fault::Truncated { missing: next - length }));
        }
        zeros(medium, offset + size, next).map_err(flaw)?;
        entries.push(Entry { label, name, offset, size });
        at = next;
    }
    check_sequence(&entries, limits, at)?;
    Ok(entries)
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

fn block(medium: &dyn Medium, at: u64, length: u64) -> Result<header::Block, Fault> {
    if length - at < BLOCK_U64 {
        return Err(Fault::Truncated { missing: at + BLOCK_U64 - length });
    }
    let mut block = [0; BLOCK];
    medium::read_exact_at(medium, &mut block, at).map_err(Fault::Read)?;
    Ok(block)
}

/// Two blocks of zeros, and then nothing.
fn end(medium: &dyn Medium, at: u64, length: u64) -> Result<(), Fault> {
    if block(medium, at + BLOCK_U64, length)? != [0; BLOCK] {
        return Err(Fault::Trailing(length - at - BLOCK_U64));
    }
    match length - at - 2 * BLOCK_U64 {
        0 => Ok(()),
        more => Err(Fault::Trailing(more)),
    }
}

fn zeros(medium: &dyn Medium, from: u64, to: u64) -> Result<(), Fault> {
    let mut padding = [0; BLOCK];
    let padding = &mut padding[..usize::try_from(to - from).map_err(|_| Fault::Padding)?];
    medium::read_exact_at(medium, padding, from).map_err(Fault::Read)?;
    if padding.iter().all(|&b| b == 0) { Ok(()) } else { Err(Fault::Padding) }
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
