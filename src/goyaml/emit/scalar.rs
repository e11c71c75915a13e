//! Scalars in their styles: the `yaml_emitter_write_…_scalar` functions of emitterc.go.

use std::fmt::Write as _;

use super::{
    Dialect,
    analyze::{is_break, is_printable},
    writer::Writer,
};

/// The styles that are ever chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The column after which lines of go-yaml v2 fold.
const WIDTH: usize = 80;

impl Writer {
    /// Writes a scalar. Keys on one line do not fold.
    pub(super) fn scalar(&mut self, text: &str, style: Style, fold: bool, dialect: Dialect) {
        self.indent_more(true, false);
        let fold = fold && dialect == Dialect::V2;
        match style {
            Style::Plain => self.plain(text, fold),
            Style::Single => self.single(text, fold),
            Style::Double => self.double(text, fold),
            Style::Literal => self.literal(text),
        }
        self.indent_less();
    }

    fn plain(&mut self, text: &str, fold: bool) {
        if !self.whitespace {
            self.put(' ');
        }
        let mut spaces = false;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            if c == ' ' && fold && !spaces && self.column > WIDTH && characters.peek() != Some(&' ') {
                self.write_indent();
            } else {
                self.put(c);
            }
            if c != ' ' {
                self.indention = false;
            }
            spaces = c == ' ';
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single(&mut self, text: &str, fold: bool) {
        self.indicator("'", true, false, false);
        let (mut spaces, mut breaks) = (false, false);
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if c == ' ' {
                if fold && !spaces && self.column > WIDTH && at > 0 && next.is_some_and(|next| next != ' ') {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                spaces = true;
            } else if is_break(c) {
                if !breaks && c == '\n' {
                    self.put_break('\n');
                }
                self.put_break(c);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                (spaces, breaks) = (false, false);
            }
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double(&mut self, text: &str, fold: bool) {
        self.indicator("\"", true, false, false);
        // go-yaml's is_bom looks at the first bytes of the text wherever it stands.
        let escape_all = text.starts_with('\u{feff}');
        let mut spaces = false;
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if escape_all || !is_printable(c) || is_break(c) || c == '"' || c == '\\' {
                self.escape(c);
                spaces = false;
            } else if c == ' ' {
                if fold && !spaces && self.column > WIDTH && at > 0 && next.is_some() {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn escape(&mut self, c: char) {
        let code = u32::from(c);
        let mut text = String::from('\\');
        match c {
            '\0' => text.push('0'),
            '\u{7}' => text.push('a'),
            '\u{8}' => text.push('b'),
            '\t' => text.push('t'),
            '\n' => text.push('n'),
            '\u{b}' => text.push('v'),
            '\u{c}' => text.push('f'),
            '\r' => text.push('r'),
            '\u{1b}' => text.push('e'),
            '"' => text.push('"'),
            '\\' => text.push('\\'),
            '\u{85}' => text.push('N'),
            '\u{a0}' => text.push('_'),
            '\u{2028}' => text.push('L'),
            '\u{2029}' => text.push('P'),
            _ => {
                let written = match code {
                    0..=0xff => write!(text, "x{code:02X}"),
                    0x100..=0xffff => write!(text, "u{code:04X}"),
                    _ => write!(text, "U{code:08X}"),
                };
                written.expect("writing to a String cannot fail");
            }
        }
        text.chars().for_each(|c| self.put(c));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(|first| first == ' ' || is_break(first)) {
            self.indicator("2", false, false, false);
        }
        let mut ends = text.chars().rev().map(is_break);
        match (ends.next(), ends.next()) {
            (Some(true), Some(false)) => {}
            (Some(true), _) => self.indicator("+", false, false, false),
            _ => self.indicator("-", false, false, false),
        }
        self.put_break('\n');
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.put_break(c);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                breaks = false;
            }
        }
    }
}
