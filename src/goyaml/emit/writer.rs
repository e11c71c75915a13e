//! Columns, indentation and indicators: the state of libyaml's emitter.

/// The text so far, and where it stands.
pub(super) struct Writer {
    text: String,
    /// Characters since the last line break.
    pub(super) column: usize,
    indent: Option<usize>,
    outer: Vec<Option<usize>>,
    /// Whether what was written last separates.
    pub(super) whitespace: bool,
    /// Whether the line holds only indentation so far.
    pub(super) indention: bool,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { text: String::new(), column: 0, indent: None, outer: Vec::new(), whitespace: true, indention: true }
    }

    /// Ends the document.
    pub(super) fn finish(mut self) -> String {
        self.indent = None;
        self.write_indent();
        self.text
    }

    pub(super) fn indent_more(&mut self, flow: bool, indentless: bool) {
        self.outer.push(self.indent);
        self.indent = match self.indent {
            None => Some(if flow { 2 } else { 0 }),
            Some(indent) if indentless => Some(indent),
            Some(indent) => Some(indent + 2),
        };
    }

    pub(super) fn indent_less(&mut self) {
        self.indent = self.outer.pop().flatten();
    }

    pub(super) fn put(&mut self, c: char) {
        self.text.push(c);
        self.column += 1;
    }

    /// Writes a line break. Only `\n` ends the line as libyaml counts; the others are written as they are, and end it too.
    pub(super) fn put_break(&mut self, c: char) {
        self.text.push(c);
        self.column = 0;
    }

    pub(super) fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    pub(super) fn indicator(&mut self, text: &str, need_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }
}
