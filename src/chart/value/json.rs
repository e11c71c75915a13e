//! Between Go values and JSON, and JSON text as encoding/json writes it.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Number, Value};

use super::{Element, Go, IntKind, MAX_NESTING};
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
/// Values of more elements are refused: maps that share maps can stand for far more than they take.
const MAX_ELEMENTS: usize = 4_000_000;

/// As `json.Marshal` would see it; whole floats become integers where JSON prints them so.
pub(crate) fn to_json(value: &Go) -> Result<Value, String> {
    convert(value, 0, &mut 0)
}

fn convert(value: &Go, depth: usize, elements: &mut usize) -> Result<Value, String> {
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
    Ok(match value {
        Go::Nil => Value::Null,
        Go::Bool(b) => Value::Bool(*b),
        #[expect(clippy::cast_sign_loss, reason = "the bits of an unsigned number")]
        Go::Int(n, IntKind::Uint64) => Value::from(*n as u64),
        Go::Int(n, _) => Value::from(*n),
        Go::Float(f) => Value::Number(Number::from_f64(*f).ok_or_else(|| format!("json: unsupported value: {}", super::float_shortest(*f)))?),
        Go::Str(s) => Value::from(&**s),
        Go::Bytes(b) => Value::from(base64::engine::general_purpose::STANDARD.encode(b)),
        Go::List(items) if matches!(items.element(), Element::Nil | Element::NilStr) => Value::Null,
        Go::List(items) => Value::Array(items.iter().map(|item| convert(item, depth + 1, elements)).collect::<Result<_, _>>()?),
        Go::Map(map) => {
            let mut out = serde_json::Map::new();
            for (key, value) in map.snapshot() {
                out.insert(key.to_string(), convert(&value, depth + 1, elements)?);
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

/// JSON text as Go's encoder writes it: keys sorted by bytes.
pub(crate) fn json_text(value: &Value, style: JsonStyle) -> String {
    let mut out = String::new();
    write(value, style, 0, &mut out);
    out
}

fn write(value: &Value, style: JsonStyle, depth: usize, out: &mut String) {
    let pretty = style == JsonStyle::Pretty;
    let newline = |out: &mut String, depth: usize| {
        if pretty {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, depth + 1);
                write(item, style, depth + 1, out);
            }
            newline(out, depth);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            out.push('{');
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(k, _)| *k);
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, depth + 1);
                string(key, style, out);
                out.push_str(if pretty { ": " } else { ":" });
                write(item, style, depth + 1, out);
            }
            newline(out, depth);
            out.push('}');
        }
        Value::String(s) => string(s, style, out),
        Value::Number(n) if n.is_f64() => out.push_str(&json_float(n.as_f64().unwrap_or_default())),
        other => out.push_str(&other.to_string()),
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
            c => out.push(c),
        }
    }
    out.push('"');
}
