//! sprig's `urlParse` and `urlJoin`, on Go's net/url.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Kind::{Dict, Str};
use super::{Call, Function, fixed};
use crate::chart::gotmpl::quote;
use crate::chart::value::{Go, bytes_of};

pub(super) const ALL: &[Function] = &[
    fixed("urlParse", &[Str], |c| {
        let url = Url::parse(&c.str(0)).map_err(|e| format!("unable to parse url: parse {}: {e}", quote(&c.str(0))))?;
        let name = host_name(&url.host).to_owned();
        let user = url.user.as_ref().map_or(String::new(), User::text);
        let entries = [
            ("scheme", url.scheme),
            ("host", url.host),
            ("hostname", name),
            ("path", url.path),
            ("query", url.query),
            ("opaque", url.opaque),
            ("fragment", url.fragment),
            ("userinfo", user),
        ];
        Ok(Go::map(entries.into_iter().map(|(k, v)| (Arc::from(k), v.into())).collect()))
    }),
    fixed("urlJoin", &[Dict], join),
];

/// Where a text stands, which decides what is escaped.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Path,
    User,
    Host,
    Fragment,
}

#[derive(Default)]
struct User {
    name: String,
    password: Option<String>,
}

impl User {
    fn text(&self) -> String {
        let name = escape(&self.name, Place::User);
        match &self.password {
            Some(password) => format!("{name}:{}", escape(password, Place::User)),
            None => name,
        }
    }
}

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<User>,
    host: String,
    path: String,
    raw_path: String,
    query: String,
    force_query: bool,
    fragment: String,
}

/// `shouldEscape`.
fn must_escape(byte: u8, place: Place) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    if place == Place::Host && b"!$&'()*+,;=:[]<>\"".contains(&byte) {
        return false;
    }
    match byte {
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match place {
            Place::Path => byte == b'?',
            Place::User => matches!(byte, b'@' | b'/' | b'?' | b':'),
            Place::Host => true,
            Place::Fragment => false,
        },
        b'!' | b'(' | b')' | b'*' => place != Place::Fragment,
        _ => true,
    }
}

fn escape(text: &str, place: Place) -> String {
    bytes_of(text).iter().fold(String::new(), |mut out, &byte| {
        if must_escape(byte, place) {
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.push(char::from(byte));
        }
        out
    })
}

/// `unescape`.
fn unescape(text: &str, place: Place) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits =
                text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())));
            let Some(value) = digits else {
                let bad: String = text[at..].chars().take(3).collect();
                return Err(format!("invalid URL escape {}", quote(&bad)));
            };
            if place == Place::Host && value < 0x80 && &bytes[at..at + 3] != b"%25" {
                return Err(format!("invalid URL escape {}", quote(&text[at..at + 3])));
            }
            out.push(value);
            at += 3;
            continue;
        }
        if place == Place::Host && byte < 0x80 && must_escape(byte, place) {
            return Err(format!("invalid character {} in host name", quote(&char::from(byte).to_string())));
        }
        out.push(byte);
        at += 1;
    }
    Ok(crate::chart::value::text_from(&out))
}

/// `URL.Hostname`.
fn host_name(host: &str) -> &str {
    if let Some(inner) = host.strip_prefix('[')
        && let Some((address, _)) = inner.split_once(']')
    {
        return address;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn valid_port(port: &str) -> bool {
    port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

impl Url {
    /// `url.Parse`.
    fn parse(text: &str) -> Result<Self, String> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self::without_fragment(before)?;
        url.fragment = unescape(fragment, Place::Fragment)?;
        Ok(url)
    }

    fn without_fragment(text: &str) -> Result<Self, String> {
        if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Url::default();
        if text == "*" {
            "*".clone_into(&mut url.path);
            return Ok(url);
        }
        let (scheme, rest) = scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let mut rest = rest;
        if rest.ends_with('?') && rest.matches('?').count() == 1 {
            url.force_query = true;
            rest = &rest[..rest.len() - 1];
        } else if let Some((before, query)) = rest.split_once('?') {
            query.clone_into(&mut url.query);
            rest = before;
        }
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if (!url.scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//") {
            let (authority, path) = rest[2..].find('/').map_or((&rest[2..], ""), |at| rest[2..].split_at(at));
            url.authority(authority)?;
            rest = path;
        }
        url.path = unescape(rest, Place::Path)?;
        rest.clone_into(&mut url.raw_path);
        Ok(url)
    }

    fn authority(&mut self, text: &str) -> Result<(), String> {
        let Some((user, host)) = text.rsplit_once('@') else {
            self.host = parse_host(text)?;
            return Ok(());
        };
        self.host = parse_host(host)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
        if !user.chars().all(allowed) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
        let password = password.map(|password| unescape(password, Place::User)).transpose()?;
        self.user = Some(User { name: unescape(name, Place::User)?, password });
        Ok(())
    }

    /// `URL.EscapedPath`.
    fn escaped_path(&self) -> String {
        let valid = |b: u8| b"!$&'()*+,;=:@[]%".contains(&b) || !must_escape(b, Place::Path);
        if !self.raw_path.is_empty() && self.raw_path.bytes().all(valid) && unescape(&self.raw_path, Place::Path).as_ref() == Ok(&self.path) {
            return self.raw_path.clone();
        }
        if self.path == "*" { "*".to_owned() } else { escape(&self.path, Place::Path) }
    }

    /// `URL.String`.
    fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            let _ = write!(out, "{}:", self.scheme);
        }
        if self.opaque.is_empty() {
            if !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some() {
                if !self.host.is_empty() || !self.path.is_empty() || self.user.is_some() {
                    out.push_str("//");
                }
                if let Some(user) = &self.user {
                    let _ = write!(out, "{}@", user.text());
                }
                out.push_str(&escape(&self.host, Place::Host));
            }
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                out.push('/');
            }
            if out.is_empty() && path.split('/').next().is_some_and(|segment| segment.contains(':')) {
                out.push_str("./");
            }
            out.push_str(&path);
        } else {
            out.push_str(&self.opaque);
        }
        if self.force_query || !self.query.is_empty() {
            let _ = write!(out, "?{}", self.query);
        }
        if !self.fragment.is_empty() {
            let _ = write!(out, "#{}", escape(&self.fragment, Place::Fragment));
        }
        out
    }
}

/// `getScheme`.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

/// `parseHost`.
fn parse_host(text: &str) -> Result<String, String> {
    if text.starts_with('[') {
        let Some(close) = text.rfind(']') else { return Err("missing ']' in host".to_owned()) };
        let port = &text[close + 1..];
        if !valid_port(port) {
            return Err(format!("invalid port {} after host", quote(port)));
        }
        // Only addresses of IPv6 stand in brackets.
        let address = text[1..close].split_once("%25").map_or(&text[1..close], |(address, _)| address);
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("invalid IP-literal".to_owned());
        }
        return unescape(text, Place::Host);
    }
    if let Some(at) = text.find(':')
        && !valid_port(&text[at..])
    {
        return Err(format!("invalid port {} after host", quote(&text[at..])));
    }
    unescape(text, Place::Host)
}

/// sprig's `urlJoin`.
fn join(c: &mut Call<'_>) -> Result<Go, String> {
    let map = c.map(0).ok();
    let entry = |key: &str| match map.as_ref().and_then(|map| map.lock().get(key).cloned()) {
        None => Ok(String::new()),
        Some(Go::Str(text)) => Ok(text.to_string()),
        Some(Go::Nil) => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
        Some(other) => Err(format!("unable to parse {key} key, must be of type string, but {} found", other.kind())),
    };
    let mut url = Url {
        scheme: entry("scheme")?,
        host: entry("host")?,
        path: entry("path")?,
        query: entry("query")?,
        opaque: entry("opaque")?,
        fragment: entry("fragment")?,
        ..Url::default()
    };
    let user = entry("userinfo")?;
    if !user.is_empty() {
        let address = format!("proto://{user}@host");
        url.user = Url::parse(&address).map_err(|e| format!("unable to parse userinfo in dict: parse {}: {e}", quote(&address)))?.user;
    }
    Ok(url.text().into())
}
