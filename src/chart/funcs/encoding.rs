//! YAML, JSON, base64, URLs, hashes and paths.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::Kind::{Any, Str};
use super::{Function, fixed};
use crate::chart::value::{Go, JsonStyle, from_json, json_text, to_json};
use crate::goyaml;

pub(super) const ALL: &[Function] = &[
    fixed("toYaml", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit).unwrap_or_default().into())),
    fixed("mustToYaml", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit)?.into())),
    fixed("toYamlPretty", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit_pretty).unwrap_or_default().into())),
    fixed("fromYaml", &[Str], |c| Ok(from_yaml(&c.str(0)))),
    fixed("fromYamlArray", &[Str], |c| Ok(array(goyaml::parse_values(&c.str(0)).map_err(|e| e.to_string())))),
    fixed("toJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Html).unwrap_or_default().into())),
    fixed("mustToJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Html)?.into())),
    fixed("toRawJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Raw).unwrap_or_default().into())),
    fixed("mustToRawJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Raw)?.into())),
    fixed("toPrettyJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Pretty).unwrap_or_default().into())),
    fixed("mustToPrettyJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Pretty)?.into())),
    fixed("fromJson", &[Str], |c| {
        Ok(match parse_json(&c.str(0)) {
            Ok(value @ serde_json::Value::Object(_)) => floats(from_json(&value)),
            Ok(serde_json::Value::Null) => Go::dict([]),
            Ok(_) => Go::dict([("Error", "json: cannot unmarshal into Go value of type map[string]interface {}".into())]),
            Err(e) => Go::dict([("Error", e.into())]),
        })
    }),
    fixed("mustFromJson", &[Str], |c| Ok(floats(from_json(&parse_json(&c.str(0))?)))),
    fixed("fromJsonArray", &[Str], |c| Ok(array(parse_json(&c.str(0))))),
    fixed("b64enc", &[Str], |c| {
        Ok(match c.any(0) {
            Go::Bytes(b) => STANDARD.encode(b),
            _ => STANDARD.encode(c.str(0).as_bytes()),
        }
        .into())
    }),
    fixed("b64dec", &[Str], |c| {
        Ok(match STANDARD.decode(c.str(0).replace(['\r', '\n'], "")) {
            Ok(bytes) => Go::from_bytes(bytes),
            Err(e) => e.to_string().into(),
        })
    }),
    fixed("sha512sum", &[Str], |c| Ok(hex(&Sha512::digest(c.str(0).as_bytes())).into())),
    fixed("urlParse", &[Str], |c| Ok(url_parse(&c.str(0)))),
    fixed("isAbs", &[Str], |c| Ok(c.str(0).starts_with('/').into())),
    fixed("osIsAbs", &[Str], |c| Ok(c.str(0).starts_with('/').into())),
    fixed("clean", &[Str], |c| Ok(clean(&c.str(0)).into())),
    fixed("osClean", &[Str], |c| Ok(clean(&c.str(0)).into())),
    fixed("adler32sum", &[Str], |c| Ok(adler32(c.str(0).as_bytes()).to_string().into())),
    fixed("base", &[Str], |c| Ok(base(&c.str(0)).into())),
    fixed("osBase", &[Str], |c| Ok(base(&c.str(0)).into())),
    fixed("dir", &[Str], |c| Ok(dir(&c.str(0)).into())),
    fixed("osDir", &[Str], |c| Ok(dir(&c.str(0)).into())),
    fixed("ext", &[Str], |c| {
        let name = c.str(0);
        let last = name.rsplit('/').next().unwrap_or_default();
        Ok(last.rfind('.').map_or("", |i| &last[i..]).into())
    }),
    fixed("osExt", &[Str], |c| {
        let name = c.str(0);
        let last = name.rsplit('/').next().unwrap_or_default();
        Ok(last.rfind('.').map_or("", |i| &last[i..]).into())
    }),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn yaml(value: &Go, emit: fn(&serde_json::Value) -> Result<String, goyaml::YamlError>) -> Result<String, String> {
    let text = emit(&to_json(value)?).map_err(|e| e.to_string())?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn json(value: &Go, style: JsonStyle) -> Result<String, String> {
    Ok(json_text(&to_json(value)?, style))
}

fn parse_json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// encoding/json decodes every number into a float64.
fn floats(value: Go) -> Go {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "as encoding/json does")]
        Go::Int(n, _) => Go::Float(n as f64),
        Go::List(items) => Go::list(items.iter().cloned().map(floats).collect()),
        Go::Map(map) => Go::map(map.snapshot().into_iter().map(|(k, v)| (k, floats(v))).collect()),
        other => other,
    }
}

fn from_yaml(text: &str) -> Go {
    match goyaml::parse_values(text) {
        Ok(value @ serde_json::Value::Object(_)) => from_json(&value),
        Ok(serde_json::Value::Null) => Go::dict([]),
        Ok(_) => {
            Go::dict([("Error", "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type map[string]interface {}".into())])
        }
        Err(e) => Go::dict([("Error", e.to_string().into())]),
    }
}

fn array(parsed: Result<serde_json::Value, String>) -> Go {
    match parsed {
        Ok(value @ serde_json::Value::Array(_)) => floats(from_json(&value)),
        Ok(serde_json::Value::Null) => Go::list(Vec::new()),
        Ok(_) => Go::strings(["json: cannot unmarshal into Go value of type []interface {}"]),
        Err(e) => Go::strings([e]),
    }
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        match b {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            _ => {
                let _ = write!(out, "%{b:02X}");
            }
        }
        out
    })
}

fn url_parse(text: &str) -> Go {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let (authority, path) = match rest.find('/') {
        _ if scheme.is_empty() => ("", rest),
        Some(i) => rest.split_at(i),
        None => (rest, ""),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let entries =
        [("scheme", scheme), ("host", host), ("hostname", name), ("path", path), ("query", query), ("opaque", ""), ("fragment", fragment), ("userinfo", user)];
    Go::map(entries.into_iter().map(|(k, v)| (Arc::from(k), v.into())).collect())
}

fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

fn dir(path: &str) -> &str {
    match path.rfind('/') {
        None => ".",
        Some(0) => "/",
        Some(i) => path[..i].trim_end_matches('/'),
    }
}

/// Go's `path.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// RFC 1950's checksum.
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    (b << 16) | a
}
