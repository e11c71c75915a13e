//! What a node looks like in Go's source: fmt's `%#v` of what go-yaml v2 decodes into an `interface{}`.
//!
//! It is in the errors about keys: text with `{{ }}` in it that was meant as a template is such a key.

use std::collections::BTreeMap;

use super::{
    Node, NodeKind, YamlError,
    convert::{Typed, scalar},
    number::float_general,
    quote::quote,
    resolve::Resolved,
};

/// A nil that stands in a list or a map.
pub(super) const NIL: &str = "interface {}(nil)";
/// Longer descriptions are cut: aliases could make them endless.
const MAX_BYTES: usize = 1 << 20;

/// The node as Go would write it.
pub(super) fn of(node: &Node) -> Result<String, YamlError> {
    let mut out = String::new();
    write(node, &mut out)?;
    Ok(out)
}

fn write(node: &Node, out: &mut String) -> Result<(), YamlError> {
    if out.len() > MAX_BYTES {
        return Ok(());
    }
    match &node.kind {
        NodeKind::Alias(target) => return write(target, out),
        NodeKind::Scalar { .. } => out.push_str(&scalar_syntax(node)?),
        NodeKind::Sequence { items, .. } => {
            out.push_str("[]interface {}{");
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write(item, out)?;
            }
            out.push('}');
        }
        NodeKind::Mapping { entries, .. } => {
            // fmt sorts keys; of equal ones the last counts.
            let mut sorted = BTreeMap::new();
            for (key, value) in entries {
                sorted.insert(of(key)?, value);
            }
            out.push_str("map[interface {}]interface {}{");
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                out.push_str(&key);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn scalar_syntax(node: &Node) -> Result<String, YamlError> {
    Ok(match scalar(node)? {
        Typed::Text(text) => quote(&text),
        Typed::Other(Resolved::Bool(truth)) => truth.to_string(),
        Typed::Other(Resolved::Int(number)) => number.to_string(),
        Typed::Other(Resolved::Uint(number)) => format!("{number:#x}"),
        Typed::Other(Resolved::Float(number)) => float_general(number),
        Typed::Other(_) => NIL.to_owned(),
    })
}
