//! Nodes to JSON: go-yaml v2's decoder (decode.go) and sigs.k8s.io/yaml's `convertToJSONableObject`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};

use super::{
    Node, NodeKind, ScalarStyle, YamlError,
    compose::MAX_DEPTH,
    number::float_32,
    resolve::{Resolved, resolve},
    syntax,
};

const LONG: &str = "tag:yaml.org,2002:";
const MERGE_WANTS: &str = "map merge requires map or sequence of maps as the value";

/// A document as JSON.
pub(super) fn to_json(node: &Node) -> Result<Value, YamlError> {
    Decoder::default().value(node, 0)
}

/// Counts as go-yaml's decoder does, to refuse alias bombs.
#[derive(Default)]
struct Decoder {
    decoded: u64,
    aliased: u64,
    alias_depth: usize,
}

impl Decoder {
    fn count(&mut self, depth: usize) -> Result<(), YamlError> {
        self.decoded += 1;
        self.aliased += u64::from(self.alias_depth > 0);
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let excessive = self.aliased > 100 && self.decoded > 1000 && self.aliased as f64 / self.decoded as f64 > allowed(self.decoded as f64);
        if excessive {
            return Err(YamlError::plain("document contains excessive aliasing"));
        }
        if depth > MAX_DEPTH {
            return Err(YamlError::plain(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        Ok(())
    }

    fn value(&mut self, node: &Node, depth: usize) -> Result<Value, YamlError> {
        self.count(depth)?;
        match &node.kind {
            NodeKind::Scalar { .. } => scalar(node).and_then(Typed::json),
            NodeKind::Alias(target) => {
                self.alias_depth += 1;
                let value = self.value(target, depth + 1);
                self.alias_depth -= 1;
                value
            }
            NodeKind::Sequence { items, .. } => items.iter().map(|item| self.value(item, depth + 1)).collect(),
            NodeKind::Mapping { .. } => {
                let mut map = Map::new();
                self.mapping(node, &mut map, depth)?;
                Ok(Value::Object(map))
            }
        }
    }

    /// Adds a mapping's entries in the order of the text, merges among them: what comes later wins.
    fn mapping(&mut self, node: &Node, map: &mut Map<String, Value>, depth: usize) -> Result<(), YamlError> {
        for (key, value) in node.entries() {
            if is_merge(key) {
                self.merge(value, map, depth + 1)?;
            } else {
                self.count(depth)?;
                if let Some(refused) = collection_key(key)? {
                    return Err(refused);
                }
                let value_node = value;
                let value = self.value(value_node, depth + 1)?;
                let name = key_text(key, value_node)?;
                map.insert(name, value);
            }
        }
        Ok(())
    }

    fn merge(&mut self, node: &Node, map: &mut Map<String, Value>, depth: usize) -> Result<(), YamlError> {
        self.count(depth)?;
        match &node.kind {
            NodeKind::Mapping { .. } => self.mapping(node, map, depth),
            NodeKind::Alias(target) if matches!(target.kind, NodeKind::Mapping { .. }) => {
                self.alias_depth += 1;
                let merged = self.mapping(target, map, depth);
                self.alias_depth -= 1;
                merged
            }
            // Backwards, as earlier ones take precedence.
            NodeKind::Sequence { items, .. } => items.iter().rev().try_for_each(|item| match &item.target().kind {
                NodeKind::Mapping { .. } => self.merge(item, map, depth + 1),
                _ => Err(YamlError::plain(MERGE_WANTS)),
            }),
            _ => Err(YamlError::plain(MERGE_WANTS)),
        }
    }
}

/// The share of a document that may come from aliases: 99 % of a small one, 10 % of a large one (decode.go, `allowedAliasRatio`).
fn allowed(decoded: f64) -> f64 {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    (0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW))).clamp(0.10, 0.99)
}

fn is_merge(key: &Node) -> bool {
    match &key.kind {
        NodeKind::Scalar { text, style } if text == "<<" => match key.tag.as_deref() {
            None => *style == ScalarStyle::Plain,
            Some(tag) => tag.strip_prefix(LONG) == Some("merge") || tag == "!",
        },
        _ => false,
    }
}

/// A scalar with its type.
pub(super) enum Typed {
    Text(String),
    Other(Resolved),
}

impl Typed {
    fn json(self) -> Result<Value, YamlError> {
        Ok(match self {
            Self::Text(text) => Value::String(text),
            Self::Other(Resolved::Bool(truth)) => Value::Bool(truth),
            Self::Other(Resolved::Int(number)) => Value::from(number),
            Self::Other(Resolved::Uint(number)) => Value::from(number),
            Self::Other(Resolved::Float(number)) => Value::Number(Number::from_f64(number).ok_or_else(|| {
                let name = if number.is_nan() {
                    "NaN"
                } else if number > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                };
                YamlError::plain(format!("json: unsupported value: {name}"))
            })?),
            Self::Other(Resolved::Null | Resolved::Timestamp | Resolved::Str) => Value::Null,
        })
    }
}

pub(super) fn scalar(node: &Node) -> Result<Typed, YamlError> {
    let NodeKind::Scalar { text, style } = &node.kind else { return Ok(Typed::Other(Resolved::Null)) };
    let tag = node.tag.as_deref().unwrap_or_default();
    if tag.is_empty() && *style != ScalarStyle::Plain {
        return Ok(Typed::Text(text.clone()));
    }
    let short = tag.strip_prefix(LONG).unwrap_or(tag);
    if short == "binary" {
        let clean: String = text.chars().filter(|c| *c != '\n' && *c != '\r').collect();
        let data = STANDARD.decode(clean).map_err(|_| YamlError::plain("!!binary value contains invalid base64 data"))?;
        return Ok(Typed::Text(String::from_utf8_lossy(&data).into_owned()));
    }
    let resolved = match short {
        "" | "bool" | "int" | "float" | "null" | "timestamp" => resolve(text),
        _ => return Ok(Typed::Text(text.clone())),
    };
    tagged(short, text, resolved)
}

/// Holds a resolved value against its tag.
fn tagged(tag: &str, text: &str, resolved: Resolved) -> Result<Typed, YamlError> {
    let (name, typed) = match resolved {
        Resolved::Null => ("null", Typed::Other(resolved)),
        Resolved::Bool(_) => ("bool", Typed::Other(resolved)),
        #[expect(clippy::cast_precision_loss, reason = "what !!float asks for")]
        Resolved::Int(number) if tag == "float" => ("float", Typed::Other(Resolved::Float(number as f64))),
        Resolved::Int(_) | Resolved::Uint(_) => ("int", Typed::Other(resolved)),
        Resolved::Float(_) => ("float", Typed::Other(resolved)),
        Resolved::Timestamp => ("timestamp", Typed::Text(text.to_owned())),
        Resolved::Str => ("str", Typed::Text(text.to_owned())),
    };
    if tag.is_empty() || tag == name { Ok(typed) } else { Err(YamlError::plain(format!("cannot decode !!{name} `{text}` as a !!{tag}"))) }
}

/// The error for a key that is a list or a map (decode.go, `mapping`).
fn collection_key(key: &Node) -> Result<Option<YamlError>, YamlError> {
    if matches!(key.target().kind, NodeKind::Scalar { .. }) {
        return Ok(None);
    }
    let place = Some((key.target().span.line, key.target().span.column));
    Ok(Some(YamlError { line: None, place, problem: format!("invalid map key: {}", syntax::of(key)?) }))
}

/// A key as JSON wants it: text (`convertToJSONableObject` of sigs.k8s.io/yaml).
fn key_text(key: &Node, value: &Node) -> Result<String, YamlError> {
    match scalar(key.target())? {
        Typed::Text(text) => Ok(text),
        Typed::Other(Resolved::Bool(truth)) => Ok(truth.to_string()),
        Typed::Other(Resolved::Int(number)) => Ok(number.to_string()),
        Typed::Other(Resolved::Float(number)) => Ok(float_32(number)),
        Typed::Other(_) => {
            let value = syntax::of(value)?;
            let value = if value == syntax::NIL { "<nil>" } else { &value };
            Err(YamlError::plain(format!("unsupported map key of type: %!s(<nil>), key: <nil>, value: {value}")))
        }
    }
}
