//! Strings, numbers, booleans and dates of TOML.

use super::lex::{Cursor, Trouble, shown};
use crate::chart::funcs::convert::parse_float;
use crate::chart::funcs::times;
use crate::chart::gotmpl::{integer, quote};
use crate::chart::value::Go;

/// A value that is neither array nor table.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Result<Go, Trouble> {
    let next = cursor.peek()?;
    match next {
        Some('"') if cursor.rest().starts_with("\"\"\"") => multiline(cursor).map(Go::from),
        Some('"') => basic(cursor).map(Go::from),
        Some('\'') if cursor.rest().starts_with("'''") => raw_multiline(cursor).map(Go::from),
        Some('\'') => raw(cursor).map(Go::from),
        Some('.') => cursor.fail("floats must start with a digit, not '.'"),
        Some('+' | '-' | '0'..='9') => number(cursor),
        Some(c) if c.is_alphabetic() => word(cursor),
        None => cursor.fail("unexpected EOF; expected value"),
        other => cursor.fail(format!("expected value but found {} instead", shown(other))),
    }
}

fn word(cursor: &mut Cursor<'_>) -> Result<Go, Trouble> {
    for (text, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
        if cursor.accept(text) {
            return Ok(Go::Float(value));
        }
    }
    let start = cursor.at();
    while cursor.peek()?.is_some_and(char::is_alphabetic) {
        cursor.take()?;
    }
    match cursor.since(start) {
        "true" => Ok(true.into()),
        "false" => Ok(false.into()),
        other => cursor.fail(format!("expected value but found {} instead", quote(other))),
    }
}

/// Takes while the characters are such.
fn run(cursor: &mut Cursor<'_>, of: &str) -> Result<(), Trouble> {
    while cursor.peek()?.is_some_and(|c| c.is_ascii_digit() || of.contains(c)) {
        cursor.take()?;
    }
    Ok(())
}

/// `lexNumberOrDateStart` and `lexDecimalNumberStart`.
fn number(cursor: &mut Cursor<'_>) -> Result<Go, Trouble> {
    let start = cursor.at();
    let first = cursor.take()?;
    let second = cursor.peek()?;
    if matches!(first, Some('+' | '-')) {
        for (text, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if cursor.accept(text) {
                return Ok(Go::Float(if first == Some('-') { -value } else { value }));
            }
        }
        match second {
            Some('i' | 'n') => {
                cursor.take()?;
                return cursor.fail(format!("invalid float: '{}'", cursor.since(start)));
            }
            Some('.') => return cursor.fail("floats must start with a digit, not '.'"),
            Some('0') if cursor.rest()[1..].starts_with(['b', 'o', 'x']) => {
                let end = &cursor.rest()[..2];
                return cursor.fail(format!("cannot use sign with non-decimal numbers: '{}{end}'", cursor.since(start)));
            }
            Some(c) if c.is_ascii_digit() => {}
            other => return cursor.fail(format!("expected a digit but got {}", shown(other))),
        }
        return decimal(cursor, start);
    }
    if first == Some('0')
        && let Some(base @ ('b' | 'o' | 'x')) = second
    {
        cursor.take()?;
        let (name, radix) = match base {
            'b' => ("a binary", 2),
            'o' => ("an octal", 8),
            _ => ("a hexadecimal", 16),
        };
        let next = cursor.peek()?;
        if !next.is_some_and(|c| c.is_digit(radix)) {
            let shown = next.unwrap_or('\0');
            return cursor.fail(format!("not {name} number: '{}{shown}'", cursor.since(start)));
        }
        while cursor.peek()?.is_some_and(|c| c.is_digit(radix) || c == '_') {
            cursor.take()?;
        }
        return whole(cursor, start);
    }
    run(cursor, "")?;
    match cursor.peek()? {
        Some('-' | ':') if cursor.at() > start + 1 || first != Some('0') => {
            run(cursor, "-:Tt .Zz+")?;
            date(cursor, start)
        }
        _ => decimal(cursor, start),
    }
}

fn decimal(cursor: &mut Cursor<'_>, start: usize) -> Result<Go, Trouble> {
    run(cursor, "_")?;
    if matches!(cursor.peek()?, Some('.' | 'e' | 'E')) {
        run(cursor, "_.-+eE")?;
        return float(cursor, start);
    }
    whole(cursor, start)
}

fn underscores_ok(text: &str) -> bool {
    let mut accept = false;
    for c in text.chars() {
        if c == '_' && !accept {
            return false;
        }
        accept = c.is_ascii_hexdigit();
    }
    accept
}

fn leading_zero(text: &str) -> bool {
    let bytes = text.as_bytes();
    (bytes.len() > 1 && bytes[0] == b'0' && !matches!(bytes[1], b'b' | b'o' | b'x')) || (bytes.len() > 2 && matches!(bytes[0], b'+' | b'-') && bytes[1] == b'0')
}

fn whole(cursor: &Cursor<'_>, start: usize) -> Result<Go, Trouble> {
    let text = cursor.since(start);
    if !underscores_ok(text) {
        return cursor.fail(format!("Invalid integer {}: underscores must be surrounded by digits", quote(text)));
    }
    if leading_zero(text) {
        return cursor.fail(format!("Invalid integer {}: cannot have leading zeroes", quote(text)));
    }
    match integer(text).and_then(|n| i64::try_from(n).ok()) {
        Some(n) => Ok(Go::int64(n)),
        None => cursor.fail(format!("{text} is out of range for int64")),
    }
}

fn float(cursor: &Cursor<'_>, start: usize) -> Result<Go, Trouble> {
    let text = cursor.since(start);
    let parts: Vec<&str> = text.split(['.', 'e', 'E']).filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| !underscores_ok(part)) {
        return cursor.fail(format!("Invalid float {}: underscores must be surrounded by digits", quote(text)));
    }
    if parts.first().is_some_and(|part| leading_zero(part)) {
        return cursor.fail(format!("Invalid float {}: cannot have leading zeroes", quote(text)));
    }
    let bytes = text.as_bytes();
    if bytes.iter().enumerate().any(|(i, b)| *b == b'.' && !bytes.get(i + 1).is_some_and(u8::is_ascii_digit)) {
        return cursor.fail(format!("Invalid float {}: '.' must be followed by one or more digits", quote(text)));
    }
    let clean = text.replace('_', "");
    match parse_float(&clean) {
        Some(f) => Ok(Go::Float(f)),
        None if clean.parse::<f64>().is_ok() => cursor.fail(format!("{text} is out of range for float64")),
        None => cursor.fail(format!("Invalid float value: {}", quote(text))),
    }
}

/// `dtTypes`.
const LAYOUTS: [&str; 7] = [
    "2006-01-02T15:04:05.999999999Z07:00",
    "2006-01-02T15:04:05.999999999",
    "2006-01-02",
    "15:04:05.999999999",
    "2006-01-02T15:04Z07:00",
    "2006-01-02T15:04",
    "15:04",
];

fn date(cursor: &Cursor<'_>, start: usize) -> Result<Go, Trouble> {
    let text = cursor.since(start).trim_end().replace('z', "Z").replace(['t', ' '], "T");
    match LAYOUTS.iter().find_map(|layout| times::read(layout, &text)) {
        Some(time) => Ok(time),
        None => cursor.fail(format!("invalid datetime: {}", quote(&text))),
    }
}

/// A string in single quotes: nothing is escaped.
pub(super) fn raw(cursor: &mut Cursor<'_>) -> Result<String, Trouble> {
    cursor.take()?;
    let start = cursor.at();
    loop {
        match cursor.peek()? {
            None => return cursor.fail("unexpected EOF; expected \"'\""),
            Some('\n' | '\r') => return cursor.fail("strings cannot contain newlines"),
            Some('\'') => {
                let text = cursor.since(start).to_owned();
                cursor.take()?;
                return Ok(text);
            }
            Some(_) => cursor.take()?,
        };
    }
}

pub(super) fn basic(cursor: &mut Cursor<'_>) -> Result<String, Trouble> {
    cursor.take()?;
    let mut out = String::new();
    loop {
        match cursor.peek()? {
            None => return cursor.fail("unexpected EOF; expected '\"'"),
            Some('\n' | '\r') => return cursor.fail("strings cannot contain newlines"),
            Some('"') => {
                cursor.take()?;
                return Ok(out);
            }
            Some('\\') => escape(cursor, &mut out)?,
            Some(c) => {
                cursor.take()?;
                out.push(c);
            }
        }
    }
}

/// The first line end does not count.
fn skip_newline(cursor: &mut Cursor<'_>) {
    let _ = cursor.accept("\n") || cursor.accept("\r\n");
}

/// The quotes here: none if they do not end the string, else how many belong to it.
fn closing(cursor: &mut Cursor<'_>, mark: char) -> Result<Option<usize>, Trouble> {
    let count = cursor.rest().chars().take_while(|c| *c == mark).count();
    match count {
        0..3 => Ok(None),
        3..6 => {
            for _ in 0..count {
                cursor.take()?;
            }
            Ok(Some(count - 3))
        }
        _ if mark == '"' => cursor.fail("unexpected '\"\"\"\"\"\"'"),
        _ => cursor.fail("unexpected \"''''''\""),
    }
}

fn raw_multiline(cursor: &mut Cursor<'_>) -> Result<String, Trouble> {
    cursor.accept("'''");
    skip_newline(cursor);
    let mut out = String::new();
    loop {
        match cursor.peek()? {
            None => return cursor.fail("unexpected EOF; expected \"'''\""),
            Some('\'') if cursor.rest().starts_with("'''") => {
                let more = closing(cursor, '\'')?.unwrap_or(0);
                return Ok(out + &"'".repeat(more));
            }
            Some(c) => {
                cursor.take()?;
                out.push(c);
            }
        }
    }
}

fn multiline(cursor: &mut Cursor<'_>) -> Result<String, Trouble> {
    cursor.accept("\"\"\"");
    skip_newline(cursor);
    let mut out = String::new();
    loop {
        match cursor.peek()? {
            None => return cursor.fail("unexpected EOF; expected '\"\"\"'"),
            Some('"') if cursor.rest().starts_with("\"\"\"") => {
                let more = closing(cursor, '"')?.unwrap_or(0);
                return Ok(out + &"\"".repeat(more));
            }
            Some('\\') => {
                // A backslash at the end of a line takes all the space that follows.
                let tail = cursor.rest()[1..].trim_start_matches([' ', '\t']);
                if tail.starts_with('\n') || tail.starts_with("\r\n") {
                    cursor.take()?;
                    while cursor.peek()?.is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
                        cursor.take()?;
                    }
                } else {
                    escape(cursor, &mut out)?;
                }
            }
            Some(c) => {
                cursor.take()?;
                out.push(c);
            }
        }
    }
}

fn escape(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), Trouble> {
    let start = cursor.at();
    cursor.take()?;
    let Some(c) = cursor.take()? else { return cursor.fail("invalid escape in string '\\\0'") };
    let simple = match c {
        'b' => '\x08',
        't' => '\t',
        'n' => '\n',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        '"' | '\\' => c,
        ' ' | '\t' => return cursor.fail(format!("invalid escape: '\\{c}'")),
        'x' => return hex(cursor, start, 2, "two", out),
        'u' => return hex(cursor, start, 4, "four", out),
        'U' => return hex(cursor, start, 8, "eight", out),
        _ => return cursor.fail(format!("invalid escape in string '\\{c}'")),
    };
    out.push(simple);
    Ok(())
}

fn hex(cursor: &mut Cursor<'_>, start: usize, count: usize, name: &str, out: &mut String) -> Result<(), Trouble> {
    let letter = &cursor.since(start)[1..];
    let (letter, from) = (letter.to_owned(), cursor.at());
    for _ in 0..count {
        if !cursor.take()?.is_some_and(|c| c.is_ascii_hexdigit()) {
            return cursor.fail(format!("expected {name} hexadecimal digits after '\\{letter}', but got {} instead", quote(cursor.since(start))));
        }
    }
    let digits = cursor.since(from);
    match u32::from_str_radix(digits, 16).ok().and_then(char::from_u32) {
        Some(c) => {
            out.push(c);
            Ok(())
        }
        None => cursor.fail(format!("Escaped character '\\u{digits}' is not valid UTF-8.")),
    }
}
