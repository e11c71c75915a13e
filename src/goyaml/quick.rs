//! The shortest way from text to JSON: block collections, scalars and flow collections of one line, as Helm's templates and values files write
//! them, read without events.
//!
//! It reads only what libyaml reads too, and to the same value; at anything it does not know (anchors, tags, tabs, several documents, faults) it
//! gives up, and the events decide. Comments name the function of libyaml's scanner.c whose rule is meant.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::resolve::{Resolved, resolve};

/// Deeper ones go the long way, which knows what is too deep.
const MAX_DEPTH: usize = 100;
/// Of text that is made of dashes alone, two bytes are a value.
const MAX_NODES: usize = 300_000;
/// Longer ones go the long way.
const MAX_BYTES: usize = 64 << 20;
/// Keys are at most 1024 characters long (`yaml_parser_stale_simple_keys`).
const MAX_KEY: usize = 1000;

/// The first document of a text. Of a mapping only the entries whose names `wanted` has (whatever the case of letters), if it has any.
pub(super) fn value(text: &str, wanted: &[&str]) -> Option<Value> {
    let ascii = text.bytes().fold(true, |plain, byte| plain & (matches!(byte, b'\n' | b'\t') || (b' '..=b'~').contains(&byte)));
    if !ascii && (!text.chars().all(is_plain) || !text.bytes().next().is_none_or(|byte| byte.is_ascii())) {
        return None;
    }
    // What the scanner does with spaces at the very end depends on where they stand.
    if text.ends_with(' ') || text.len() > MAX_BYTES {
        return None;
    }
    let mut quick = Quick { text, bytes: text.as_bytes(), wanted, room: MAX_NODES, line: None };
    quick.find(0)?;
    let Some(mut first) = quick.line else { return Some(Value::Null) };
    if first.indent == 0 && &text[first.start..first.end] == "---" {
        quick.find(first.end + 1)?;
        first = quick.line?;
    }
    let value = if quick.is_dash(first) || quick.is_key(first) { quick.block(first, 0, true)? } else { quick.alone(first)? };
    quick.line.is_none().then_some(value)
}

/// Characters that libyaml takes, and that are no line breaks but `\n` (`yaml_parser_update_buffer`, `IS_BREAK`).
fn is_plain(c: char) -> bool {
    match c {
        '\n' | '\t' | ' '..='~' => true,
        c => matches!(c, '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..),
    }
}

/// A line with something on it, or what is left of one behind the dash of a list.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Its column.
    indent: usize,
    /// Its first character.
    start: usize,
    /// Where its line break is.
    end: usize,
}

struct Quick<'t, 'w> {
    text: &'t str,
    bytes: &'t [u8],
    wanted: &'w [&'w str],
    /// Values that may still be read: what has more goes the long way, which knows how many are too many.
    room: usize,
    /// The next line that nobody has read; none at the end.
    line: Option<Line>,
}

impl<'t> Quick<'t, '_> {
    /// Whether anything was read: no document ends before.
    fn has_begun(&self) -> bool {
        self.room < MAX_NODES
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Whether a character is blank, or the end of its line.
    fn is_blank(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n' | b'\t'))
    }

    fn is_dash(&self, line: Line) -> bool {
        self.bytes[line.start] == b'-' && self.is_blank(line.start + 1)
    }

    fn end_of_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |length| at + length)
    }

    fn skip_spaces(&self, mut at: usize) -> usize {
        while self.byte(at) == Some(b' ') {
            at += 1;
        }
        at
    }

    /// Goes on with the next line that has something on it, from the beginning of a line on (`yaml_parser_scan_to_next_token`).
    fn find(&mut self, mut at: usize) -> Option<()> {
        self.line = None;
        while at < self.text.len() {
            let start = self.skip_spaces(at);
            at = match self.byte(start) {
                None => break,
                Some(b'\n') => start + 1,
                Some(b'#') => self.end_of_line(start) + 1,
                Some(b'\t') => return None,
                Some(b'.') if self.has_begun() && start == at && &self.text[at..self.end_of_line(at)] == "..." => break,
                Some(_) => {
                    self.line = Some(Line { indent: start - at, start, end: self.end_of_line(start) });
                    break;
                }
            };
        }
        Some(())
    }

    /// A list or a map that begins here.
    fn block(&mut self, line: Line, depth: usize, keep: bool) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.is_dash(line) { self.sequence(line, false, depth, keep) } else { self.mapping(line, depth, keep) }
    }

    /// A text of one word, or one list or map in brackets: what templates hand to `fromYaml` most.
    fn alone(&mut self, line: Line) -> Option<Value> {
        if matches!(self.bytes[line.start], b'[' | b'{') {
            let (value, after) = self.flow(line.start, line.end, 0)?;
            self.last_on_line(after, line.end)?;
            return Some(value);
        }
        let word = self.word(line.start).filter(|word| !word.starts_with("..."))?;
        self.last_on_line(line.start + word.len(), line.end)?;
        resolved(word)
    }

    fn mapping(&mut self, mut line: Line, depth: usize, keep: bool) -> Option<Value> {
        let mut map = Map::new();
        loop {
            let (key, after) = self.key(line.start, line.end)?;
            let keep = keep && (depth > 0 || self.wanted.is_empty() || self.wanted.iter().any(|name| name.eq_ignore_ascii_case(&key)));
            let value = self.below(line, after, true, depth, keep)?;
            if keep {
                map.insert(key.into_owned(), value);
            }
            match self.line {
                Some(next) if next.indent == line.indent => line = next,
                Some(next) if next.indent > line.indent => return None,
                _ => return Some(Value::Object(map)),
            }
        }
    }

    /// `indentless`: in a map at the same column.
    fn sequence(&mut self, mut line: Line, indentless: bool, depth: usize, keep: bool) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            let value = self.below(line, line.start + 1, false, depth, keep)?;
            if keep {
                items.push(value);
            }
            match self.line {
                Some(next) if next.indent == line.indent && self.is_dash(next) => line = next,
                Some(next) if next.indent > line.indent || (next.indent == line.indent && !indentless) => return None,
                _ => return Some(Value::Array(items)),
            }
        }
    }

    /// What stands behind a colon or a dash.
    fn below(&mut self, line: Line, after: usize, in_map: bool, depth: usize, keep: bool) -> Option<Value> {
        self.room = self.room.checked_sub(1)?;
        let start = self.skip_spaces(after);
        if start < line.end && self.bytes[start] != b'#' {
            let inner = Line { indent: line.indent + (start - line.start), start, end: line.end };
            if !in_map && (self.is_dash(inner) || self.is_key(inner)) {
                return self.block(inner, depth + 1, keep);
            }
            return self.scalar(line.indent, inner, depth + 1, keep);
        }
        self.find(line.end + 1)?;
        match self.line {
            Some(next) if next.indent > line.indent && (self.is_dash(next) || self.is_key(next)) => self.block(next, depth + 1, keep),
            Some(next) if next.indent > line.indent => self.scalar(line.indent, next, depth + 1, keep),
            Some(next) if in_map && next.indent == line.indent && self.is_dash(next) => self.sequence(next, true, depth + 1, keep),
            _ => Some(Value::Null),
        }
    }

    /// What is no list or map over lines, in one at this column.
    fn scalar(&mut self, parent: usize, line: Line, depth: usize, keep: bool) -> Option<Value> {
        match self.bytes[line.start] {
            b'|' | b'>' => self.literal(parent, line, keep),
            b'"' | b'\'' => {
                let (text, after, end) = match self.quoted(line.start, line.end) {
                    Some((text, after)) => (text, after, line.end),
                    None => self.quoted_lines(line.start)?,
                };
                self.last_on_line(after, end)?;
                Some(if keep { Value::String(text.into_owned()) } else { Value::Null })
            }
            b'[' | b'{' => {
                let (value, after) = self.flow(line.start, line.end, depth)?;
                self.last_on_line(after, line.end)?;
                Some(value)
            }
            _ => self.plain(parent, line, keep),
        }
    }

    /// Nothing but a comment may follow.
    fn last_on_line(&mut self, at: usize, end: usize) -> Option<()> {
        let next = self.skip_spaces(at);
        if next < end && !(self.bytes[next] == b'#' && next > at) {
            return None;
        }
        self.find(end + 1)
    }

    /// A key that is text and no merge, and what is behind its colon.
    fn key(&self, start: usize, end: usize) -> Option<(Cow<'t, str>, usize)> {
        if matches!(self.bytes[start], b'"' | b'\'') {
            let (text, after) = self.quoted(start, end)?;
            return (self.bytes.get(after) == Some(&b':') && self.is_blank(after + 1) && after - start < MAX_KEY).then_some((text, after + 1));
        }
        if is_indicator(self.bytes[start]) || self.bytes[start] == b'-' || self.text[start..].starts_with("...") {
            return None;
        }
        let colon = self.colon(start, end)?;
        let text = &self.text[start..colon];
        let fits = text.len() < MAX_KEY && !text.ends_with(' ') && text != "<<" && matches!(resolve(text), Resolved::Timestamp | Resolved::Str);
        fits.then_some((Cow::Borrowed(text), colon + 1))
    }

    /// Whether a list's item begins a map.
    fn is_key(&self, line: Line) -> bool {
        match self.bytes[line.start] {
            b'"' | b'\'' => self.quoted(line.start, line.end).is_some_and(|(_, after)| self.byte(after) == Some(b':')),
            first => !is_indicator(first) && self.colon(line.start, line.end).is_some(),
        }
    }

    /// The first colon of a plain text that ends a key.
    fn colon(&self, start: usize, end: usize) -> Option<usize> {
        let mut at = start;
        while at < end {
            match self.bytes[at] {
                b':' if self.is_blank(at + 1) => return Some(at),
                b'#' if at > start && self.bytes[at - 1] == b' ' => return None,
                b'\t' => return None,
                _ => at += 1,
            }
        }
        None
    }

    /// A quoted text of one line, and what is behind it (`yaml_parser_scan_flow_scalar`).
    fn quoted(&self, start: usize, end: usize) -> Option<(Cow<'t, str>, usize)> {
        let text = &self.text[start + 1..end];
        if self.bytes[start] == b'"' {
            return double_quoted(text).map(|(found, length)| (found, start + 1 + length));
        }
        single_quoted(text).map(|(found, length)| (found, start + 1 + length))
    }

    /// A quoted text over lines, what is behind it, and where that line ends: its lines are trimmed and joined.
    fn quoted_lines(&self, start: usize) -> Option<(Cow<'t, str>, usize, usize)> {
        let double = self.bytes[start] == b'"';
        let text = &self.text[start + 1..];
        let (_, length) = if double { double_quoted(text)? } else { single_quoted(text)? };
        let raw = &text[..length - 1];
        if raw.contains('\t') {
            return None;
        }
        let mut folded = String::with_capacity(raw.len());
        let mut lines = raw.split('\n').peekable();
        folded.push_str(lines.next()?.trim_end_matches(' '));
        let mut breaks = 0;
        while let Some(line) = lines.next() {
            if line.starts_with("---") || line.starts_with("...") {
                return None;
            }
            let last = lines.peek().is_none();
            let line = line.trim_start_matches(' ');
            let line = if last { line } else { line.trim_end_matches(' ') };
            if line.is_empty() && !last {
                breaks += 1;
                continue;
            }
            fold(&mut folded, std::mem::take(&mut breaks));
            folded.push_str(line);
        }
        folded.push(if double { '"' } else { '\'' });
        let (value, _) = if double { double_quoted(&folded)? } else { single_quoted(&folded)? };
        let after = start + 1 + length;
        Some((Cow::Owned(value.into_owned()), after, self.end_of_line(after)))
    }

    /// A list or map in brackets that ends on its line, of quoted texts and plain words.
    fn flow(&mut self, start: usize, end: usize, depth: usize) -> Option<(Value, usize)> {
        self.room = self.room.checked_sub(1)?;
        match self.byte(start)? {
            _ if depth > MAX_DEPTH => None,
            b'[' => {
                let mut items = Vec::new();
                let mut at = self.skip_spaces(start + 1);
                while self.bytes.get(at)? != &b']' {
                    let (item, after) = self.flow(at, end, depth + 1)?;
                    items.push(item);
                    at = self.separated(after, b']')?;
                }
                Some((Value::Array(items), at + 1))
            }
            b'{' => {
                let mut map = Map::new();
                let mut at = self.skip_spaces(start + 1);
                while self.bytes.get(at)? != &b'}' {
                    let (key, after) = self.flow_key(at, end)?;
                    let value = self.skip_spaces(after);
                    // Behind a quoted key, a colon is one whatever follows.
                    if value == after && !matches!(self.bytes[at], b'"' | b'\'') {
                        return None;
                    }
                    let (value, after) = self.flow(value, end, depth + 1)?;
                    map.insert(key.into_owned(), value);
                    at = self.separated(after, b'}')?;
                }
                Some((Value::Object(map), at + 1))
            }
            b'"' | b'\'' => self.quoted(start, end).map(|(text, after)| (Value::String(text.into_owned()), after)),
            _ => {
                let word = self.word(start)?;
                Some((resolved(word)?, start + word.len()))
            }
        }
    }

    /// Where the next item is, or the closing bracket.
    fn separated(&self, after: usize, close: u8) -> Option<usize> {
        let at = self.skip_spaces(after);
        match self.bytes.get(at)? {
            b',' => Some(self.skip_spaces(at + 1)),
            found if *found == close => Some(at),
            _ => None,
        }
    }

    fn flow_key(&self, start: usize, end: usize) -> Option<(Cow<'t, str>, usize)> {
        let (key, after) = match self.bytes.get(start)? {
            b'"' | b'\'' => self.quoted(start, end)?,
            _ => {
                let word = self.word(start)?;
                matches!(resolve(word), Resolved::Timestamp | Resolved::Str).then_some((Cow::Borrowed(word), start + word.len()))?
            }
        };
        (self.byte(after) == Some(b':') && after - start < MAX_KEY).then_some((key, after + 1))
    }

    /// A plain text without anything in it that could mean something.
    fn word(&self, start: usize) -> Option<&'t str> {
        let length = self.bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-' | b'~')).count();
        let word = &self.text[start..start + length];
        (length > 0 && !word.starts_with('-')).then_some(word)
    }

    /// A plain scalar, with the lines on which it goes on (`yaml_parser_scan_plain_scalar`).
    fn plain(&mut self, indent: usize, line: Line, keep: bool) -> Option<Value> {
        let first = self.bytes[line.start];
        let sometimes = matches!(first, b'-' | b':' | b'?');
        if if sometimes { self.is_blank(line.start + 1) } else { is_indicator(first) } {
            return None;
        }
        let (end, mut ended) = self.plain_line(line.start, line.end)?;
        let mut text = Cow::Borrowed(&self.text[line.start..end]);
        let mut next = line.end + 1;
        let mut breaks = 0;
        while !ended && next < self.text.len() {
            let start = self.skip_spaces(next);
            match self.byte(start) {
                Some(b'\n') => {
                    breaks += 1;
                    next = start + 1;
                }
                None | Some(b'#') => break,
                Some(b'\t') => return None,
                Some(_) if start - next <= indent => break,
                Some(_) => {
                    let line_end = self.end_of_line(start);
                    let (end, last) = self.plain_line(start, line_end)?;
                    let folded = text.to_mut();
                    fold(folded, breaks);
                    folded.push_str(&self.text[start..end]);
                    (ended, breaks, next) = (last, 0, line_end + 1);
                }
            }
        }
        self.find(next)?;
        if keep { resolved(&text) } else { finite(&text).then_some(Value::Null) }
    }

    /// Where a plain scalar ends on a line, and whether a comment ended it.
    fn plain_line(&self, start: usize, end: usize) -> Option<(usize, bool)> {
        let mut at = start;
        let mut comment = false;
        while at < end {
            match self.bytes[at] {
                b':' if self.is_blank(at + 1) => return None,
                b'\t' => return None,
                b'#' if at > start && self.bytes[at - 1] == b' ' => {
                    comment = true;
                    break;
                }
                _ => at += 1,
            }
        }
        Some((start + self.text[start..at].trim_end_matches(' ').len(), comment))
    }

    /// A block scalar (`yaml_parser_scan_block_scalar`), without a number in its head.
    fn literal(&mut self, parent: usize, head: Line, keep: bool) -> Option<Value> {
        let folded = self.bytes[head.start] == b'>';
        let (chomp, after) = match self.byte(head.start + 1) {
            Some(sign @ (b'+' | b'-')) => (Some(sign), head.start + 2),
            _ => (None, head.start + 1),
        };
        if self.skip_spaces(after) != head.end {
            return None;
        }
        let mut block = Block { indent: 0, folded, text: keep.then(String::new), leading_break: false, leading_blank: false, breaks: 0 };
        let mut at = head.end + 1;
        at = self.first_line(at, parent, &mut block)?;
        while at < self.text.len() {
            let start = self.indented(at, block.indent);
            match self.byte(start) {
                Some(b'\n') => {
                    block.breaks += 1;
                    at = start + 1;
                }
                Some(b'\t') if start - at < block.indent => return None,
                _ if start - at < block.indent => break,
                _ => {
                    let end = self.end_of_line(start);
                    block.line(&self.text[start..end], end < self.text.len());
                    at = end + 1;
                }
            }
        }
        self.find(at)?;
        Some(block.finish(chomp).map_or(Value::Null, Value::String))
    }

    /// Skips spaces, but no more than an indent.
    fn indented(&self, at: usize, indent: usize) -> usize {
        at + self.bytes[at..].iter().take(indent).take_while(|byte| **byte == b' ').count()
    }

    /// Finds the indent of a block scalar by its first line, which must have one; where that line is (`yaml_parser_scan_block_scalar_breaks`).
    fn first_line(&self, mut at: usize, parent: usize, block: &mut Block) -> Option<usize> {
        let mut widest = 0;
        loop {
            let start = self.skip_spaces(at);
            match self.byte(start)? {
                b'\n' => {
                    widest = widest.max(start - at);
                    block.breaks += 1;
                    at = start + 1;
                }
                b'\t' => return None,
                _ if start - at > parent && start - at >= widest => {
                    block.indent = start - at;
                    return Some(at);
                }
                _ => return None,
            }
        }
    }
}

/// What is read of a block scalar.
struct Block {
    indent: usize,
    folded: bool,
    /// None if nobody wants it.
    text: Option<String>,
    /// Whether a line break follows what was read.
    leading_break: bool,
    /// Whether the line before began with a blank.
    leading_blank: bool,
    /// Line breaks of empty lines since.
    breaks: usize,
}

impl Block {
    fn line(&mut self, line: &str, ends: bool) {
        let Some(text) = &mut self.text else { return };
        let blank = line.starts_with([' ', '\t']);
        if self.leading_break {
            if !self.folded || self.leading_blank || blank {
                text.push('\n');
            } else if self.breaks == 0 {
                text.push(' ');
            }
        }
        text.extend(std::iter::repeat_n('\n', std::mem::take(&mut self.breaks)));
        text.push_str(line);
        (self.leading_break, self.leading_blank) = (ends, blank);
    }

    fn finish(self, chomp: Option<u8>) -> Option<String> {
        let mut text = self.text?;
        if chomp != Some(b'-') && self.leading_break {
            text.push('\n');
        }
        if chomp == Some(b'+') {
            text.extend(std::iter::repeat_n('\n', self.breaks));
        }
        Some(text)
    }
}

/// Characters with which no plain scalar begins, or only sometimes (`yaml_parser_fetch_next_token`).
fn is_indicator(byte: u8) -> bool {
    matches!(byte, b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`')
}

/// Joins two lines between which so many are empty.
fn fold(text: &mut String, empty: usize) {
    if empty == 0 {
        text.push(' ');
    }
    text.extend(std::iter::repeat_n('\n', empty));
}

/// What is in single quotes, up to them, and how long it is with them.
fn single_quoted(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut at = text.find('\'')?;
    let mut doubled = false;
    while text.as_bytes().get(at + 1) == Some(&b'\'') {
        doubled = true;
        at += 2 + text[at + 2..].find('\'')?;
    }
    let inner = &text[..at];
    Some((if doubled { Cow::Owned(inner.replace("''", "'")) } else { Cow::Borrowed(inner) }, at + 1))
}

/// What is in double quotes, up to them, and how long it is with them.
fn double_quoted(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((Cow::Borrowed(&text[..end]), end + 1));
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    loop {
        let next = at + text[at..].find(['"', '\\'])?;
        out.push_str(&text[at..next]);
        if text.as_bytes()[next] == b'"' {
            return Some((Cow::Owned(out), next + 1));
        }
        out.push(match text.as_bytes().get(next + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'"' => '"',
            b'\\' => '\\',
            _ => return None,
        });
        at = next + 2;
    }
}

/// A plain scalar's value.
fn resolved(text: &str) -> Option<Value> {
    Some(match resolve(text) {
        Resolved::Null => Value::Null,
        Resolved::Bool(truth) => Value::Bool(truth),
        Resolved::Int(number) => Value::from(number),
        Resolved::Uint(number) => Value::from(number),
        Resolved::Float(number) => Value::Number(Number::from_f64(number)?),
        Resolved::Timestamp | Resolved::Str => Value::String(text.to_owned()),
    })
}

/// Whether JSON can say it.
fn finite(text: &str) -> bool {
    !matches!(text.as_bytes().first(), Some(b'0'..=b'9' | b'.' | b'+' | b'-')) || resolved(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goyaml::direct;

    const TEXT: &str = concat!(
        "---\n# c\napiVersion: v1 # d\nmetadata:\n  name: \"a\\tb\"\n  labels: {a: 1, \"b\": [x, 'it''s', ~], \"c\":{\"d\":2}}\n  'on': off\n  note: text that\n    goes on\n\n    for long\n",
        "spec:\n- a: 1\n  b:\n  - - c\n    -  d: 0x1F\n  # e\n-\n  k: v\n- |\n    deep\n   \n\n- >-\n   fold\n   ed\n\n     more\n   less\n\n- plain #5\n- :99\n- []\n",
        "own:\n  {}\nline:\n  'over\n\n   two  \n  lines'\nand: \"more\\\"\n lines \"\nlast: |+\n  kept\n\n2001-01-01: -1.5e3\nempty:\nü: ö # ä\nurl: http://x/y?z#a\ncmd: -c\n",
    );

    #[test]
    fn nearly_every_text_goes_this_way() {
        for text in [
            TEXT,
            "",
            "# nothing\n",
            "a: 1\na: 2",
            "a: |\n  last",
            "a:\n- b",
            "a: 1\n...\n%b",
            "  a: 1\n  b: 2\n",
            "- a\n- b\n",
            "{}",
            "null",
            "[a, {\"b\":1}] # c\n",
            "word",
            "a: {}\n  # c\nb: x\n  # d\nc:\n",
        ] {
            let found = value(text, &[]);
            assert!(found.is_some(), "{text:?}");
            assert_eq!(found, direct::value(text, &[]), "{text:?}");
        }
        let wanted = ["METADATA", "last"];
        assert_eq!(value(TEXT, &wanted), direct::value(TEXT, &wanted));
    }

    /// What becomes of a text where one place is changed: whatever is read here, the events say too.
    #[test]
    fn what_is_read_is_what_the_events_say() {
        let pieces = [
            "", " ", "  ", "\n", "\n\n", "\n ", "\t", "-", "- ", "---", "...", ":", ": ", "#", " #", "'", "\"", "\\", "[", "]", "{", "}", ",", "?", "? ", "|",
            ">", "|-\n", ">+\n ", "&a ", "*a", "!x ", "%", "@", "`", "~", "<<: ", "1", ".inf", "yes: ", "\u{85}", "\u{2028}", "\u{feff}", "\u{7f}", "\r",
            "\u{fffe}", "ü",
        ];
        let mut read = 0;
        for at in (0..=TEXT.len()).step_by(2).filter(|at| TEXT.is_char_boundary(*at)) {
            let step = TEXT[at..].chars().next().map_or(0, char::len_utf8);
            for piece in pieces {
                for text in [
                    format!("{}{piece}{}", &TEXT[..at], &TEXT[at..]),
                    format!("{}{piece}{}", &TEXT[..at], &TEXT[at + step..]),
                    format!("{}{piece}", &TEXT[..at]),
                ] {
                    if let Some(found) = value(&text, &[]) {
                        read += 1;
                        assert_eq!(Some(found), direct::value(&text, &[]), "{text:?}");
                    }
                    if let Some(found) = value(&text, &["spec"]) {
                        assert_eq!(Some(found), direct::value(&text, &["spec"]), "{text:?}");
                    }
                }
            }
        }
        assert!(read > 5_000, "{read}");
    }
}
