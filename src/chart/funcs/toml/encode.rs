//! The encoder (encode.go): direct keys first, then tables, both sorted; two spaces for each level.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{escape, key_part, key_text};
use crate::chart::meter;
use crate::chart::value::{Go, MAX_NESTING, flattened, float_shortest};

/// What ends the encoding.
pub(super) enum Failure {
    /// An error of the encoder.
    Error(String),
    /// A panic, which Helm does not catch.
    Panic(String),
}

type Done = Result<(), Failure>;

/// What the encoder may write.
const MAX_TEXT: usize = 256 << 20;

struct Encoder {
    out: String,
    depth: usize,
}

/// What a value is to TOML; none for nil.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Plain,
    Table,
    Tables,
}

pub(super) fn encode(value: &Go) -> Result<String, Failure> {
    if matches!(value, Go::Nil) {
        return Err(Failure::Panic("reflect: call of reflect.Value.Type on zero Value".to_owned()));
    }
    let mut encoder = Encoder { out: String::new(), depth: 0 };
    encoder.encode(&[], value)?;
    Ok(encoder.out)
}

fn error<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::Error(text.to_owned()))
}

/// What a host is made of, where it has no text form of its own.
fn fields(value: &Go) -> Option<Vec<(Arc<str>, Go)>> {
    match value {
        Go::Map(map) => Some(map.entries()),
        Go::Host(host) if !is_text(value) => match host.entries() {
            Some(Go::Map(map)) => Some(map.entries()),
            _ if host.members().is_some() => {
                let members = flattened(host.members().unwrap_or_default()).into_iter();
                Some(members.map(|member| (Arc::from(member.name), member.value)).collect())
            }
            _ => match host.json() {
                serde_json::Value::Object(map) => Some(map.iter().map(|(k, v)| (Arc::from(k.as_str()), crate::chart::value::from_json(v))).collect()),
                _ => None,
            },
        },
        _ => None,
    }
}

/// Values that encode themselves as text: times and versions.
fn is_text(value: &Go) -> bool {
    matches!(value, Go::Host(host) if host.json().is_string())
}

fn shape(value: &Go) -> Result<Option<Shape>, Failure> {
    // Every list asks for the shapes of all below it.
    if meter::steps(1).is_err() {
        return error("toml: a value is too large");
    }
    Ok(Some(match value {
        Go::Nil => return Ok(None),
        Go::List(items) if items.is_nil() => return Ok(None),
        Go::Map(map) if map.is_nil() => return Ok(None),
        Go::List(items) => {
            let mut all = !items.is_empty();
            for item in items.iter() {
                match shape(item)? {
                    None => return error("toml: cannot encode array with nil element"),
                    Some(shape) => all &= shape == Shape::Table,
                }
            }
            if all { Shape::Tables } else { Shape::Plain }
        }
        value if fields(value).is_some() => Shape::Table,
        _ => Shape::Plain,
    }))
}

impl Encoder {
    fn enter(&mut self) -> Done {
        self.depth += 1;
        let fits = meter::steps(1).is_ok() && self.out.len() as u64 <= meter::room() / 3;
        if self.depth > MAX_NESTING || self.out.len() > MAX_TEXT || !fits {
            let _ = meter::bytes(self.out.len() as u64 * 3);
            return error(&format!("toml: values are nested more than {MAX_NESTING} deep, or are too large"));
        }
        Ok(())
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn indent(&mut self, key: &[String]) {
        self.out.push_str(&"  ".repeat(key.len().saturating_sub(1)));
    }

    /// `Encoder.encode`.
    fn encode(&mut self, key: &[String], value: &Go) -> Done {
        match value {
            Go::Nil => Ok(()),
            Go::List(items) if shape(value)? == Some(Shape::Tables) => self.tables(key, items),
            value => match fields(value) {
                Some(entries) => self.table(key, &entries),
                None => self.pair(key, value, false),
            },
        }
    }

    fn tables(&mut self, key: &[String], items: &[Go]) -> Done {
        if key.is_empty() {
            return error("toml: top-level values must be Go maps or structs");
        }
        for item in items {
            let Some(entries) = fields(item) else { continue };
            self.newline();
            self.indent(key);
            let _ = write!(self.out, "[[{}]]", key_text(key));
            self.newline();
            self.entries(key, &entries, false)?;
        }
        Ok(())
    }

    fn table(&mut self, key: &[String], entries: &[(Arc<str>, Go)]) -> Done {
        if key.len() == 1 {
            self.newline();
        }
        if !key.is_empty() {
            self.indent(key);
            let _ = write!(self.out, "[{}]", key_text(key));
            self.newline();
        }
        self.entries(key, entries, false)
    }

    /// `Encoder.eMap`.
    fn entries(&mut self, key: &[String], entries: &[(Arc<str>, Go)], inline: bool) -> Done {
        self.enter()?;
        let (mut direct, mut tables) = (Vec::new(), Vec::new());
        for (name, value) in entries {
            match shape(value)? {
                Some(Shape::Table | Shape::Tables) => tables.push((name, value)),
                _ => direct.push((name, value)),
            }
        }
        if inline {
            self.out.push('{');
        }
        let trailing = !tables.is_empty();
        for (entries, more) in [(direct, trailing), (tables, false)] {
            let last = entries.len().saturating_sub(1);
            for (i, (name, value)) in entries.into_iter().enumerate() {
                if shape(value)?.is_none() {
                    continue;
                }
                if inline {
                    self.pair(&[name.to_string()], value, true)?;
                    if more || i != last {
                        self.out.push_str(", ");
                    }
                } else {
                    let mut key = key.to_vec();
                    key.push(name.to_string());
                    self.encode(&key, value)?;
                }
            }
        }
        if inline {
            self.out.push('}');
        }
        self.depth -= 1;
        Ok(())
    }

    /// `writeKeyValue`.
    fn pair(&mut self, key: &[String], value: &Go, inline: bool) -> Done {
        let Some(last) = key.last() else { return self.element(value) };
        self.indent(key);
        self.out.push_str(&key_part(last));
        self.out.push_str(" = ");
        self.element(value)?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    /// `eElement`.
    fn element(&mut self, value: &Go) -> Done {
        match value {
            Go::Nil => return Err(Failure::Panic("reflect: call of reflect.Value.Interface on zero Value".to_owned())),
            Go::Bool(_) | Go::Int(..) => crate::chart::value::print(value, &mut self.out),
            Go::Float(f) if f.is_nan() => self.out.push_str("nan"),
            Go::Float(f) if f.is_infinite() => self.out.push_str(if *f > 0.0 { "inf" } else { "-inf" }),
            Go::Float(f) => {
                let text = float_shortest(*f);
                self.out.push_str(&text);
                if !text.contains(['e', '.']) {
                    self.out.push_str(".0");
                }
            }
            Go::Str(text) => self.quoted(text),
            Go::Bytes(bytes) => {
                let items: Vec<String> = bytes.iter().map(u8::to_string).collect();
                let _ = write!(self.out, "[{}]", items.join(", "));
            }
            Go::List(items) => {
                self.enter()?;
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.element(item)?;
                }
                self.out.push(']');
                self.depth -= 1;
            }
            Go::Map(map) => {
                let entries = map.entries();
                self.entries(&[], &entries, true)?;
            }
            Go::Host(host) => match (host.json(), fields(value)) {
                (serde_json::Value::String(text), _) if host.type_name() == "time.Time" => self.out.push_str(&text),
                (serde_json::Value::String(text), _) => self.quoted(&text),
                (_, Some(entries)) => self.entries(&[], &entries, true)?,
                _ => return error(&format!("unexpected type: {}", host.type_name())),
            },
        }
        Ok(())
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        self.out.push_str(&escape(text));
        self.out.push('"');
    }
}
