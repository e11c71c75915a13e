//! Strings that are not UTF-8. Go's strings are bytes; ours are text, in which a character of the last private plane stands in for each
//! byte that belongs to no character. So every function of text works on them, and those that know bytes ask for the bytes.
//! Until the first such string of a run, the characters stand for themselves.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write as _;

/// The character that stands in for byte 0 would be this one.
const BASE: u32 = 0x10_fe00;

thread_local! {
    /// Whether this run has made such a string. A run is one thread.
    static USED: Cell<bool> = const { Cell::new(false) };
}

/// Forgets the strings of an earlier run on this thread.
pub(crate) fn forget_stand_ins() {
    USED.set(false);
}

/// The byte that a character stands in for.
pub(crate) fn byte(c: char) -> Option<u8> {
    if u32::from(c) < BASE || !USED.get() {
        return None;
    }
    u8::try_from(u32::from(c) - BASE).ok().filter(|byte| *byte >= 0x80)
}

/// A string of these bytes.
pub(crate) fn text_from(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            USED.set(true);
            out.extend(char::from_u32(BASE + u32::from(*byte)));
        }
    }
    out
}

/// The bytes of a string.
pub(crate) fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !USED.get() || !text.chars().any(|c| byte(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// The text that Go shows where there has to be some: each byte that belongs to no character becomes U+FFFD.
pub(crate) fn lossy(text: &str) -> Cow<'_, str> {
    if !USED.get() || !text.chars().any(|c| byte(c).is_some()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if byte(c).is_some() { '\u{fffd}' } else { c }).collect())
}

/// `strconv.Quote`, which shows such bytes by number.
pub(crate) fn quote(text: &str, one: fn(&str) -> String) -> String {
    if !USED.get() || !text.chars().any(|c| byte(c).is_some()) {
        return one(text);
    }
    let mut out = "\"".to_owned();
    let mut rest = text;
    while let Some(at) = rest.find(|c| byte(c).is_some()) {
        let quoted = one(&rest[..at]);
        out.push_str(&quoted[1..quoted.len() - 1]);
        let mut chars = rest[at..].chars();
        if let Some(byte) = chars.next().and_then(byte) {
            let _ = write!(out, "\\x{byte:02x}");
        }
        rest = chars.as_str();
    }
    let quoted = one(rest);
    out + &quoted[1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_comes_back_as_it_was() {
        let bytes = [b'a', 0xff, 0xe6, 0x97, b'b', 0xc3, 0xa9];
        let text = text_from(&bytes);
        assert_eq!(*bytes_of(&text), bytes);
        assert_eq!(lossy(&text), "a\u{fffd}\u{fffd}\u{fffd}b\u{e9}");
        assert_eq!(quote(&text, crate::chart::gotmpl::quote), r#""a\xff\xe6\x97b\u{e9}""#.replace("\\u{e9}", "\u{e9}"));
        forget_stand_ins();
        assert_eq!(*bytes_of(&text), *text.as_bytes());
    }
}
