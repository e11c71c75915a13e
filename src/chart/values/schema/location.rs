//! Where a schema stands: URLs, fragments and JSON pointers, as santhosh-tekuri/jsonschema (util.go) and net/url treat them.

use std::fmt::Write as _;

use serde_json::Value;

/// A URL and what follows `#`.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_once('#').unwrap_or((text, ""))
}

/// A fragment without its escapes; none if one of them is none.
pub(super) fn decode(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A pointer as it stands in a URL: `url.PathEscape` for each part.
pub(super) fn encode(pointer: &str) -> String {
    let mut text = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+:=@/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    text
}

/// One more part at the end of a pointer.
pub(super) fn push(pointer: &str, part: &str) -> String {
    format!("{pointer}/{}", escape(part))
}

/// A part of a pointer.
pub(super) fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// What stands at a pointer.
pub(super) fn lookup<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    value.pointer(pointer)
}

/// A reference seen from a base (`URL.ResolveReference`, RFC 3986 5.2); neither has a fragment.
pub(super) fn join(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    if scheme(reference).is_some() {
        return reference.to_owned();
    }
    let Some(name) = scheme(base) else { return reference.to_owned() };
    let rest = &base[name.len() + 1..];
    let Some(rest) = rest.strip_prefix("//") else { return base.to_owned() };
    if let Some(host) = reference.strip_prefix("//") {
        return format!("{name}://{host}");
    }
    let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let path = path.split('?').next().unwrap_or_default();
    if reference.starts_with('?') {
        return format!("{name}://{host}{path}{reference}");
    }
    let (target, query) = reference.find('?').map_or((reference, ""), |at| reference.split_at(at));
    let whole = if target.starts_with('/') { target.to_owned() } else { format!("{}/{target}", path.rsplit_once('/').map_or("", |(folder, _)| folder)) };
    format!("{name}://{host}{}{query}", without_dots(&whole))
}

fn scheme(url: &str) -> Option<&str> {
    let (name, _) = url.split_once(':')?;
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    fits.then_some(name)
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(part) = all.next() {
        let last = all.peek().is_none();
        match part {
            "." if last => parts.push(""),
            "." => {}
            ".." => {
                parts.pop();
                if last {
                    parts.push("");
                }
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined() {
        for (base, reference, want) in [
            ("file:///values.schema.json", "", "file:///values.schema.json"),
            ("file:///values.schema.json", "other.json", "file:///other.json"),
            ("file:///values.schema.json", "../x/./other.json", "file:///x/other.json"),
            ("https://h.example/a/b.json?q", "c.json?r", "https://h.example/a/c.json?r"),
            ("https://h.example/a/b.json", "/c", "https://h.example/c"),
            ("https://h.example", "c", "https://h.example/c"),
            ("https://h.example/a", "http://o.example/b", "http://o.example/b"),
            ("urn:a:b", "c", "urn:a:b"),
        ] {
            assert_eq!(join(base, reference), want, "{base} {reference}");
        }
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(encode(&push("/a b", "c/d~e")), "/a%20b/c~1d~0e");
        assert_eq!((decode("a%20b").as_deref(), decode("a%2")), (Some("a b"), None));
    }
}
