//! The lexer: Go's text/template/parse/lex.go, rule for rule, so that positions and messages are Go's. A token's line is counted only when it is asked for.

use super::ast::index;

/// The kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Kind {
    fn is_keyword(self) -> bool {
        use Kind::{Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With};
        matches!(self, Block | Break | Continue | Dot | Define | Else | End | If | Nil | Range | Template | With)
    }
}

/// One token: where it is. What an error says is kept by the lexer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    pub pos: u32,
    pub end: u32,
}

impl Token {
    /// Its text.
    pub(super) fn text(self, input: &str) -> &str {
        &input[self.pos as usize..self.end as usize]
    }

    /// As Go's `item.String`; errors have no text here.
    pub(super) fn shown(self, input: &str) -> String {
        let text = self.text(input);
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            kind if kind.is_keyword() => format!("<{text}>"),
            _ if text.len() > 10 => {
                let head: String = text.chars().take(10).collect();
                format!("{}...", super::quote(&head))
            }
            _ => super::quote(text),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || (c.is_numeric() && (c.is_ascii_digit() || !c.is_ascii()))
}

fn has_left_trim(s: &[u8]) -> bool {
    matches!(s, [b'-', space, ..] if is_space(*space))
}

fn has_right_trim(s: &[u8]) -> bool {
    matches!(s, [space, b'-', ..] if is_space(*space))
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    paren_depth: i32,
    inside: bool,
    /// What is wrong, once something is.
    problem: Option<String>,
}

const TRIM: &[char] = &[' ', '\t', '\r', '\n'];

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Lexer { input, pos: 0, start: 0, paren_depth: 0, inside: false, problem: None }
    }

    /// What the token that is an error says.
    pub(super) fn problem(&self) -> &str {
        self.problem.as_deref().unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        &self.input[self.pos..]
    }

    fn bytes(&self) -> &'a [u8] {
        &self.input.as_bytes()[self.pos..]
    }

    fn byte(&self) -> Option<u8> {
        self.input.as_bytes().get(self.pos).copied()
    }

    fn peek(&self) -> Option<char> {
        match self.byte() {
            Some(byte) if byte.is_ascii() => Some(char::from(byte)),
            _ => self.rest().chars().next(),
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn made(&self, kind: Kind) -> Token {
        Token { kind, pos: index(self.start), end: index(self.pos) }
    }

    fn token(&mut self, kind: Kind) -> Token {
        let token = self.made(kind);
        self.start = self.pos;
        token
    }

    fn ignore(&mut self) {
        self.start = self.pos;
    }

    /// Nothing comes after an error.
    fn error(&mut self, text: impl Into<String>) -> Token {
        self.problem = Some(text.into());
        self.made(Kind::Error)
    }

    fn skip_spaces(&mut self) {
        self.pos += self.bytes().iter().take_while(|byte| is_space(**byte)).count();
    }

    /// The next token; after an error or the end, `Eof` for ever.
    pub(super) fn next_token(&mut self) -> Token {
        if self.problem.is_some() {
            return Token { kind: Kind::Eof, pos: index(self.start), end: index(self.start) };
        }
        if self.inside {
            return self.inside_action();
        }
        loop {
            if let Some(token) = self.text() {
                return token;
            }
        }
    }

    /// Where the next action begins, counted from here.
    fn find_action(&self) -> Option<usize> {
        let rest = self.rest();
        let mut from = 0;
        loop {
            let at = from + rest[from..].find('{')?;
            if rest.as_bytes().get(at + 1) == Some(&b'{') {
                return Some(at);
            }
            from = at + 1;
        }
    }

    fn text(&mut self) -> Option<Token> {
        let Some(x) = self.find_action() else {
            self.pos = self.input.len();
            return Some(self.token(if self.pos > self.start { Kind::Text } else { Kind::Eof }));
        };
        if x > 0 {
            self.pos += x;
            let piece = &self.input[self.start..self.pos];
            let trim = if has_left_trim(&self.bytes()[2..]) { piece.len() - piece.trim_end_matches(TRIM).len() } else { 0 };
            self.pos -= trim;
            let token = self.token(Kind::Text);
            self.pos += trim;
            self.ignore();
            if token.end > token.pos {
                return Some(token);
            }
        }
        self.left_delim()
    }

    fn left_delim(&mut self) -> Option<Token> {
        self.pos += 2;
        let after = if has_left_trim(self.bytes()) { 2 } else { 0 };
        if self.input[self.pos + after..].starts_with("/*") {
            self.pos += after;
            self.ignore();
            return self.comment();
        }
        let token = self.token(Kind::LeftDelim);
        self.inside = true;
        self.pos += after;
        self.ignore();
        self.paren_depth = 0;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token> {
        self.pos += 2;
        let Some(x) = self.rest().find("*/") else { return Some(self.error("unclosed comment")) };
        self.pos += x + 2;
        let Some(trim) = self.at_right_delim() else { return Some(self.error("comment ends before closing delimiter")) };
        if trim {
            self.pos += 2;
        }
        self.pos += 2;
        if trim {
            self.skip_spaces();
        }
        self.ignore();
        None
    }

    /// Whether a closing delimiter is here, and whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        match self.bytes() {
            [b'}', b'}', ..] => Some(false),
            [space, b'-', b'}', b'}', ..] if is_space(*space) => Some(true),
            _ => None,
        }
    }

    fn right_delim(&mut self) -> Token {
        let trim = self.at_right_delim() == Some(true);
        if trim {
            self.pos += 2;
            self.ignore();
        }
        self.pos += 2;
        let token = self.token(Kind::RightDelim);
        if trim {
            self.skip_spaces();
            self.ignore();
        }
        self.inside = false;
        token
    }

    fn inside_action(&mut self) -> Token {
        if self.at_right_delim().is_some() {
            return if self.paren_depth == 0 { self.right_delim() } else { self.error("unclosed left paren") };
        }
        let Some(c) = self.next() else { return self.error("unclosed action") };
        match c {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '=' => self.token(Kind::Assign),
            ':' => {
                if self.next() == Some('=') {
                    self.token(Kind::Declare)
                } else {
                    self.error("expected :=")
                }
            }
            '|' => self.token(Kind::Pipe),
            '"' => self.quoted(b'"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted(b'\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_quoted(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if self.byte().is_some_and(|byte| !byte.is_ascii_digit()) => self.field_or_variable(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                self.number()
            }
            c if is_alphanumeric(c) => {
                self.pos -= c.len_utf8();
                self.identifier()
            }
            '(' => {
                self.paren_depth += 1;
                self.token(Kind::LeftParen)
            }
            ')' => {
                self.paren_depth -= 1;
                if self.paren_depth < 0 { self.error("unexpected right paren") } else { self.token(Kind::RightParen) }
            }
            c if c.is_ascii() && !c.is_ascii_control() => self.token(Kind::Char),
            c => {
                let text = format!("unrecognized character in action: {}", rune(Some(c)));
                self.error(text)
            }
        }
    }

    fn space(&mut self) -> Token {
        self.skip_spaces();
        let count = self.pos - self.start;
        let last = &self.input.as_bytes()[self.pos - 1..];
        if has_right_trim(last) && last[2..].starts_with(b"}}") {
            self.pos -= 1;
            if count == 1 {
                return self.right_delim();
            }
        }
        self.token(Kind::Space)
    }

    fn skip_alphanumeric(&mut self) {
        loop {
            self.pos += self.bytes().iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            match self.byte() {
                Some(byte) if !byte.is_ascii() && self.peek().is_some_and(is_alphanumeric) => self.next(),
                _ => return,
            };
        }
    }

    fn at_terminator(&self) -> bool {
        match self.byte() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => true,
            Some(_) => self.bytes().starts_with(b"}}"),
        }
    }

    fn bad_character(&mut self) -> Token {
        let text = format!("bad character {}", rune(self.peek()));
        self.error(text)
    }

    fn identifier(&mut self) -> Token {
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.input[self.start..self.pos] {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.token(kind)
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token {
        if self.at_terminator() {
            return self.token(if kind == Kind::Variable { Kind::Variable } else { Kind::Dot });
        }
        self.skip_alphanumeric();
        if self.at_terminator() { self.token(kind) } else { self.bad_character() }
    }

    fn quoted(&mut self, end: u8, kind: Kind, unterminated: &str) -> Token {
        loop {
            let rest = self.bytes();
            let Some(at) = rest.iter().position(|byte| *byte == end || matches!(byte, b'\\' | b'\n')) else { return self.error(unterminated) };
            self.pos += at + 1;
            match rest[at] {
                b'\\' if !matches!(self.next(), None | Some('\n')) => {}
                b'\\' | b'\n' => return self.error(unterminated),
                _ => return self.token(kind),
            }
        }
    }

    fn raw_quoted(&mut self) -> Token {
        let Some(length) = self.rest().find('`') else { return self.error("unterminated raw quoted string") };
        self.pos += length + 1;
        self.token(Kind::RawString)
    }

    fn bad_number(&mut self) -> Token {
        let text = format!("bad number syntax: {}", super::quote(&self.input[self.start..self.pos]));
        self.error(text)
    }

    fn number(&mut self) -> Token {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.input[..self.pos].ends_with('i') {
                return self.bad_number();
            }
            return self.token(Kind::Complex);
        }
        self.token(Kind::Number)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.next();
        }
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if (digits.len() == 11 && self.accept("eE")) || (digits.len() == 23 && self.accept("pP")) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

/// Go's `%#U`.
fn rune(c: Option<char>) -> String {
    match c {
        Some(c) if super::printable(c) => format!("U+{:04X} '{c}'", u32::from(c)),
        Some(c) => format!("U+{:04X}", u32::from(c)),
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
    }
}
