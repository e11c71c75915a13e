//! encoding/json's decoder, for its values and its errors (scanner.go): every number is a float64.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chart::gotmpl::quote;
use crate::chart::meter;
use crate::chart::value::Go;

/// Go's limit.
const MAX_DEPTH: usize = 10_000;
/// What a byte of JSON takes as a value.
const PARSED: u64 = 12;

/// A value, and the error that does not keep it from being used.
pub(super) struct Decoded {
    pub value: Go,
    pub error: Option<String>,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    error: Option<String>,
}

/// `json.Unmarshal` into an `interface{}`.
pub(super) fn decode(text: &str) -> Result<Decoded, String> {
    meter::reading(text.len() as u64 * 8).and_then(|()| meter::bytes(text.len() as u64 * PARSED))?;
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, depth: 0, error: None };
    scanner.space();
    let value = scanner.value()?;
    scanner.space();
    match scanner.peek() {
        None => Ok(Decoded { value, error: scanner.error }),
        Some(_) => scanner.invalid("after top-level value"),
    }
}

/// What encoding/json calls a value.
pub(super) fn kind(value: &Go) -> &'static str {
    match value {
        Go::Bool(_) => "bool",
        Go::Str(_) => "string",
        Go::List(_) => "array",
        Go::Map(_) => "object",
        _ => "number",
    }
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error about the byte here; at the end there is a space, if one would be wrong.
    fn invalid<T>(&self, context: &str) -> Result<T, String> {
        let c = char::from(self.peek().unwrap_or(b' '));
        let shown = match c {
            '\'' => "'\\''".to_owned(),
            '"' => "'\"'".to_owned(),
            c => {
                let quoted = quote(&c.to_string());
                format!("'{}'", &quoted[1..quoted.len() - 1])
            }
        };
        Err(format!("invalid character {shown} {context}"))
    }

    fn end<T>() -> Result<T, String> {
        Err("unexpected end of JSON input".to_owned())
    }

    fn value(&mut self) -> Result<Go, String> {
        match self.peek() {
            None => Self::end(),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Go::from),
            Some(b't') => self.literal("true", Go::Bool(true)),
            Some(b'f') => self.literal("false", Go::Bool(false)),
            Some(b'n') => self.literal("null", Go::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.invalid("looking for beginning of value"),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Go, String>) -> Result<Go, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        self.at += 1;
        self.space();
        let value = read(self)?;
        self.depth -= 1;
        self.at += 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Go, String> {
        let mut entries = BTreeMap::new();
        loop {
            match self.peek() {
                None => return Self::end(),
                Some(b'}') if entries.is_empty() => break,
                Some(b'"') => {}
                Some(_) => return self.invalid("looking for beginning of object key string"),
            }
            let key = self.string()?;
            self.space();
            match self.peek() {
                None => return Self::end(),
                Some(b':') => self.at += 1,
                Some(_) => return self.invalid("after object key"),
            }
            self.space();
            let value = self.value()?;
            entries.insert(Arc::from(key), value);
            self.space();
            match self.peek() {
                None => return Self::end(),
                Some(b'}') => break,
                Some(b',') => self.at += 1,
                Some(_) => return self.invalid("after object key:value pair"),
            }
            self.space();
            if self.peek() == Some(b'}') {
                return self.invalid("looking for beginning of object key string");
            }
        }
        Ok(Go::map(entries))
    }

    fn array(&mut self) -> Result<Go, String> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            return Ok(Go::list(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            match self.peek() {
                None => return Self::end(),
                Some(b']') => return Ok(Go::list(items)),
                Some(b',') => self.at += 1,
                Some(_) => return self.invalid("after array element"),
            }
            self.space();
        }
    }

    fn literal(&mut self, word: &str, value: Go) -> Result<Go, String> {
        for expected in word.chars() {
            if self.peek().map(char::from) != Some(expected) {
                return self.invalid(&format!("in literal {word} (expecting '{expected}')"));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Go, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.invalid("in numeric literal"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.invalid("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.invalid("in exponent of numeric literal");
            }
            self.digits();
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        match text.parse::<f64>() {
            Ok(f) if f.is_finite() => Ok(Go::Float(f)),
            _ => {
                self.error.get_or_insert(format!("json: cannot unmarshal number {text} into Go value of type float64"));
                Ok(Go::Nil)
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                None => return Self::end(),
                Some(b'"') => break,
                Some(..0x20) => return self.invalid("in string literal"),
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                // Half of a pair, on its own, is no character.
                let mut c = char::from_u32(first);
                if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        c = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                    } else {
                        self.at = back;
                    }
                }
                out.extend_from_slice(c.unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.invalid("in string escape code"),
        };
        self.at += 1;
        out.push(byte);
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut number = 0;
        for _ in 0..4 {
            match self.peek().and_then(|b| char::from(b).to_digit(16)) {
                Some(digit) => number = number * 16 + digit,
                None => return self.invalid("in \\u hexadecimal character escape"),
            }
            self.at += 1;
        }
        Ok(number)
    }
}
