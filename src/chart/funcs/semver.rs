//! Masterminds/semver: versions and constraints as charts ask for them.

use std::cmp::Ordering;

use super::Kind::Str;
use super::{Function, fixed};
use crate::chart::value::{Go, IntKind};

pub(super) const ALL: &[Function] = &[
    fixed("semverCompare", &[Str, Str], |c| {
        let version = Version::parse(&c.str(1)).ok_or("Invalid Semantic Version")?;
        Ok(matches(&c.str(0), &version)?.into())
    }),
    fixed("semver", &[Str], |c| {
        let v = Version::parse(&c.str(0)).ok_or("Invalid Semantic Version")?;
        let part = |n: u64| Go::Int(i64::try_from(n).unwrap_or(i64::MAX), IntKind::Int64);
        Ok(Go::dict([
            ("Major", part(v.parts[0])),
            ("Minor", part(v.parts[1])),
            ("Patch", part(v.parts[2])),
            ("Prerelease", v.pre.as_str().into()),
            ("Metadata", v.metadata.as_str().into()),
            ("Original", Go::Str(c.str(0))),
        ]))
    }),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    parts: [u64; 3],
    /// How many parts were written; `x` and `*` end the counting.
    written: usize,
    pre: String,
    metadata: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut version = Version { parts: [0; 3], written: 0, pre: pre.to_owned(), metadata: metadata.to_owned() };
        for (i, part) in numbers.split('.').enumerate() {
            if i > 2 {
                return None;
            }
            if matches!(part, "x" | "X" | "*") {
                return Some(version);
            }
            version.parts[i] = part.parse().ok()?;
            version.written = i + 1;
        }
        Some(version)
    }

    fn compare(&self, other: &Version) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => prerelease(&self.pre, &other.pre),
        })
    }
}

fn prerelease(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                _ => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn matches(constraint: &str, version: &Version) -> Result<bool, String> {
    let improper = || format!("improper constraint: {constraint}");
    let mut any = false;
    for group in constraint.split("||") {
        let group = match group.split_once(" - ") {
            Some((low, high)) => format!(">={} <={}", low.trim(), high.trim()),
            None => group.to_owned(),
        };
        let parts = split_group(&group);
        let parsed: Vec<(String, Version)> =
            parts.into_iter().map(|(op, v)| Version::parse(&v).map(|v| (op, v))).collect::<Option<_>>().ok_or_else(improper)?;
        let allows_pre = version.pre.is_empty() || parsed.iter().any(|(_, v)| !v.pre.is_empty());
        let mut all = allows_pre && !parsed.is_empty();
        for (op, wanted) in &parsed {
            all &= one(op, wanted, version).ok_or_else(improper)?;
        }
        any |= all;
    }
    Ok(any)
}

/// Operators and versions of an AND group; white space between an operator and its version is allowed.
fn split_group(group: &str) -> Vec<(String, String)> {
    const OPERATORS: &[char] = &['=', '!', '>', '<', '~', '^'];
    let mut out = Vec::new();
    let mut rest = group.trim();
    while !rest.is_empty() {
        let at = rest.find(|c| !OPERATORS.contains(&c)).unwrap_or(rest.len());
        let (op, tail) = rest.split_at(at);
        let tail = tail.trim_start();
        let end = tail.find(|c: char| c.is_whitespace() || c == ',' || OPERATORS.contains(&c)).unwrap_or(tail.len());
        out.push((op.to_owned(), tail[..end].to_owned()));
        rest = tail[end..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    out
}

fn one(op: &str, wanted: &Version, v: &Version) -> Option<bool> {
    let order = v.compare(wanted);
    let dirty = wanted.written < 3;
    let prefix = |n: usize| v.parts[..n] == wanted.parts[..n];
    let tilde = || order != Ordering::Less && prefix(wanted.written.min(2));
    Some(match op {
        "" | "=" if dirty => tilde() || wanted.written == 0,
        "" | "=" => order == Ordering::Equal,
        "!=" if dirty => !prefix(wanted.written),
        "!=" => order != Ordering::Equal,
        ">" if dirty => order == Ordering::Greater && !prefix(wanted.written),
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        ">=" | "=>" => order != Ordering::Less,
        "<=" | "=<" if dirty => order != Ordering::Greater || prefix(wanted.written),
        "<=" | "=<" => order != Ordering::Greater,
        "~" | "~>" => tilde() || wanted.written == 0,
        "^" => {
            let fixed = wanted.parts.iter().take(wanted.written).position(|n| *n != 0).map_or(wanted.written, |i| i + 1);
            order != Ordering::Less && prefix(fixed)
        }
        _ => return None,
    })
}
