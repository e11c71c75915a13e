//! Between Go values and JSON, and JSON text as encoding/json writes it.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Number, Value};

use super::bytes::byte;
use super::structs::json_members;
use super::{Go, IntKind, MAX_NESTING, lossy};
use crate::chart::meter;
use crate::goyaml;

/// Values as templates see them: integers stay `int64`, all else is `float64`, as after Helm's own decoding.
pub(crate) fn from_json(value: &Value) -> Go {
    match value {
        Value::Null => Go::Nil,
        Value::Bool(b) => Go::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(i) => Go::Int(i, IntKind::Int64),
            None => Go::Float(n.as_f64().unwrap_or(f64::MAX)),
        },
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => Go::list(items.iter().map(from_json).collect()),
        Value::Object(map) => Go::map(map.iter().map(|(k, v)| (Arc::from(k.as_str()), from_json(v))).collect()),
    }
}

/// What an element takes.
const ELEMENT: u64 = 48;
/// Values of more elements are refused: maps that share maps can stand for far more than they take. Unoptimised tests reach fewer.
const MAX_ELEMENTS: usize = if cfg!(test) { 100_000 } else { 4_000_000 };

/// As `json.Marshal` would see it; whole floats become integers where JSON prints them so.
pub(crate) fn to_json(value: &Go) -> Result<Value, String> {
    convert(value, 0, &mut 0)
}

/// Counts an element.
fn check(value: &Go, depth: usize, elements: &mut usize) -> Result<(), String> {
    *elements += 1;
    meter::steps(2)?;
    meter::bytes(match value {
        Go::Str(text) => ELEMENT + text.len() as u64,
        Go::Bytes(bytes) => ELEMENT + bytes.len() as u64 * 2,
        _ => ELEMENT,
    })?;
    if *elements > MAX_ELEMENTS {
        return Err(format!("json: a value has more than {MAX_ELEMENTS} elements"));
    }
    if depth > MAX_NESTING {
        return Err(format!("json: unsupported value: values are nested more than {MAX_NESTING} deep"));
    }
    Ok(())
}

fn convert(value: &Go, depth: usize, elements: &mut usize) -> Result<Value, String> {
    check(value, depth, elements)?;
    Ok(match value {
        Go::Nil => Value::Null,
        Go::Bool(b) => Value::Bool(*b),
        #[expect(clippy::cast_sign_loss, reason = "the bits of an unsigned number")]
        Go::Int(n, IntKind::Uint64) => Value::from(*n as u64),
        Go::Int(n, _) => Value::from(*n),
        Go::Float(f) => Value::Number(Number::from_f64(*f).ok_or_else(|| format!("json: unsupported value: {}", super::float_shortest(*f)))?),
        Go::Str(s) => Value::from(lossy(s)),
        Go::Bytes(b) => Value::from(base64::engine::general_purpose::STANDARD.encode(b)),
        Go::List(items) if items.is_nil() => Value::Null,
        Go::Map(map) if map.is_nil() => Value::Null,
        Go::List(items) => Value::Array(items.iter().map(|item| convert(item, depth + 1, elements)).collect::<Result<_, _>>()?),
        Go::Map(map) => {
            let mut out = serde_json::Map::new();
            for (key, value) in map.snapshot() {
                out.insert(lossy(&key).into_owned(), convert(&value, depth + 1, elements)?);
            }
            Value::Object(out)
        }
        Go::Host(h) => {
            meter::steps(200)?;
            h.json()
        }
    })
}

/// How JSON text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// `<`, `>` and `&` escaped.
    Html,
    /// Not escaped.
    Raw,
    /// Escaped and indented by two spaces.
    Pretty,
}

/// JSON text as Go's encoder writes it: the keys of maps sorted by bytes, those of structs in their order.
pub(crate) fn json_text(value: &Go, style: JsonStyle) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), style, depth: 0, elements: 0 };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    style: JsonStyle,
    depth: usize,
    elements: usize,
}

impl Writer {
    fn newline(&mut self) {
        if self.style == JsonStyle::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }

    fn value(&mut self, value: &Go) -> Result<(), String> {
        check(value, self.depth, &mut self.elements)?;
        match value {
            Go::Str(text) => string(text, self.style, &mut self.out),
            Go::Float(f) if f.is_finite() => self.out.push_str(&json_float(*f)),
            Go::List(items) if items.is_nil() => self.out.push_str("null"),
            Go::List(items) => return self.array(items),
            Go::Map(map) if map.is_nil() => self.out.push_str("null"),
            Go::Map(map) => return self.object(map.entries().iter().map(|(key, value)| (&**key, value))),
            Go::Host(host) => {
                return match host.members().filter(|_| !host.stringer()) {
                    Some(members) => self.object(json_members(members).iter().map(|(key, value)| (*key, value))),
                    None => self.value(&from_json(&host.json())),
                };
            }
            plain => {
                let value = convert(plain, self.depth, &mut 0)?;
                self.out.push_str(&value.to_string());
            }
        }
        Ok(())
    }

    fn array(&mut self, items: &[Go]) -> Result<(), String> {
        self.out.push('[');
        self.depth += 1;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.newline();
            self.value(item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.newline();
        }
        self.out.push(']');
        Ok(())
    }

    fn object<'v>(&mut self, entries: impl Iterator<Item = (&'v str, &'v Go)>) -> Result<(), String> {
        self.out.push('{');
        self.depth += 1;
        let mut empty = true;
        for (key, item) in entries {
            if !std::mem::take(&mut empty) {
                self.out.push(',');
            }
            self.newline();
            string(key, self.style, &mut self.out);
            self.out.push_str(if self.style == JsonStyle::Pretty { ": " } else { ":" });
            self.value(item)?;
        }
        self.depth -= 1;
        if !empty {
            self.newline();
        }
        self.out.push('}');
        Ok(())
    }
}

/// A float as encoding/json prints it.
pub(crate) fn json_float(f: f64) -> String {
    goyaml::float_json(f)
}

fn string(text: &str, style: JsonStyle, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' if style != JsonStyle::Raw => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if u32::from(c) < 0x20 || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if byte(c).is_some() => out.push_str("\\ufffd"),
            c => out.push(c),
        }
    }
    out.push('"');
}
