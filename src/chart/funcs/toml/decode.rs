//! The parser (parse.go): keys, tables, and the texts of its errors.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::key_text;
use super::lex::{Cursor, Trouble, fail_at, shown};
use super::scalar;
use crate::chart::gotmpl::quote;
use crate::chart::meter;
use crate::chart::value::{Element, Go, List, MAX_NESTING};

type Table = BTreeMap<String, Node>;

/// What a key stands for.
#[derive(Debug, Clone)]
enum Node {
    Value(Go),
    Table(Table),
    /// `[[key]]`.
    Tables(Vec<Table>),
}

impl Node {
    fn into_go(self) -> Go {
        match self {
            Node::Value(value) => value,
            Node::Table(table) => table_value(table),
            Node::Tables(tables) => Go::List(Arc::new(List::of(Element::Maps, tables.into_iter().map(table_value).collect()))),
        }
    }

    /// The table that a key further on is looked up in.
    fn inner(&mut self) -> Option<&mut Table> {
        match self {
            Node::Table(table) => Some(table),
            Node::Tables(tables) => tables.last_mut(),
            Node::Value(_) => None,
        }
    }
}

fn table_value(table: Table) -> Go {
    Go::map(table.into_iter().map(|(key, node)| (Arc::from(key), node.into_go())).collect())
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    root: Table,
    context: Vec<String>,
    current: String,
    /// Where the key being read began.
    key_line: usize,
    implicit: HashSet<String>,
    arrays: HashSet<String>,
    depth: usize,
}

/// A document's table, or the text of the error.
/// What a byte of TOML takes as a value and as the names on the way to it.
const PARSED: u64 = 24;

pub(super) fn decode(text: &str) -> Result<Go, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    meter::reading(text.len() as u64 * 32).and_then(|()| meter::bytes(text.len() as u64 * PARSED))?;
    if text.bytes().take(6).any(|b| b == 0) {
        return Err("toml: line 1: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8".to_owned());
    }
    let cursor = Cursor::new(text);
    let (implicit, arrays) = (HashSet::new(), HashSet::new());
    let mut parser = Parser { cursor, root: Table::new(), context: Vec::new(), current: String::new(), key_line: 1, implicit, arrays, depth: 0 };
    match parser.document() {
        Ok(()) => Ok(table_value(parser.root)),
        Err(Trouble { line, message }) => {
            let last = parser.last_key();
            let last = if last.is_empty() { String::new() } else { format!(" (last key {})", quote(&last)) };
            Err(format!("toml: line {line}{last}: {message}"))
        }
    }
}

impl Parser<'_> {
    fn last_key(&self) -> String {
        match (self.current.is_empty(), self.context.is_empty()) {
            (true, _) => key_text(&self.context),
            (false, true) => self.current.clone(),
            (false, false) => format!("{}.{}", key_text(&self.context), self.current),
        }
    }

    fn document(&mut self) -> Result<(), Trouble> {
        loop {
            self.cursor.blank()?;
            match self.cursor.peek()? {
                None => return Ok(()),
                Some('[') => self.header()?,
                Some(_) => {
                    let outer = self.context.clone();
                    self.entry()?;
                    self.context = outer;
                    self.current.clear();
                }
            }
            self.cursor.spaces();
            match self.cursor.peek()? {
                None | Some('\n' | '\r' | '#') => {}
                other => {
                    return self.cursor.fail(format!("expected a top-level item to end with a newline, comment, or EOF, but got {} instead", shown(other)));
                }
            }
        }
    }

    /// `[table]` and `[[table]]`.
    fn header(&mut self) -> Result<(), Trouble> {
        self.cursor.take()?;
        let array = self.cursor.accept("[");
        let mut key = Vec::new();
        loop {
            self.cursor.spaces();
            self.key_line = if key.is_empty() { self.cursor.line } else { self.key_line };
            match self.cursor.peek()? {
                Some(']') | None => return self.cursor.fail("unexpected end of table name (table names cannot be empty)"),
                Some('.') => return self.cursor.fail("unexpected table separator (table names cannot be empty)"),
                Some(_) => key.push(self.name()?),
            }
            self.cursor.spaces();
            match self.cursor.peek()? {
                Some('.') => {
                    self.cursor.take()?;
                }
                Some(']') => {
                    self.cursor.take()?;
                    break;
                }
                other => return self.cursor.fail(format!("expected '.' or ']' to end table name, but got {} instead", shown(other))),
            }
        }
        if array && !self.cursor.accept("]") {
            let next = self.cursor.peek()?;
            return self.cursor.fail(format!("expected end of table array name delimiter ']', but got {} instead", shown(next)));
        }
        self.add_context(&key, array)
    }

    /// One part of a key.
    fn name(&mut self) -> Result<String, Trouble> {
        match self.cursor.peek()? {
            Some('"') => scalar::basic(&mut self.cursor),
            Some('\'') => scalar::raw(&mut self.cursor),
            _ => {
                let start = self.cursor.at();
                while self.cursor.peek()?.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                    self.cursor.take()?;
                }
                Ok(self.cursor.since(start).to_owned())
            }
        }
    }

    /// All parts of a key, up to and with the `=`.
    fn key(&mut self) -> Result<Vec<String>, Trouble> {
        self.cursor.spaces();
        match self.cursor.peek()? {
            Some('=') | None => return self.cursor.fail("unexpected '=': key name appears blank"),
            Some('.') => return self.cursor.fail("unexpected '.': keys cannot start with a '.'"),
            Some(_) => {}
        }
        self.key_line = self.cursor.line;
        let mut key = Vec::new();
        loop {
            self.cursor.spaces();
            key.push(self.name()?);
            if key.len() > MAX_NESTING {
                return self.cursor.fail(format!("values are nested more than {MAX_NESTING} deep"));
            }
            self.cursor.spaces();
            match self.cursor.peek()? {
                Some('.') => {
                    self.cursor.take()?;
                }
                Some('=') => {
                    self.cursor.take()?;
                    return Ok(key);
                }
                None => return self.cursor.fail("unexpected EOF; expected key separator '='"),
                other => return self.cursor.fail(format!("expected '.' or '=', but got {} instead", shown(other))),
            }
        }
    }

    /// `key = value`; the parts of the key and the value, which is stored too.
    fn entry(&mut self) -> Result<(Vec<String>, Go), Trouble> {
        let key = self.key()?;
        let (last, parents) = key.split_last().map(|(last, parents)| (last.clone(), parents.to_vec())).unwrap_or_default();
        self.current.clone_from(&last);
        for part in &parents {
            let mut path = self.context.clone();
            path.push(part.clone());
            self.implicit.insert(key_text(&path));
            self.add_context(&path, false)?;
        }
        let value = self.value(false)?;
        self.set(&last, Node::Value(value.clone()))?;
        Ok((key, value))
    }

    fn defined<T>(&self, path: &[String]) -> Result<T, Trouble> {
        fail_at(self.key_line, format!("Key '{}' has already been defined.", key_text(path)))
    }

    /// `addContext`.
    fn add_context(&mut self, key: &[String], array: bool) -> Result<(), Trouble> {
        let Some((last, parents)) = key.split_last() else { return Ok(()) };
        let mut table = &mut self.root;
        for (i, part) in parents.iter().enumerate() {
            if !table.contains_key(part) {
                self.implicit.insert(key_text(&key[..=i]));
                table.insert(part.clone(), Node::Table(Table::new()));
            }
            match table.get_mut(part).and_then(Node::inner) {
                Some(inner) => table = inner,
                None => return fail_at(self.key_line, format!("Key '{}' was already created as a hash.", key_text(&key[..=i]))),
            }
        }
        parents.clone_into(&mut self.context);
        if array {
            let Node::Tables(tables) = table.entry(last.clone()).or_insert_with(|| Node::Tables(Vec::new())) else {
                let message = format!("Key '{}' was already created and cannot be used as an array.", key_text(key));
                return fail_at(self.key_line, message);
            };
            tables.push(Table::new());
        } else {
            self.set(last, Node::Table(Table::new()))?;
        }
        self.context.push(last.clone());
        Ok(())
    }

    /// `setValue`.
    fn set(&mut self, key: &str, value: Node) -> Result<(), Trouble> {
        let mut path = self.context.clone();
        let mut table = Some(&mut self.root);
        for (i, part) in path.iter().enumerate() {
            table = table.and_then(|table| table.get_mut(part)).and_then(Node::inner);
            if table.is_none() {
                let path = path[..=i].to_vec();
                return self.defined(&path);
            }
        }
        path.push(key.to_owned());
        let name = key_text(&path);
        let Some(table) = table else { return Ok(()) };
        if !table.contains_key(key) {
            table.insert(key.to_owned(), value);
            return Ok(());
        }
        if !self.implicit.remove(&name) {
            return self.defined(&path);
        }
        if self.arrays.contains(&name) {
            table.insert(key.to_owned(), value);
        }
        Ok(())
    }

    fn value(&mut self, in_array: bool) -> Result<Go, Trouble> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return self.cursor.fail(format!("values are nested more than {MAX_NESTING} deep"));
        }
        self.cursor.spaces();
        let value = match self.cursor.peek()? {
            Some('[') => self.array()?,
            Some('{') => self.inline(in_array)?,
            _ => scalar::value(&mut self.cursor)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Go, Trouble> {
        self.cursor.take()?;
        let mut path = self.context.clone();
        path.push(self.current.clone());
        self.arrays.insert(key_text(&path));
        let mut items = Vec::new();
        loop {
            self.cursor.blank()?;
            match self.cursor.peek()? {
                Some(']') => break,
                Some(',') => {
                    self.cursor.take()?;
                    return self.cursor.fail("unexpected comma");
                }
                _ => items.push(self.value(true)?),
            }
            self.cursor.blank()?;
            match self.cursor.peek()? {
                Some(',') => {
                    self.cursor.take()?;
                }
                Some(']') => break,
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), |c| format!("'{c}'"));
                    return self.cursor.fail(format!("expected a comma (',') or array terminator (']'), but got {found}"));
                }
            }
        }
        self.cursor.take()?;
        Ok(Go::list(items))
    }

    /// `valueInlineTable`.
    fn inline(&mut self, in_array: bool) -> Result<Go, Trouble> {
        self.cursor.take()?;
        let (outer, outer_key) = (self.context.clone(), std::mem::take(&mut self.current));
        let mut own = outer.clone();
        own.push(outer_key.clone());
        self.context.clone_from(&own);
        self.implicit.insert(key_text(&own));
        self.add_context(&own, in_array)?;
        let mut table = Table::new();
        loop {
            self.cursor.blank()?;
            match self.cursor.peek()? {
                Some('}') => break,
                Some(',') => {
                    self.cursor.take()?;
                    return self.cursor.fail("unexpected comma");
                }
                _ => {
                    let (key, value) = self.entry()?;
                    place(&mut table, &key, value);
                    self.context.clone_from(&own);
                }
            }
            self.cursor.blank()?;
            match self.cursor.peek()? {
                Some(',') => {
                    self.cursor.take()?;
                }
                Some('}') => break,
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), |c| format!("'{c}'"));
                    let last = self.current.clone();
                    let failure = self.cursor.fail(format!("expected a comma or an inline table terminator '}}', but got {found} instead"));
                    self.current = last;
                    return failure;
                }
            }
        }
        self.cursor.take()?;
        self.context = outer;
        self.current = outer_key;
        Ok(table_value(table))
    }
}

/// Puts a value at its dotted key.
fn place(table: &mut Table, key: &[String], value: Go) {
    match key {
        [last] => {
            table.insert(last.clone(), Node::Value(value));
        }
        [first, rest @ ..] => {
            if let Some(inner) = table.entry(first.clone()).or_insert_with(|| Node::Table(Table::new())).inner() {
                place(inner, rest, value);
            }
        }
        [] => {}
    }
}
