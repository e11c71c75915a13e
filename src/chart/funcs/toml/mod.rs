//! Helm's `toToml` and `fromToml`: BurntSushi/toml v1.6.

mod decode;
mod encode;
mod lex;
mod scalar;

use super::Kind::{Any, Str};
use super::{Function, fixed};
use crate::chart::value::Go;

pub(super) const ALL: &[Function] = &[
    // What goes wrong is the text.
    fixed("toToml", &[Any], |c| match encode::encode(&c.any(0)) {
        Ok(text) | Err(encode::Failure::Error(text)) => Ok(text.into()),
        Err(encode::Failure::Panic(text)) => Err(text),
    }),
    fixed("fromToml", &[Str], |c| Ok(decode::decode(&c.str(0)).unwrap_or_else(|text| Go::dict([("Error", text.into())])))),
];

/// A part of a key, in quotes where it needs them (`Key.maybeQuoted`).
fn key_part(part: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !part.is_empty() && part.bytes().all(bare) { part.to_owned() } else { format!("\"{}\"", escape(part)) }
}

/// A whole key.
fn key_text(key: &[String]) -> String {
    key.iter().map(|part| key_part(part)).collect::<Vec<_>>().join(".")
}

/// `dblQuotedReplacer`.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 || c == '\x7f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}
