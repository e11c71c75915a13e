//! A YAML document with positions.

use std::sync::Arc;

/// Where a node stands in its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last. Block collections end where the next token begins.
    pub end: usize,
    /// Line, counted from one.
    pub line: usize,
    /// Column in characters, counted from one.
    pub column: usize,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A block after `|`.
    Literal,
    /// A block after `>`.
    Folded,
}

/// Keys and values of a mapping.
pub type Entries = Vec<(Arc<Node>, Arc<Node>)>;

/// A node of a document.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands.
    pub span: Span,
    /// Its tag, in full (`tag:yaml.org,2002:str`).
    pub tag: Option<String>,
    /// The name of the anchor set on it.
    pub anchor: Option<String>,
}

/// The kinds of node.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A single value, not yet resolved to a type.
    Scalar {
        /// Its text, unescaped.
        text: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// A list.
    Sequence {
        /// Its items.
        items: Vec<Arc<Node>>,
        /// Whether it is written in brackets.
        flow: bool,
    },
    /// A map, in the order of the text; keys may repeat.
    Mapping {
        /// Keys and values.
        entries: Entries,
        /// Whether it is written in braces.
        flow: bool,
    },
    /// A reference to an anchored node.
    Alias(Arc<Node>),
}

impl Node {
    /// The node itself, or what the alias stands for.
    pub fn target(&self) -> &Self {
        match &self.kind {
            NodeKind::Alias(node) => node.target(),
            _ => self,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.target().kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Keys and values of a mapping, else nothing.
    pub fn entries(&self) -> &[(Arc<Node>, Arc<Node>)] {
        match &self.target().kind {
            NodeKind::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    /// Items of a sequence, else nothing.
    pub fn items(&self) -> &[Arc<Node>] {
        match &self.target().kind {
            NodeKind::Sequence { items, .. } => items,
            _ => &[],
        }
    }

    /// Key and value under a key; the last one counts, as it does in Go.
    pub fn entry(&self, key: &str) -> Option<(&Self, &Self)> {
        self.entries().iter().rev().find(|(name, _)| name.text() == Some(key)).map(|(name, value)| (&**name, &**value))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The node at a JSON pointer (RFC 6901). Aliases on the way are followed, merged keys are not seen.
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, part| {
            let part = part.replace("~1", "/").replace("~0", "~");
            match &node.target().kind {
                NodeKind::Sequence { items, .. } => items.get(part.parse::<usize>().ok()?).map(|item| &**item),
                _ => node.get(&part),
            }
        })
    }

    /// As JSON, resolved by the rules of [`super::parse`].
    pub fn to_value(&self) -> Result<serde_json::Value, super::YamlError> {
        super::convert::to_json(self)
    }
}
