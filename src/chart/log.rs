//! What Helm logs beside its work, in the form in which it prints it on standard error.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use super::engine::Dialect;
use crate::goyaml;

/// Lines for standard error.
///
/// Helm 3 uses Go's `log` with `Lshortfile` (cmd/helm/helm.go), so a line starts with the place in Helm's source. Helm 4 uses `slog`'s
/// text form without time (internal/logging), through which what still goes to `log` passes at INFO.
#[derive(Debug, Default)]
pub(super) struct Log {
    dialect: Dialect,
    lines: Vec<String>,
}

impl Log {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, lines: Vec::new() }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    /// A line as it is.
    pub(super) fn raw(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    /// `log.Printf`, in both; `place` is where 3.22 does it.
    pub(super) fn print(&mut self, place: &str, text: &str) {
        match self.dialect {
            Dialect::Helm3 => self.lines.push(format!("{place}: {text}")),
            Dialect::Helm4 => self.slog("INFO", text, &[]),
        }
    }

    /// What Helm 4 gives to `slog`.
    pub(super) fn slog(&mut self, level: &str, message: &str, attributes: &[(&str, &str)]) {
        let mut line = format!("level={level} msg={}", quoted(message));
        for (key, value) in attributes {
            write!(line, " {key}={}", quoted(value)).expect("writing to a String cannot fail");
        }
        self.lines.push(line);
    }

    /// `log.Printf` in 3.22, `slog` in 4.
    pub(super) fn either(&mut self, place: &str, text: &str, level: &str, message: &str, attributes: &[(&str, &str)]) {
        match self.dialect {
            Dialect::Helm3 => self.lines.push(format!("{place}: {text}")),
            Dialect::Helm4 => self.slog(level, message, attributes),
        }
    }
}

/// slog's `needsQuoting`: what is empty, or has blanks, quotes, `=` or what cannot be printed.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c == '"' || c == '=' || c.is_control());
    if plain { text.to_owned() } else { go_quoted(text) }
}

/// `strconv.Quote`, as far as log lines need it.
pub(super) fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(quoted, "\\x{:02x}", c as u32).expect("writing to a String cannot fail"),
            c if (c as u32) < 0xa0 && c.is_control() => write!(quoted, "\\u{:04x}", c as u32).expect("writing to a String cannot fail"),
            '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                write!(quoted, "\\u{:04x}", c as u32).expect("writing to a String cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Go's `%v` of decoded YAML.
pub(super) fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => go_number(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            format!("map[{}]", entries.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect::<Vec<_>>().join(" "))
        }
    }
}

fn go_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => goyaml::float_general(float),
        _ => number.to_string(),
    }
}

/// What `fmt` prints for a value whose verb does not fit (`%!t(string=x)`); `%t` of a boolean fits.
pub(super) fn bad_verb(verb: char, value: &Value) -> String {
    match value {
        Value::Null => format!("%!{verb}(<nil>)"),
        Value::Bool(truth) if verb == 't' => truth.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(|item| bad_verb(verb, item)).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let text = |key: &str| format!("%!{verb}(string={key})");
            format!("map[{}]", map.iter().map(|(key, value)| format!("{}:{}", text(key), bad_verb(verb, value))).collect::<Vec<_>>().join(" "))
        }
        other => format!("%!{verb}({}={})", go_type(other), go_text(other)),
    }
}

/// Go's name for the type of a decoded value.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_helms() {
        let mut log = Log::new(Dialect::Helm4);
        log.either("x.go:1", "t", "WARN", "returned non-bool value", &[("path", "s1.enabled"), ("error", "\"m\" is no"), ("none", "")]);
        log.print("y.go:2", "text");
        let mut old = Log::new(Dialect::Helm3);
        old.print("y.go:2", "text");
        assert_eq!(log.into_lines(), ["level=WARN msg=\"returned non-bool value\" path=s1.enabled error=\"\\\"m\\\" is no\" none=\"\"", "level=INFO msg=text"]);
        assert_eq!(old.into_lines(), ["y.go:2: text"]);
    }

    #[test]
    fn values_print_as_in_go() {
        for (value, text, verb) in [
            (json!(null), "<nil>", "%!t(<nil>)"),
            (json!(true), "true", "true"),
            (json!(5), "5", "%!t(int64=5)"),
            (json!(1e6), "1e+06", "%!t(float64=1e+06)"),
            (json!(1.5), "1.5", "%!t(float64=1.5)"),
            (json!(["a", 1.0]), "[a 1]", "[%!t(string=a) %!t(float64=1)]"),
            (json!({"b": 1.0, "a": null}), "map[a:<nil> b:1]", "map[%!t(string=a):%!t(<nil>) %!t(string=b):%!t(float64=1)]"),
        ] {
            assert_eq!((go_text(&value).as_str(), bad_verb('t', &value).as_str()), (text, verb), "{value}");
        }
    }
}
