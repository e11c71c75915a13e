//! Values to YAML text, byte for byte as go-yaml v2 (through JSON) and v3 write it.

mod analyze;
mod scalar;
mod writer;

use serde_json::{Number, Value};

use super::{
    YamlError,
    compose::MAX_DEPTH,
    number::{float_general, float_json, parse_int},
    resolve::{Resolved, is_base60, resolve},
    sort,
};
use analyze::Analysis;
use scalar::Style;
use writer::Writer;

/// Which go-yaml to write like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// sigs.k8s.io/yaml: the value goes through JSON, lines fold at 80 columns.
    V2,
    /// go-yaml v3 with an indent of two: lists are indented, nothing folds.
    V3,
}

/// Writes a value as a document.
pub(super) fn emit(value: &Value, dialect: Dialect) -> Result<String, YamlError> {
    let mut emitter = Emitter { writer: Writer::new(), dialect };
    emitter.node(value, false, 0)?;
    Ok(emitter.writer.finish())
}

struct Emitter {
    writer: Writer,
    dialect: Dialect,
}

impl Emitter {
    fn node(&mut self, value: &Value, in_mapping: bool, depth: usize) -> Result<(), YamlError> {
        if depth > 2 * MAX_DEPTH {
            return Err(YamlError::plain(format!("exceeded max depth of {}", 2 * MAX_DEPTH)));
        }
        match value {
            Value::Null => self.plain("null"),
            Value::Bool(truth) => self.plain(if *truth { "true" } else { "false" }),
            Value::Number(number) => {
                let text = self.number(number);
                self.plain(&text);
            }
            Value::String(text) => {
                let text = self.through_json(text)?;
                let style = self.style(&text, false);
                self.writer.scalar(&text, style, true, self.dialect);
            }
            Value::Array(items) if items.is_empty() => self.empty("[", "]"),
            Value::Object(map) if map.is_empty() => self.empty("{", "}"),
            Value::Array(items) => {
                // go-yaml v2 does not indent a list that is the value of a key.
                let indentless = self.dialect == Dialect::V2 && in_mapping && !self.writer.indention;
                self.writer.indent_more(false, indentless);
                for item in items {
                    self.writer.write_indent();
                    self.writer.indicator("-", true, false, true);
                    self.node(item, false, depth + 1)?;
                }
                self.writer.indent_less();
            }
            Value::Object(map) => self.mapping(map, depth)?,
        }
        Ok(())
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.writer.indicator(open, true, true, false);
        self.writer.indicator(close, false, false, false);
    }

    fn plain(&mut self, text: &str) {
        self.writer.scalar(text, Style::Plain, true, self.dialect);
    }

    fn mapping(&mut self, map: &serde_json::Map<String, Value>, depth: usize) -> Result<(), YamlError> {
        let mut entries = Vec::with_capacity(map.len());
        for (key, value) in map {
            entries.push((self.through_json(key)?, value));
        }
        entries.sort_by(|(left, _), (right, _)| sort::compare(left, right, self.dialect == Dialect::V3));
        self.writer.indent_more(false, false);
        for (key, value) in entries {
            self.writer.write_indent();
            // "A simple key": on one line, and not longer than libyaml likes.
            let simple = key.len() <= 128 && !Analysis::of(&key, self.dialect).multiline;
            let style = self.style(&key, simple);
            if simple {
                self.writer.scalar(&key, style, false, self.dialect);
                self.writer.indicator(":", false, false, false);
            } else {
                self.writer.indicator("?", true, false, true);
                self.writer.scalar(&key, style, true, self.dialect);
                self.writer.write_indent();
                self.writer.indicator(":", true, false, true);
            }
            self.node(value, true, depth + 1)?;
        }
        self.writer.indent_less();
        Ok(())
    }

    /// The style of a text: go-yaml's `stringv`, then libyaml's `select_scalar_style`.
    fn style(&self, text: &str, key: bool) -> Style {
        let wanted = if text.contains('\n') {
            Style::Literal
        } else if Self::reads_as_text(text) {
            Style::Plain
        } else {
            Style::Double
        };
        Analysis::of(text, self.dialect).allowed(wanted, key)
    }

    fn reads_as_text(text: &str) -> bool {
        // v3 no longer reads `yes` as a boolean, but quotes it still; its `<<` has no entry in the table of first letters either.
        matches!(resolve(text), Resolved::Str) && !is_base60(text)
    }

    fn number(&self, number: &Number) -> String {
        let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
        if self.dialect == Dialect::V3 {
            return float_general(float);
        }
        let json = float_json(float);
        match parse_int(&json) {
            Some(Resolved::Int(number)) => number.to_string(),
            Some(Resolved::Uint(number)) => number.to_string(),
            _ => float_general(float),
        }
    }

    /// What is left of a text that was written as JSON and read as YAML: control characters are refused, NEL is a line break.
    fn through_json(&self, text: &str) -> Result<String, YamlError> {
        if self.dialect == Dialect::V3 {
            return Ok(text.to_owned());
        }
        // encoding/json escapes what is below a space, and U+2028 and U+2029, so that these come through.
        let refused = |c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
        if text.contains(refused) {
            return Err(YamlError::plain("control characters are not allowed"));
        }
        Ok(if text.contains('\u{85}') { fold_next_lines(text) } else { text.to_owned() })
    }
}

/// Folds line breaks as in a double-quoted scalar: blanks around them go, one becomes a space, n become n-1 newlines.
fn fold_next_lines(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut lines = text.split('\u{85}').peekable();
    let mut first = true;
    let mut pending = 0_usize;
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        let line = if first { line } else { line.trim_start_matches(' ') };
        let line = if last { line } else { line.trim_end_matches(' ') };
        if !first {
            pending += 1;
        }
        if !line.is_empty() || last {
            match pending {
                0 => {}
                1 => folded.push(' '),
                more => folded.extend(std::iter::repeat_n('\n', more - 1)),
            }
            pending = 0;
            folded.push_str(line);
        }
        first = false;
    }
    folded
}
