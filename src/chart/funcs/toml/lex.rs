//! The lexer's half of the parser (lex.go): characters, and where they are.

/// Where an error is, and what.
#[derive(Debug)]
pub(super) struct Trouble {
    pub line: usize,
    pub message: String,
}

/// The text, and how far it is read.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    pub line: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0, line: 1 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The next character without taking it; a control character is an error.
    pub(super) fn peek(&self) -> Result<Option<char>, Trouble> {
        let Some(c) = self.rest().chars().next() else { return Ok(None) };
        let lonely = c == '\r' && !self.rest().starts_with("\r\n");
        if lonely || (c.is_ascii_control() && !matches!(c, '\t' | '\r' | '\n')) {
            return self.fail(format!("TOML files cannot contain control characters: '0x{:02x}'", u32::from(c)));
        }
        Ok(Some(c))
    }

    pub(super) fn take(&mut self) -> Result<Option<char>, Trouble> {
        let c = self.peek()?;
        if let Some(c) = c {
            self.at += c.len_utf8();
            self.line += usize::from(c == '\n');
        }
        Ok(c)
    }

    pub(super) fn accept(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
            self.line += text.matches('\n').count();
        }
        found
    }

    pub(super) fn spaces(&mut self) {
        let rest = self.rest().trim_start_matches([' ', '\t']);
        self.at = self.text.len() - rest.len();
    }

    /// Spaces, line ends and comments.
    pub(super) fn blank(&mut self) -> Result<(), Trouble> {
        while let Some(c) = self.peek()? {
            match c {
                ' ' | '\t' | '\n' | '\r' => {
                    self.take()?;
                }
                '#' => {
                    while !matches!(self.peek()?, None | Some('\n' | '\r')) {
                        self.take()?;
                    }
                }
                _ => break,
            }
        }
        Ok(())
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, Trouble> {
        // At the end, behind a line end, the line before is named.
        let back = usize::from(self.rest().is_empty() && self.text.ends_with('\n'));
        Err(Trouble { line: self.line - back, message: message.into() })
    }
}

/// A character as `%q` shows it to people; the end of the text is a zero there.
pub(super) fn shown(c: Option<char>) -> String {
    let c = c.unwrap_or('\0');
    if c == '\'' {
        return "'\\''".to_owned();
    }
    if c == '"' {
        return "'\"'".to_owned();
    }
    let quoted = crate::chart::gotmpl::quote(&c.to_string());
    format!("'{}'", &quoted[1..quoted.len() - 1])
}

/// An error at a line.
pub(super) fn fail_at<T>(line: usize, message: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble { line, message: message.into() })
}
