//! YAML, JSON, base64, URLs, hashes and paths.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::Kind::{Any, Str};
use super::{Function, codec, fixed, gojson};
use crate::chart::meter;
use crate::chart::value::{Element, Go, JsonStyle, List, Map, MapType, bytes_of, from_json, json_text, lossy, to_json};
use crate::goyaml;

pub(super) const ALL: &[Function] = &[
    fixed("toYaml", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit).unwrap_or_default().into())),
    fixed("mustToYaml", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit)?.into())),
    fixed("toYamlPretty", &[Any], |c| Ok(yaml(&c.any(0), goyaml::emit_pretty).unwrap_or_default().into())),
    fixed("fromYaml", &[Str], |c| Ok(from_yaml(&c.str(0)))),
    fixed("fromYamlArray", &[Str], |c| Ok(array(parsed(&c.str(0)).map(|v| from_json(&v)), DECODING))),
    fixed("toJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Html).unwrap_or_default().into())),
    fixed("mustToJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Html)?.into())),
    fixed("toRawJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Raw)?.into())),
    fixed("mustToRawJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Raw)?.into())),
    fixed("toPrettyJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Pretty).unwrap_or_default().into())),
    fixed("mustToPrettyJson", &[Any], |c| Ok(json(&c.any(0), JsonStyle::Pretty)?.into())),
    fixed("fromJson", &[Str], |c| Ok(object(gojson::decode(&c.str(0))))),
    fixed("mustFromJson", &[Str], |c| {
        let decoded = gojson::decode(&c.str(0))?;
        decoded.error.map_or(Ok(decoded.value), Err)
    }),
    fixed("fromJsonArray", &[Str], |c| Ok(json_array(gojson::decode(&c.str(0))))),
    fixed("b64enc", &[Str], |c| {
        meter::bytes(c.str(0).len() as u64 * 2)?;
        Ok(STANDARD.encode(c.bytes(0)).into())
    }),
    fixed("b64dec", &[Str], |c| Ok(codec::decode64(&c.str(0)).map_or_else(Go::from, |bytes| Go::from_bytes(&bytes)))),
    fixed("b32enc", &[Str], |c| Ok(codec::encode32(&c.bytes(0)).into())),
    fixed("b32dec", &[Str], |c| Ok(codec::decode32(&c.str(0)).map_or_else(Go::from, |bytes| Go::from_bytes(&bytes)))),
    fixed("sha1sum", &[Str], |c| Ok(hex(&Sha1::digest(c.bytes(0))).into())),
    fixed("sha256sum", &[Str], |c| Ok(hex(&Sha256::digest(c.bytes(0))).into())),
    fixed("sha512sum", &[Str], |c| Ok(hex(&Sha512::digest(c.bytes(0))).into())),
    fixed("isAbs", &[Str], |c| Ok(c.str(0).starts_with('/').into())),
    fixed("osIsAbs", &[Str], |c| Ok(c.str(0).starts_with('/').into())),
    fixed("clean", &[Str], |c| Ok(clean(&c.str(0)).into())),
    fixed("osClean", &[Str], |c| Ok(clean(&c.str(0)).into())),
    fixed("adler32sum", &[Str], |c| Ok(adler32(&c.bytes(0)).to_string().into())),
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

fn yaml(value: &Go, emit: fn(&serde_json::Value) -> Result<String, goyaml::YamlError>) -> Result<String, String> {
    let text = emit(&to_json(value)?).map_err(|e| e.to_string())?;
    meter::reading(text.len() as u64 * 8)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn json(value: &Go, style: JsonStyle) -> Result<String, String> {
    let text = json_text(value, style)?;
    meter::reading(text.len() as u64 * 4)?;
    Ok(text)
}

/// What sigs.k8s.io/yaml puts before encoding/json's errors.
const DECODING: &str = "error unmarshaling JSON: while decoding JSON: ";

fn yaml_error(error: &goyaml::YamlError) -> String {
    format!("error converting YAML to JSON: {error}")
}

fn mismatch(value: &Go, wanted: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {wanted}", gojson::kind(value))
}

/// Helm's `fromJson`: an error goes beside what was read.
fn object(decoded: Result<gojson::Decoded, String>) -> Go {
    match decoded {
        Ok(gojson::Decoded { value: Go::Map(map), error }) => {
            if let Some(error) = error {
                map.lock().insert(Arc::from("Error"), error.into());
            }
            Go::Map(map)
        }
        // Null empties the map: it is nil then.
        Ok(gojson::Decoded { value: Go::Nil, error: None }) => Map::nil(MapType::Any),
        Ok(gojson::Decoded { value, .. }) => Go::dict([("Error", mismatch(&value, "map[string]interface {}").into())]),
        Err(error) => Go::dict([("Error", error.into())]),
    }
}

/// What go-yaml says of bytes that are no UTF-8.
const NO_UTF_8: &str = "error converting YAML to JSON: yaml: invalid leading UTF-8 octet";
/// What a byte of YAML takes as nodes and as a value.
const PARSED: u64 = 16;

/// Reads YAML. It takes a microsecond for a few bytes, and up to [`PARSED`] bytes for each.
fn parsed(text: &str) -> Result<serde_json::Value, String> {
    meter::reading(text.len() as u64 * 32).and_then(|()| meter::bytes(text.len() as u64 * PARSED))?;
    goyaml::parse_values(text).map_err(|error| yaml_error(&error))
}

fn from_yaml(text: &str) -> Go {
    if let Cow::Owned(_) = lossy(text) {
        return Go::dict([("Error", NO_UTF_8.into())]);
    }
    match parsed(text) {
        Ok(value @ serde_json::Value::Object(_)) => from_json(&value),
        Ok(serde_json::Value::Null) => Go::dict([]),
        Ok(value) => Go::dict([("Error", format!("{DECODING}{}", mismatch(&from_json(&value), "map[string]interface {}")).into())]),
        Err(error) => Go::dict([("Error", error.into())]),
    }
}

/// Helm's `fromJsonArray`: a value of another kind is the first thing that is wrong.
fn json_array(decoded: Result<gojson::Decoded, String>) -> Go {
    array(
        decoded.and_then(|decoded| match (decoded.value, decoded.error) {
            (Go::List(_), Some(error)) => Err(error),
            (Go::Nil, None) => Ok(Go::List(Arc::new(List::of(Element::Nil, Vec::new())))),
            // A number that is too large.
            (Go::Nil, Some(_)) => Err(mismatch(&Go::Float(0.0), "[]interface {}")),
            (value, _) => Ok(value),
        }),
        "",
    )
}

fn array(decoded: Result<Go, String>, context: &str) -> Go {
    match decoded {
        Ok(list @ Go::List(_)) => list,
        Ok(Go::Nil) => Go::list(Vec::new()),
        Ok(other) => Go::list(vec![format!("{context}{}", mismatch(&other, "[]interface {}")).into()]),
        Err(error) => Go::list(vec![error.into()]),
    }
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escape(text: &str) -> String {
    bytes_of(text).iter().fold(String::new(), |mut out, b| {
        match *b {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*b)),
            b => {
                let _ = write!(out, "%{b:02X}");
            }
        }
        out
    })
}

fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
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
