//! index.yaml of a chart repository (helm, pkg/repo/index.go).
//!
//! The indexes of large repositories have tens of megabytes, and one chart is wanted. An index as Helm writes it is cut by its lines, and
//! only the wanted chart's part is read as YAML; any other is read whole.

use std::{borrow::Cow, cmp::Reverse, collections::HashMap};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    goyaml::{self, YamlError},
    semver::{Constraint, Version},
};

/// The largest index that is read. The largest public one has 25 MB.
pub(super) const INDEX_MAX: u64 = 64 << 20;
/// The largest index that is read whole as YAML: that takes twenty times its size in memory.
const WHOLE_MAX: usize = 24 << 20;
/// Versions of one chart that are read.
const VERSIONS_MAX: usize = 20_000;

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Nothing in it; Helm's words.
    #[error("empty index.yaml file")]
    Empty,
    /// Helm's words.
    #[error("no API version specified")]
    NoApiVersion,
    /// Bytes that are no text.
    #[error("index.yaml is not UTF-8 text")]
    NotText,
    /// No YAML.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(#[from] YamlError),
    /// No JSON.
    #[error("error unmarshaling JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not the shape of an index.
    #[error("{0}")]
    Shape(String),
    /// More than is read.
    #[error("it has more {what} than the {max} that are read")]
    Budget {
        /// More of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// One version of a chart in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: String,
    pub(super) urls: Vec<String>,
    /// Of the archive; Helm writes it as bare hexadecimal digits.
    pub(super) digest: Option<String>,
    /// When it was put into the index.
    pub(super) created: Option<String>,
}

/// The versions of one chart, the newest first; none if the index does not have the chart.
pub(super) fn versions(index: &[u8], name: &str) -> Result<Option<Vec<Entry>>, IndexError> {
    let text = std::str::from_utf8(index).map_err(|_| IndexError::NotText)?;
    if text.trim().is_empty() {
        return Err(IndexError::Empty);
    }
    let listed = if text.trim_start().starts_with('{') { from_json(text, name)? } else { from_yaml(text, name)? };
    listed.map(|listed| entries(name, &listed)).transpose()
}

/// `IndexFile.Get`: the very text first, then the newest that the constraint accepts. Without a version: the newest that is no prerelease.
pub(super) fn choose<'e>(entries: &'e [Entry], wanted: Option<&str>) -> Option<&'e Entry> {
    let wanted = wanted.unwrap_or_default();
    if !wanted.is_empty()
        && let Some(exact) = entries.iter().find(|entry| entry.version == wanted)
    {
        return Some(exact);
    }
    let constraint = Constraint::parse(if wanted.is_empty() { "*" } else { wanted })?;
    entries.iter().find(|entry| Version::parse(&entry.version).is_some_and(|version| constraint.accepts(&version)))
}

fn from_json(text: &str, name: &str) -> Result<Option<Value>, IndexError> {
    #[derive(Deserialize)]
    struct Index<'a> {
        #[serde(rename = "apiVersion", default)]
        api_version: String,
        #[serde(borrow, default)]
        entries: Option<HashMap<Cow<'a, str>, &'a RawValue>>,
    }
    let index: Index<'_> = serde_json::from_str(text)?;
    if index.api_version.is_empty() {
        return Err(IndexError::NoApiVersion);
    }
    let chart = index.entries.as_ref().and_then(|entries| entries.get(name));
    Ok(chart.map(|raw| serde_json::from_str(raw.get())).transpose()?)
}

fn from_yaml(text: &str, name: &str) -> Result<Option<Value>, IndexError> {
    if let Some(cut) = cut(text, name)
        && cut.api_version
    {
        let Some(part) = cut.part else { return Ok(None) };
        // An alias to an anchor elsewhere, for example, needs the whole.
        if let Ok(value) = goyaml::parse(part) {
            return Ok(Some(value));
        }
    }
    if text.len() > WHOLE_MAX {
        return Err(IndexError::Budget { what: "bytes that are not laid out as Helm does it", max: WHOLE_MAX });
    }
    let Value::Object(mut index) = goyaml::parse(text)? else { return Err(IndexError::Shape("it is no mapping".to_owned())) };
    if index.get("apiVersion").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(IndexError::NoApiVersion);
    }
    match index.remove("entries") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(mut entries)) => Ok(entries.remove(name)),
        Some(_) => Err(IndexError::Shape("`entries` is no mapping".to_owned())),
    }
}

/// A part of an index.
struct Cut<'t> {
    /// Whether the index has a version of its format.
    api_version: bool,
    /// The list of one chart's versions.
    part: Option<&'t str>,
}

/// The lines of one chart. None where the index is not laid out as Helm does it: keys of the document at the start of the line, charts two
/// columns in, their lists at the same column.
fn cut<'t>(text: &'t str, name: &str) -> Option<Cut<'t>> {
    let mut found = Cut { api_version: false, part: None };
    let (mut in_entries, mut in_chart, mut begun, mut at) = (false, false, None, 0);
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let indent = line.len() - line.trim_start_matches(' ').len();
        let rest = line[indent..].trim_end();
        if indent > 2 && in_entries && !in_chart && !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        if rest.is_empty() || indent > 2 || (rest.starts_with('#') && begun.is_none()) {
            continue;
        }
        if rest.starts_with(['\t', '&', '*', '?', '%', '|', '>']) || indent == 1 {
            return None;
        }
        let item = rest == "-" || rest.starts_with("- ");
        if indent == 2 && item {
            continue;
        }
        if let Some(from) = begun.take() {
            found.part = Some(&text[from..start]);
        }
        if indent == 2 && in_entries {
            let key = rest.strip_suffix(':').map(|key| key.trim_matches(['"', '\'']))?;
            in_chart = true;
            if key == name {
                if found.part.is_some() {
                    return None;
                }
                begun = Some(at);
            }
        } else if indent == 0 && !item && rest != "---" {
            let (key, value) = rest.split_once(':')?;
            (in_entries, in_chart) = (key == "entries", false);
            if in_entries && !value.trim().is_empty() && value.trim() != "{}" {
                return None;
            }
            found.api_version |= key == "apiVersion" && !value.trim().is_empty();
        }
    }
    if let Some(from) = begun {
        found.part = Some(&text[from..]);
    }
    Some(found)
}

/// Entries that Helm's validation refuses are left out, as Helm does (`loadIndex`).
fn entries(chart: &str, listed: &Value) -> Result<Vec<Entry>, IndexError> {
    let listed = match listed {
        Value::Array(listed) => listed,
        Value::Null => return Ok(Vec::new()),
        _ => return Err(IndexError::Shape(format!("the entry of {chart} is no list"))),
    };
    if listed.len() > VERSIONS_MAX {
        return Err(IndexError::Budget { what: "versions of one chart", max: VERSIONS_MAX });
    }
    let mut found: Vec<(Version, Entry)> = listed.iter().filter_map(entry).collect();
    found.sort_by(|(a, _), (b, _)| Reverse(Ranked(a)).cmp(&Reverse(Ranked(b))));
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

#[derive(PartialEq, Eq)]
struct Ranked<'v>(&'v Version);

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.compare(other.0)
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// `Metadata.Validate`, as far as it looks at what an index holds.
fn entry(value: &Value) -> Option<(Version, Entry)> {
    let text = |key: &str| value.get(key).and_then(goyaml::scalar_text).unwrap_or_default();
    let name = text("name");
    let list = |key: &str| value.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let whole = list("maintainers").iter().chain(list("dependencies")).all(|item| !item.is_null());
    if name.is_empty() || name.contains('/') || !whole || !matches!(text("type").as_str(), "" | "application" | "library") {
        return None;
    }
    let version = text("version");
    let parsed = Version::parse(&version)?;
    let urls = list("urls").iter().filter_map(goyaml::scalar_text).collect();
    Some((
        parsed,
        Entry { version, urls, digest: Some(text("digest")).filter(|digest| !digest.is_empty()), created: value.get("created").and_then(goyaml::scalar_text) },
    ))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// As `helm repo index` writes it, with a description over several lines.
    const INDEX: &str = r#"apiVersion: v1
entries:
  alpine:
  - apiVersion: v2
    description: "first line\n  web:\n"
    digest: 99c76e403d752c84ead610644d4b1c2f2b453a74b921f422b9dcb8a7c8b559cd
    name: alpine
    urls:
    - https://kubernetes-charts.storage.googleapis.com/alpine-1.0.0.tgz
    version: 1.0.0
  web:
  - name: web
    version: 1.2.0
    urls: [web-1.2.0.tgz]
    description: |
      text
        web:
      more
  - name: web
    version: 1.10.0
    urls: [web-1.10.0.tgz]
  - name: web
    version: 2.0.0-rc.1
    urls: [web-2.0.0-rc.1.tgz]
  - name: web
    version: nonsense
  - null
  - version: 3.0.0
  web-other:
  - {name: web-other, version: 0.1.0}
generated: "2026-01-01T00:00:00Z"
"#;

    fn listed(index: &str, name: &str) -> Vec<String> {
        versions(index.as_bytes(), name).unwrap().unwrap().into_iter().map(|entry| entry.version).collect()
    }

    #[test]
    fn the_newest_first_and_what_is_invalid_left_out() {
        assert!(cut(INDEX, "web").unwrap().part.is_some(), "read by its lines");
        let want = ["2.0.0-rc.1", "1.10.0", "1.2.0"];
        assert_eq!(listed(INDEX, "web"), want);
        assert_eq!(listed(INDEX, "web-other"), ["0.1.0"]);
        assert_eq!(versions(INDEX.as_bytes(), "alpine").unwrap().unwrap()[0].digest.as_deref().map(str::len), Some(64));
        assert_eq!(versions(INDEX.as_bytes(), "none").unwrap(), None);
        let whole = goyaml::parse(INDEX).unwrap();
        assert_eq!(listed(&whole.to_string(), "web"), want, "as JSON");
    }

    #[test]
    fn versions_are_chosen_as_helm_does() {
        let found = versions(INDEX.as_bytes(), "web").unwrap().unwrap();
        for (wanted, version) in [
            (None, Some("1.10.0")),
            (Some(""), Some("1.10.0")),
            (Some("~1.2"), Some("1.2.0")),
            (Some(">=1"), Some("1.10.0")),
            (Some(">1-0"), Some("2.0.0-rc.1")),
            (Some("2.0.0-rc.1"), Some("2.0.0-rc.1")),
            (Some("1.2"), Some("1.2.0")),
            (Some("3.0.0"), None),
            (Some("abc"), None),
        ] {
            assert_eq!(choose(&found, wanted).map(|entry| entry.version.as_str()), version, "{wanted:?}");
        }
    }

    #[test]
    fn other_layouts_are_read_whole() {
        let flow = "{apiVersion: v1, entries: {web: [{name: web, version: 1.0.0}]}}";
        assert!(matches!(versions(flow.as_bytes(), "web"), Err(IndexError::Json(_))), "it begins as JSON does");
        let wide = "---\napiVersion: v1\nentries:\n    web:\n        - name: web\n          version: 1.0.0\n";
        assert!(cut(wide, "web").is_none());
        assert_eq!(listed(wide, "web"), ["1.0.0"]);
        let anchors = "apiVersion: v1\nx: &u [a.tgz]\nentries:\n  web:\n  - name: web\n    version: 1.0.0\n    urls: *u\n";
        assert_eq!(versions(anchors.as_bytes(), "web").unwrap().unwrap()[0].urls, ["a.tgz"]);
    }

    #[test]
    fn the_largest_public_index_is_read_at_once() {
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for chart in 0..300 {
            writeln!(index, "  chart{chart}:").unwrap();
            for version in 0..200 {
                writeln!(index, "  - name: chart{chart}\n    version: 1.{version}.0\n    description: {}\n    urls:\n    - a.tgz", "x".repeat(350)).unwrap();
            }
        }
        assert!(index.len() > 24 << 20, "{}", index.len());
        let started = std::time::Instant::now();
        assert_eq!(listed(&index, "chart299")[0], "1.199.0");
        let took = started.elapsed();
        println!("{} bytes in {took:?}", index.len());
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn bombs_and_rubbish_are_errors() {
        for (index, want) in [
            ("", "empty index.yaml file"),
            ("entries: {}\n", "no API version specified"),
            ("apiVersion: v1\nentries: 3\n", "`entries` is no mapping"),
            ("apiVersion: v1\nentries:\n  web: 3\n", "the entry of web is no list"),
            ("a: b: c\n", "mapping values are not allowed"),
        ] {
            let error = versions(index.as_bytes(), "web").unwrap_err().to_string();
            assert!(error.contains(want), "{index:?}: {error}");
        }
        let mut aliases = "apiVersion: v1\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for (one, next) in ('a'..'i').zip('b'..='i') {
            writeln!(aliases, "{next}: &{next} [*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one},*{one}]").unwrap();
        }
        aliases.push_str("entries:\n  web:\n  - name: web\n    version: 1.0.0\n    urls: *i\n");
        assert!(versions(aliases.as_bytes(), "web").unwrap_err().to_string().contains("aliasing"));
        let deep = format!("apiVersion: v1\nentries:\n  web:\n  - name: web\n    x: {}{}\n", "[".repeat(5000), "]".repeat(5000));
        assert!(versions(deep.as_bytes(), "web").unwrap_err().to_string().contains("max depth"));
        let deep = format!("{{\"apiVersion\":\"v1\",\"entries\":{{\"web\":{}{}}}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(versions(deep.as_bytes(), "web").is_err());
    }
}
