//! Scalars replaced in the text, so that comments and layout stay.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::goyaml::{self, Node, NodeKind, ScalarStyle, YamlError};

/// Why a text could not be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not YAML.
    #[error("cannot edit a manifest: {0}")]
    Yaml(#[from] YamlError),
    /// Nothing is at a pointer.
    #[error("cannot edit a manifest: nothing is at `{0}`")]
    Missing(String),
}

/// Replaces the scalars at JSON pointers. Aliases, anchors and block scalars cannot be replaced in place: then the document is written anew.
pub fn replace(text: &str, edits: &BTreeMap<String, String>) -> Result<String, EditError> {
    let mut wanted = goyaml::parse(text)?;
    for (pointer, new) in edits {
        let slot = wanted.pointer_mut(pointer).ok_or_else(|| EditError::Missing(pointer.clone()))?;
        *slot = Value::String(new.clone());
    }
    // What was edited must read as what was wanted, however the text is laid out.
    match in_place(text, edits)? {
        Some(edited) if goyaml::parse(&edited).as_ref() == Ok(&wanted) => Ok(edited),
        _ => Ok(goyaml::emit(&wanted)?),
    }
}

fn in_place(text: &str, edits: &BTreeMap<String, String>) -> Result<Option<String>, EditError> {
    let root = goyaml::parse_nodes(text)?;
    let mut spots = Vec::new();
    for (pointer, new) in edits {
        let Some((node, flow)) = find(&root, pointer) else { return Ok(None) };
        let written = match &node.kind {
            NodeKind::Scalar { style: ScalarStyle::Literal, text: old } => block(&text[node.span.start..node.span.end], old, new),
            _ => write(node, flow, new)?,
        };
        let Some(written) = written else { return Ok(None) };
        spots.push((node.span.start, node.span.end, written));
    }
    spots.sort_by_key(|spot| std::cmp::Reverse(spot.0));
    let mut edited = text.to_owned();
    for (start, end, written) in spots {
        if start > end || !edited.is_char_boundary(start) || !edited.is_char_boundary(end) {
            return Ok(None);
        }
        edited.replace_range(start..end, &written);
    }
    Ok(Some(edited))
}

/// The node at a pointer and whether it stands in brackets; none if an alias is on the way.
fn find<'a>(root: &'a Node, pointer: &str) -> Option<(&'a Node, bool)> {
    let mut node = root;
    let mut flow = false;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        node = match &node.kind {
            NodeKind::Mapping { flow: brackets, .. } => {
                flow |= brackets;
                node.get(&part)?
            }
            NodeKind::Sequence { items, flow: brackets } => {
                flow |= brackets;
                items.get(part.parse::<usize>().ok()?)?
            }
            NodeKind::Alias(_) | NodeKind::Scalar { .. } => return None,
        };
    }
    Some((node, flow))
}

/// The new scalar in the style of the old one; none if that cannot be replaced in place.
fn write(node: &Node, flow: bool, new: &str) -> Result<Option<String>, EditError> {
    let NodeKind::Scalar { style, text } = &node.kind else { return Ok(None) };
    if node.anchor.is_some() || node.tag.is_some() || (text.is_empty() && *style == ScalarStyle::Plain) {
        return Ok(None);
    }
    let one_line = !new.contains(|c: char| c.is_control());
    Ok(match style {
        ScalarStyle::Single if one_line => Some(format!("'{}'", new.replace('\'', "''"))),
        ScalarStyle::Single | ScalarStyle::Double => Some(double(new)),
        ScalarStyle::Plain => {
            let written = goyaml::emit(&Value::String(new.to_owned()))?;
            let written = written.trim_end_matches('\n');
            let plain = one_line && !written.contains('\n') && !(flow && new.contains([',', '[', ']', '{', '}', '?', ':']) && written == new);
            Some(if plain { written.to_owned() } else { double(new) })
        }
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    })
}

/// A block with other words in some of its lines; none if it has other lines.
fn block(raw: &str, old: &str, new: &str) -> Option<String> {
    if old.split('\n').count() != new.split('\n').count() {
        return None;
    }
    let mut lines = raw.split_inclusive('\n');
    let mut written = lines.next()?.to_owned();
    let mut words = old.split('\n').zip(new.split('\n'));
    for line in lines {
        let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
        match words.next() {
            Some((old, new)) if old != new => {
                let indent = body.trim_end_matches('\r').strip_suffix(old)?;
                written.extend([indent, new, end]);
            }
            _ => written.push_str(line),
        }
    }
    words.all(|(old, new)| old == new).then_some(written)
}

/// JSON's quotes are YAML's.
fn double(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, edits: &[(&str, &str)]) -> String {
        replace(text, &edits.iter().map(|(pointer, new)| ((*pointer).to_owned(), (*new).to_owned())).collect()).unwrap()
    }

    #[test]
    fn layout_stays() {
        let text = "a:   # why\n  - {image: x:1, b: 'y'}  # here\n  - image: \"z\"\n# end\n";
        let want = "a:   # why\n  - {image: \"r.io/x:1\", b: 'it''s'}  # here\n  - image: \"r.io/z\"\n# end\n";
        assert_eq!(edit(text, &[("/a/0/image", "r.io/x:1"), ("/a/0/b", "it's"), ("/a/1/image", "r.io/z")]), want);
        assert_eq!(edit("a: é x\nb: 1 # n\n", &[("/a", "yes"), ("/b", "r.io/q@sha256:00")]), "a: \"yes\"\nb: r.io/q@sha256:00 # n\n");
    }

    #[test]
    fn lines_of_blocks_are_edited_where_they_stand() {
        let text = "a: |  # kept\n\n    one x:1\n      two\nb: 1 # kept\n";
        assert_eq!(edit(text, &[("/a", "\none r.io/x:1\n  two\n")]), text.replace("x:1", "r.io/x:1"));
    }

    #[test]
    fn aliases_and_blocks_are_written_anew() {
        assert_eq!(edit("a: &x {i: 1}\nb: *x\n", &[("/b/i", "2")]), "a:\n  i: 1\nb:\n  i: \"2\"\n");
        assert_eq!(edit("a: |\n  x\nb: 1 # gone\n", &[("/a", "y")]), "a: \"y\"\nb: 1\n");
        assert_eq!(edit("a: &x 1\nb: *x\n", &[("/a", "y2")]), "a: y2\nb: 1\n");
        assert!(matches!(replace("a: 1", &BTreeMap::from([("/b".to_owned(), String::new())])), Err(EditError::Missing(_))));
    }
}
