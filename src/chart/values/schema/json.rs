//! What Go's encoding/json says of a text that is no JSON (scanner.go, `Decoder.Decode`).

/// Go allows ten times as much; what is deeper than a tenth of this is refused anyhow.
const MAX_DEPTH: usize = 1000;

/// A schema's text (santhosh-tekuri/jsonschema, `UnmarshalJSON`).
pub(super) fn parse(text: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(text).map_err(|error| fault(text).unwrap_or_else(|| error.to_string()))
}

/// The fault of a text; none if it has none that can be told.
fn fault(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    scanner.blanks();
    if scanner.at >= text.len() {
        return Some("EOF".to_owned());
    }
    if let Err(fault) = scanner.value() {
        return Some(fault);
    }
    scanner.blanks();
    (scanner.at < text.len()).then(|| "invalid character after top-level value".to_owned())
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn blanks(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, String> {
        self.text.get(self.at).copied().ok_or_else(|| "unexpected EOF".to_owned())
    }

    fn wrong<T>(&self, context: &str) -> Result<T, String> {
        let byte = self.peek()?;
        let shown = match byte {
            b'\'' => "'\\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\n' => "'\\n'".to_owned(),
            b'\r' => "'\\r'".to_owned(),
            b'\t' => "'\\t'".to_owned(),
            b'\\' => "'\\\\'".to_owned(),
            0x20..=0x7e | 0xa1..=0xff => format!("'{}'", char::from(byte)),
            other => format!("'\\x{other:02x}'"),
        };
        Err(format!("invalid character {shown} {context}"))
    }

    fn value(&mut self) -> Result<(), String> {
        self.blanks();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek()? {
            b'{' => self.object()?,
            b'[' => self.array()?,
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => return self.wrong("looking for beginning of value"),
        }
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), String> {
        self.at += 1;
        self.blanks();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            if self.peek()? != b'"' {
                return self.wrong("looking for beginning of object key string");
            }
            self.string()?;
            self.blanks();
            if self.peek()? != b':' {
                return self.wrong("after object key");
            }
            self.at += 1;
            self.value()?;
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("after object key:value pair"),
            }
        }
    }

    fn array(&mut self) -> Result<(), String> {
        self.at += 1;
        self.blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            self.blanks();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("after array element"),
            }
        }
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
                        b'u' => {
                            for _ in 0..4 {
                                self.at += 1;
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return self.wrong("in \\u hexadecimal character escape");
                                }
                            }
                            self.at += 1;
                        }
                        _ => return self.wrong("in string escape code"),
                    }
                }
                byte if byte < 0x20 => return self.wrong("in string literal"),
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek()? == b'-' {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return self.wrong("in numeric literal");
            }
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return self.wrong("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            if !self.peek()?.is_ascii_digit() {
                return self.wrong("in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for letter in word.bytes() {
            if self.peek()? != letter {
                return self.wrong(&format!("in literal {word} (expecting '{}')", char::from(letter)));
            }
            self.at += 1;
        }
        Ok(())
    }
}
