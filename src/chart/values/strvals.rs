//! The grammar of `--set`: Helm's pkg/strvals.

use std::num::IntErrorKind;

use serde_json::{Map, Value};

use crate::chart::{
    engine::Dialect,
    log::{go_quoted, go_type},
};

/// Lists do not grow beyond this.
const MAX_INDEX: usize = 65_536;
/// Names do not nest deeper than this.
const MAX_LEVEL: usize = 30;
/// Lists in lists; Go's stack holds more, and nobody needs as many.
const MAX_LISTS: usize = 1000;

/// Which of the flags a text was given with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--set`: values become booleans, null and integers where they read as such.
    Typed,
    /// `--set-string`: values are text.
    Text,
    /// `--set-json`: values are JSON.
    Json,
    /// `--set-literal`: everything after `=` is the value.
    Literal,
    /// `--set-file`: values are files; [`parse_files_into`] reads them.
    File,
}

impl Kind {
    /// The flag as it is written.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Typed => "--set",
            Self::Text => "--set-string",
            Self::Json => "--set-json",
            Self::Literal => "--set-literal",
            Self::File => "--set-file",
        }
    }
}

/// What is wrong with a `--set`, in Helm's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetError(String);

/// How reading a key ended.
enum Stop {
    /// At the end of the text; not a fault.
    End,
    Fault(SetError),
}

fn fault<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fault(SetError(text.into())))
}

/// Reads `a.b[0].c=v,d={x,y}` into values; what is there already is changed in place.
pub(super) fn parse_into(values: &mut Map<String, Value>, kind: Kind, text: &str, dialect: Dialect) -> Result<(), SetError> {
    // Nobody who gives no way to read files asks for files.
    parse(values, Reader { rest: text, kind, dialect, file: &mut |path| Err(format!("open {path}: no such file or directory")), lists: 0 })
}

/// The same for `--set-file`: what stands after `=` is given to `file`, and its answer is the value (`ParseIntoFile`).
pub fn parse_files_into(values: &mut Map<String, Value>, text: &str, file: &mut ReadFile<'_>, dialect: Dialect) -> Result<(), SetError> {
    parse(values, Reader { rest: text, kind: Kind::File, dialect, file, lists: 0 })
}

/// Gives the content of a file, or says why not.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

fn parse(values: &mut Map<String, Value>, mut reader: Reader<'_, '_>) -> Result<(), SetError> {
    loop {
        match reader.key(values, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Fault(error)) => return Err(error),
        }
    }
}

struct Reader<'a, 'f> {
    rest: &'a str,
    kind: Kind,
    dialect: Dialect,
    file: &'a mut ReadFile<'f>,
    /// Lists that we are in.
    lists: usize,
}

impl Reader<'_, '_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Characters up to one of `stop`, which is consumed; none stands for the end.
    fn until(&mut self, stop: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stop.contains(&c) {
                return (text, Some(c));
            }
            if c == '\\' && self.kind != Kind::Literal {
                match self.next() {
                    Some(escaped) => text.push(escaped),
                    None => return (text, None),
                }
            } else {
                text.push(c);
            }
        }
        (text, None)
    }

    fn key(&mut self, data: &mut Map<String, Value>, level: usize) -> Result<(), Stop> {
        let stops: &[char] = if self.kind == Kind::Literal { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (name, last) = self.until(stops);
        match last {
            None if name.is_empty() => Err(Stop::End),
            None => fault(format!("key {} has no value", go_quoted(&name))),
            Some('[') => self.list_key(data, name, level),
            Some('=') => self.assign(data, name),
            Some(',') => {
                set(data, name.clone(), Value::String(String::new()));
                fault(format!("key {} has no value (cannot end with ,)", go_quoted(&name)))
            }
            Some(_) => self.nested_key(data, name, level),
        }
    }

    fn list_key(&mut self, data: &mut Map<String, Value>, name: String, level: usize) -> Result<(), Stop> {
        let index = self.index()?;
        let mut list = match data.get_mut(&name).map(Value::take) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => return not_a("[]interface {}", &other),
        };
        let result = self.item(&mut list, index, level);
        set(data, name, Value::Array(list));
        result
    }

    fn nested_key(&mut self, data: &mut Map<String, Value>, name: String, level: usize) -> Result<(), Stop> {
        let level = level + 1;
        if level > MAX_LEVEL {
            return fault(format!("value name nested level is greater than maximum supported nested level of {MAX_LEVEL}"));
        }
        let had = data.contains_key(&name);
        let mut inner = match data.get_mut(&name).map(Value::take) {
            None => Map::new(),
            Some(Value::Object(inner)) => inner,
            Some(other) => return not_a("map[string]interface {}", &other),
        };
        let result = self.key(&mut inner, level);
        if result.is_ok() && inner.is_empty() {
            return fault(format!("key map {} has no value", go_quoted(&name)));
        }
        if had || !inner.is_empty() {
            set(data, name, Value::Object(inner));
        }
        result
    }

    fn assign(&mut self, data: &mut Map<String, Value>, name: String) -> Result<(), Stop> {
        let (value, ended) = self.value()?;
        set(data, name, value);
        if ended { Err(Stop::End) } else { Ok(()) }
    }

    /// A value, and whether nothing came after `=`.
    fn value(&mut self) -> Result<(Value, bool), Stop> {
        match self.kind {
            Kind::Json => Ok((self.json()?, false)),
            Kind::Literal => Ok((Value::String(std::mem::take(&mut self.rest).to_owned()), false)),
            _ if self.rest.is_empty() => Ok((Value::String(String::new()), true)),
            _ if self.rest.starts_with('{') => {
                self.next();
                Ok((self.list()?, false))
            }
            _ => {
                let (text, _) = self.until(&[',']);
                Ok((self.typed(text)?, false))
            }
        }
    }

    fn json(&mut self) -> Result<Value, Stop> {
        if self.skip_empty() {
            return Ok(Value::Null);
        }
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let mut value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return fault(error.to_string()),
            None => return fault("unexpected end of JSON input"),
        };
        let used = stream.byte_offset();
        self.rest = &self.rest[used..];
        self.skip_empty();
        floats(&mut value);
        Ok(value)
    }

    /// Skips blanks and one comma; whether nothing else stood there.
    fn skip_empty(&mut self) -> bool {
        loop {
            match self.rest.chars().next() {
                None => return true,
                Some(',') => {
                    self.next();
                    return true;
                }
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some(_) => return false,
            }
        }
    }

    fn list(&mut self) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            let (text, last) = self.until(&[',', '}']);
            let Some(last) = last else { return fault("list must terminate with '}'") };
            items.push(self.typed(text)?);
            if last == '}' {
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                return Ok(Value::Array(items));
            }
        }
    }

    /// `keyIndex`: what stands between brackets, whatever number it is.
    fn index(&mut self) -> Result<i64, Stop> {
        let (text, last) = self.until(&[']']);
        if last.is_none() {
            // Helm 4 wraps Go's EOF so that it is found again, and then it is the end of the text.
            return if self.dialect == Dialect::Helm4 { Err(Stop::End) } else { fault("error parsing index: EOF") };
        }
        text.parse::<i64>().or_else(|error| {
            let reason = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            fault(format!("error parsing index: strconv.Atoi: parsing {}: {reason}", go_quoted(&text)))
        })
    }

    /// `listItem`. What was in the list already stays changed where the text ends too early; what was not is not added then.
    fn item(&mut self, list: &mut Vec<Value>, index: i64, level: usize) -> Result<(), Stop> {
        let Ok(at) = usize::try_from(index) else { return fault(format!("negative {index} index not allowed")) };
        let (junk, end) = self.until(&['[', '.', '=']);
        if !junk.is_empty() {
            // `%q` of runes, one by one.
            let runes: Vec<String> = junk.chars().map(|c| format!("'{}'", go_rune(c))).collect();
            return fault(format!("unexpected data at end of array index: [{}]", runes.join(" ")));
        }
        match end {
            None => Err(Stop::End),
            Some('=') => {
                let (value, _) = self.value()?;
                put(list, at, value)
            }
            Some('[') => {
                let inner_index = self.index()?;
                let had = list.get(at).is_some_and(Value::is_array);
                let mut inner = match list.get_mut(at).map(Value::take) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner,
                    Some(other) => return not_a("[]interface {}", &other),
                };
                self.lists += 1;
                if self.lists > MAX_LISTS {
                    return fault(format!("lists are nested more than {MAX_LISTS} deep"));
                }
                let result = self.item(&mut inner, inner_index, level);
                self.lists -= 1;
                if had || result.is_ok() {
                    put(list, at, Value::Array(inner))?;
                }
                result
            }
            Some(_) => {
                let had = at < list.len();
                let mut inner = match list.get_mut(at).map(Value::take) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                let result = self.key(&mut inner, level);
                if had || result.is_ok() {
                    put(list, at, Value::Object(inner))?;
                }
                result
            }
        }
    }

    fn typed(&mut self, text: String) -> Result<Value, Stop> {
        match self.kind {
            Kind::Text => Ok(Value::String(text)),
            Kind::File => match (self.file)(&text) {
                Ok(content) => Ok(Value::String(content)),
                Err(error) => fault(error),
            },
            _ => Ok(typed(text)),
        }
    }
}

/// `typedVal`.
fn typed(text: String) -> Value {
    match text.to_lowercase().as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        "null" => return Value::Null,
        "0" => return Value::from(0),
        _ => {}
    }
    // What starts with a zero stays text: it may be a phone number or an octal mode.
    match text.parse::<i64>() {
        Ok(number) if !text.starts_with('0') => Value::from(number),
        _ => Value::String(text),
    }
}

/// `setIndex`.
fn put(list: &mut Vec<Value>, index: usize, value: Value) -> Result<(), Stop> {
    if index > MAX_INDEX {
        return fault(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
    }
    if list.len() <= index {
        list.resize(index + 1, Value::Null);
    }
    list[index] = value;
    Ok(())
}

/// What Go panics with where a value is not of the type that the key asks for.
fn not_a<T>(wanted: &str, found: &Value) -> Result<T, Stop> {
    fault(format!("unable to parse key: interface conversion: interface {{}} is {}, not {wanted}", go_type(found)))
}

/// A rune as `%q` prints it, without its quotes.
fn go_rune(c: char) -> String {
    match c {
        '\'' => "\\'".to_owned(),
        '"' => "\"".to_owned(),
        c => go_quoted(&c.to_string()).trim_matches('"').to_owned(),
    }
}

fn set(data: &mut Map<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        data.insert(key, value);
    }
}

/// Makes every number a float, as `encoding/json` does.
pub(super) fn floats(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().and_then(serde_json::Number::from_f64) {
                *number = float;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(floats),
        Value::Object(map) => map.values_mut().for_each(floats),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(kind: Kind, text: &str) -> Result<Value, String> {
        let mut values = Map::new();
        parse_into(&mut values, kind, text, Dialect::Helm3).map(|()| Value::Object(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn set_reads_as_strvals() {
        let rows = [
            ("name1=value1,name2=value2", json!({"name1": "value1", "name2": "value2"})),
            ("name1=value1,", json!({"name1": "value1"})),
            ("leading_zeros=00009", json!({"leading_zeros": "00009"})),
            ("zero_int=0,long_int=1234567890,boolean=TRUE,n=null", json!({"zero_int": 0, "long_int": 1_234_567_890, "boolean": true, "n": null})),
            ("name1=one\\,two,name2=three\\,four", json!({"name1": "one,two", "name2": "three,four"})),
            ("outer.inner=value,outer.other=x", json!({"outer": {"inner": "value", "other": "x"}})),
            ("name1={1021,902}", json!({"name1": [1021, 902]})),
            ("name1.name2={v1,v2}", json!({"name1": {"name2": ["v1", "v2"]}})),
            ("list[0]=foo,list[3]=bar", json!({"list": ["foo", null, null, "bar"]})),
            ("list[0].foo=bar,list[0].hello=world", json!({"list": [{"foo": "bar", "hello": "world"}]})),
            ("nested[1][1]=1", json!({"nested": [null, [null, 1]]})),
            ("a=,b=1", json!({"a": "", "b": 1})),
            ("a=1.5", json!({"a": "1.5"})),
            ("a\\.b=c", json!({"a.b": "c"})),
        ];
        for (text, want) in rows {
            assert_eq!(parse(Kind::Typed, text), Ok(want), "{text}");
        }
    }

    #[test]
    fn faults_are_helms() {
        for (text, want) in [
            ("name1=value1,name2", "key \"name2\" has no value"),
            ("name1,name2=", "key \"name1\" has no value (cannot end with ,)"),
            ("name1={a", "list must terminate with '}'"),
            ("a[-1]=1", "negative -1 index not allowed"),
            ("a[x]=1", "error parsing index: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("a=1,a.b=2", "unable to parse key: interface conversion: interface {} is int64, not map[string]interface {}"),
        ] {
            assert_eq!(parse(Kind::Typed, text), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn other_kinds() {
        assert_eq!(parse(Kind::Text, "a=1,b=true"), Ok(json!({"a": "1", "b": "true"})));
        assert_eq!(parse(Kind::Json, "a={\"b\":[1,2]},c=\"x\",d="), Ok(json!({"a": {"b": [1.0, 2.0]}, "c": "x", "d": null})));
        assert_eq!(parse(Kind::Literal, "a.b=c,d={e}\\"), Ok(json!({"a": {"b": "c,d={e}\\"}})));
    }

    /// pkg/strvals, `parser_test.go`, `TestParseIntoFile` and `TestParseFile`.
    #[test]
    fn files_are_read_where_values_stand() {
        let mut read = |path: &str| if path == "gone" { Err("open gone: no such file or directory".to_owned()) } else { Ok(format!("content of {path}")) };
        let mut values = Map::new();
        parse_files_into(&mut values, r"name1=path1,a.b[0]=x\,y,list={p,q},none=", &mut read, Dialect::Helm3).unwrap();
        let want = serde_json::json!({
            "name1": "content of path1", "a": {"b": ["content of x,y"]}, "list": ["content of p", "content of q"], "none": "",
        });
        assert_eq!(Value::Object(values), want);
        for (text, want) in [("a=gone", "open gone: no such file or directory"), ("name1", "key \"name1\" has no value")] {
            assert_eq!(parse_files_into(&mut Map::new(), text, &mut read, Dialect::Helm3).unwrap_err().to_string(), want);
        }
    }
}
