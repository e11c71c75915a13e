//! Events of libyaml to nodes.

use std::{
    collections::HashMap,
    io::{BufRead, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use libyaml_safer::{Event, EventData, MappingStyle, Mark, Parser, ScalarStyle as LibStyle, SequenceStyle};

use super::{Entries, Node, NodeKind, ScalarStyle, Span, YamlError};

/// Nesting beyond this is refused. Go allows 10,000, but whatever walks the tree afterwards recurses.
pub(super) const MAX_DEPTH: usize = 400;
/// Texts of more nodes than this and one for [`NODE_BYTES`] are refused: each takes some two hundred bytes, and two bytes of text can make one.
const MAX_NODES: usize = 300_000;
/// See [`MAX_NODES`].
const NODE_BYTES: usize = 32;
/// Texts beyond this are refused.
const MAX_BYTES: usize = 64 << 20;

/// The first document.
pub(super) fn first(text: &str) -> Result<Node, YamlError> {
    with_composer(text, |composer| {
        let node = composer.document()?;
        Ok(node.unwrap_or_else(empty))
    })
}

/// All documents.
pub(super) fn all(text: &str) -> Result<Vec<Node>, YamlError> {
    with_composer(text, |composer| {
        let mut nodes = Vec::new();
        while let Some(node) = composer.document()? {
            nodes.push(node);
        }
        Ok(nodes)
    })
}

fn empty() -> Node {
    let span = Span { line: 1, column: 1, ..Span::default() };
    Node { kind: NodeKind::Scalar { text: String::new(), style: ScalarStyle::Plain }, span, tag: None, anchor: None }
}

/// What somebody does with the events of a text.
pub(super) fn with_composer<T>(text: &str, run: impl FnOnce(&mut Composer<'_>) -> Result<T, YamlError>) -> Result<T, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError::plain(format!("text has {} bytes, more than {MAX_BYTES}", text.len())));
    }
    // The mark is not part of the text, but of the file: bytes are counted with it.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    // libyaml-safer 0.3.0 panics at a block scalar whose last line has no break; it gets one, which is taken off again.
    let last_line = body.rsplit(['\n', '\r']).next().unwrap_or_default();
    let blank = last_line.trim_matches(' ').is_empty();
    let block = body.contains(['|', '>']) && (!blank || is_content(body, last_line.len()));
    // It also takes any character that begins with the first byte of a byte order mark for a broken one; behind a whole one it does not.
    let marked = body.chars().next().is_some_and(|c| matches!(c, '\u{f000}'..='\u{fefe}' | '\u{ff00}'..='\u{ffff}'));
    let closed = (block || marked).then(|| format!("{}{body}{}", if marked { "\u{feff}" } else { "" }, if block { "\n" } else { "" }));
    let mut parser = Parser::new();
    parser.set_input(Pieces(closed.as_deref().unwrap_or(body).as_bytes()));
    let open_end = block.then_some(body.len());
    let mut composer = Composer { parser, anchors: HashMap::new(), offset: text.len() - body.len(), end: body.len(), open_end, nodes: 0 };
    // Its scanner has assertions left that crafted input might reach; such input is refused like any other.
    let result = catch_unwind(AssertUnwindSafe(|| {
        composer.next()?;
        run(&mut composer)
    }));
    result.unwrap_or_else(|_| Err(YamlError::plain("the scanner gave up on this text")))
}

/// Whether a last line of so many spaces belongs to a block scalar above it: whether it is longer than the least indentation there. Where no block scalar
/// is at the end, the answer does not matter.
fn is_content(body: &str, spaces: usize) -> bool {
    // Most texts end with a break, and are not looked through.
    if spaces == 0 {
        return false;
    }
    let mut least = usize::MAX;
    for line in body.rsplit(['\n', '\r']).skip(1).map(str::trim_end).filter(|line| !line.is_empty()) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let header = line.split(" #").next().unwrap_or_default().trim_end();
        let bare = header.trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        if bare.ends_with(['|', '>']) && indent < least {
            // What the header says of the indentation; it may be less than that of any line.
            let said = header[bare.len()..].chars().find_map(|c| c.to_digit(10)).filter(|_| !line.trim_start().starts_with('-'));
            let own = said.and_then(|said| usize::try_from(said).ok()).map_or(least, |said| indent + said);
            if own.min(least) < spaces {
                return true;
            }
        }
        least = least.min(indent);
        if least == 0 {
            break;
        }
    }
    false
}

/// A text in pieces of the size in which go-yaml reads (`input_raw_buffer_size`): the scanner keeps four bytes for each character that
/// it has not seen, and says what cannot be a character when it comes to it.
struct Pieces<'b>(&'b [u8]);

impl Pieces<'_> {
    const SIZE: usize = 512;
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        Ok(&self.0[..self.0.len().min(Self::SIZE)])
    }

    fn consume(&mut self, count: usize) {
        self.0 = &self.0[count..];
    }
}

pub(super) struct Composer<'b> {
    parser: Parser<Pieces<'b>>,
    /// None while the node is still being read: an alias to it would make it endless.
    anchors: HashMap<String, Option<Arc<Node>>>,
    offset: usize,
    /// Bytes of the text without the mark.
    end: usize,
    /// The same, if a line break was added there.
    open_end: Option<usize>,
    /// Nodes so far, of all documents, and ends of lists and maps.
    nodes: usize,
}

impl Composer<'_> {
    pub(super) fn next(&mut self) -> Result<Event, YamlError> {
        let event = self.parser.parse().map_err(|error| YamlError::from_parser(&error, self.open_end))?;
        self.nodes += 1;
        let most = MAX_NODES + self.end / NODE_BYTES;
        if self.nodes > most {
            return Err(YamlError::plain(format!("text has more than {most} nodes")));
        }
        Ok(event)
    }

    /// The next document; none at the end of the stream.
    fn document(&mut self) -> Result<Option<Node>, YamlError> {
        if matches!(self.next()?.data, EventData::StreamEnd) {
            return Ok(None);
        }
        self.anchors.clear();
        let event = self.next()?;
        let node = self.node(event, 0)?;
        self.next()?;
        Ok(Some(Arc::try_unwrap(node).unwrap_or_else(|shared| (*shared).clone())))
    }

    fn span(&self, start: Mark, end: Mark) -> Span {
        let at = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        Span {
            start: self.offset + at(start.index).min(self.end),
            end: self.offset + at(end.index).min(self.end),
            line: at(start.line) + 1,
            column: at(start.column) + 1,
        }
    }

    fn node(&mut self, event: Event, depth: usize) -> Result<Arc<Node>, YamlError> {
        if depth > MAX_DEPTH {
            return Err(YamlError::plain(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let (start, mut end) = (event.start_mark, event.end_mark);
        let (kind, tag, anchor) = match event.data {
            EventData::Alias { anchor } => (NodeKind::Alias(self.alias(&anchor)?), None, None),
            EventData::Scalar { anchor, tag, mut value, style, .. } => {
                let style = style_of(style);
                self.reopen(&mut value, style, end);
                (NodeKind::Scalar { text: value, style }, tag, anchor)
            }
            EventData::SequenceStart { anchor, tag, style, .. } => {
                self.open(anchor.as_ref());
                let items = self.items(depth, &mut end)?;
                (NodeKind::Sequence { items, flow: style == SequenceStyle::Flow }, tag, anchor)
            }
            EventData::MappingStart { anchor, tag, style, .. } => {
                self.open(anchor.as_ref());
                let entries = self.entries(depth, &mut end)?;
                (NodeKind::Mapping { entries, flow: style == MappingStyle::Flow }, tag, anchor)
            }
            other => return Err(YamlError::plain(format!("unexpected event {other:?}"))),
        };
        let node = Arc::new(Node { kind, span: self.span(start, end), tag, anchor: anchor.clone() });
        if let Some(name) = anchor {
            self.anchors.insert(name, Some(Arc::clone(&node)));
        }
        Ok(node)
    }

    /// Takes the line break that was added off a block scalar at the end.
    pub(super) fn reopen(&self, value: &mut String, style: ScalarStyle, end: Mark) {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let last = self.open_end.is_some_and(|length| usize::try_from(end.index).is_ok_and(|end| end >= length));
        if block && last && value.ends_with('\n') {
            value.pop();
        }
    }

    fn open(&mut self, anchor: Option<&String>) {
        if let Some(name) = anchor {
            self.anchors.insert(name.clone(), None);
        }
    }

    fn alias(&self, name: &str) -> Result<Arc<Node>, YamlError> {
        match self.anchors.get(name) {
            Some(Some(node)) => Ok(Arc::clone(node)),
            Some(None) => Err(YamlError::plain(format!("anchor '{name}' value contains itself"))),
            None => Err(YamlError::plain(format!("unknown anchor '{name}' referenced"))),
        }
    }

    fn items(&mut self, depth: usize, end: &mut Mark) -> Result<Vec<Arc<Node>>, YamlError> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                *end = event.end_mark;
                return Ok(items);
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn entries(&mut self, depth: usize, end: &mut Mark) -> Result<Entries, YamlError> {
        let mut entries = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                *end = event.end_mark;
                return Ok(entries);
            }
            let key = self.node(event, depth + 1)?;
            let event = self.next()?;
            entries.push((key, self.node(event, depth + 1)?));
        }
    }
}

pub(super) fn style_of(style: LibStyle) -> ScalarStyle {
    match style {
        LibStyle::SingleQuoted => ScalarStyle::Single,
        LibStyle::DoubleQuoted => ScalarStyle::Double,
        LibStyle::Literal => ScalarStyle::Literal,
        LibStyle::Folded => ScalarStyle::Folded,
        _ => ScalarStyle::Plain,
    }
}
