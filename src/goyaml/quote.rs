//! Go's `strconv.Quote` (strconv/quote.go, `appendEscapedRune`), of which YAML needs it too.

use std::fmt::Write as _;

use super::printable::is_printable;

/// `strconv.Quote`.
pub fn quote(text: &str) -> String {
    quoted(text, false)
}

/// `strconv.QuoteToASCII`.
pub fn quote_ascii(text: &str) -> String {
    quoted(text, true)
}

fn quoted(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) && (c.is_ascii() || !ascii) => out.push(c),
            c => {
                let n = u32::from(c);
                let _ = if n < 0x80 {
                    write!(out, "\\x{n:02x}")
                } else if n < 0x10000 {
                    write!(out, "\\u{n:04x}")
                } else {
                    write!(out, "\\U{n:08x}")
                };
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go 1.26 prints.
    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        let rows = [
            ("a\"b\\c", r#""a\"b\\c""#, r#""a\"b\\c""#),
            ("\x07\x08\x0c\n\r\t\x0b\0\x1b\x7f", r#""\a\b\f\n\r\t\v\x00\x1b\x7f""#, r#""\a\b\f\n\r\t\v\x00\x1b\x7f""#),
            ("é日e\u{301}", "\"é日e\u{301}\"", r#""\u00e9\u65e5e\u0301""#),
            ("\u{80}\u{a0}\u{ad}\u{2028}\u{feff}", r#""\u0080\u00a0\u00ad\u2028\ufeff""#, r#""\u0080\u00a0\u00ad\u2028\ufeff""#),
            ("\u{1f600}\u{10ffff}", "\"\u{1f600}\\U0010ffff\"", r#""\U0001f600\U0010ffff""#),
        ];
        for (text, plain, ascii) in rows {
            assert_eq!((quote(text).as_str(), quote_ascii(text).as_str()), (plain, ascii), "{text:?}");
        }
    }
}
