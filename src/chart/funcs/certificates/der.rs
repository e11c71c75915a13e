//! As much of DER as certificates and keys need.

/// One element: its tag, its length and its content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let from = length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1);
            out.push(0x80 | u8::try_from(length.len() - from).unwrap_or(0));
            out.extend_from_slice(&length[from..]);
        }
    }
    out.extend_from_slice(content);
    out
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// A positive integer.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let from = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let mut content = bytes[from..].to_vec();
    if content.first().is_none_or(|b| b & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

/// A bit string of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(0x04, bytes)
}

/// Takes one element off the front: tag, content, all of it, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    pub whole: &'a [u8],
    pub rest: &'a [u8],
}

pub(super) fn read(bytes: &[u8]) -> Option<Read<'_>> {
    let (&tag, tail) = bytes.split_first()?;
    let (&first, mut tail) = tail.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || tail.len() < count {
            return None;
        }
        let length = tail[..count].iter().fold(0, |n, b| n << 8 | usize::from(*b));
        tail = &tail[count..];
        length
    };
    if tail.len() < length {
        return None;
    }
    let (content, rest) = tail.split_at(length);
    Some(Read { tag, content, whole: &bytes[..bytes.len() - rest.len()], rest })
}

/// The elements that stand one behind the other.
pub(super) fn elements(mut bytes: &[u8]) -> Option<Vec<Read<'_>>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let next = read(bytes)?;
        bytes = next.rest;
        all.push(next);
    }
    Some(all)
}
