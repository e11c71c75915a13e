//! Masterminds/semver for templates: the versions and constraints are those of [`crate::chart::semver`].

use std::sync::Arc;

use super::Kind::Str;
use super::{Function, fixed};
use crate::chart::gotmpl::quote;
use crate::chart::semver::{Constraint, Version};
use crate::chart::value::{Go, Host, IntKind};

pub(super) const ALL: &[Function] = &[
    fixed("semverCompare", &[Str, Str], |c| {
        let constraint = Constraint::parse(&c.str(0)).ok_or_else(|| improper(&c.str(0)))?;
        // Unlike in Chart.yaml, every group must say something.
        if let Some(empty) = c.str(0).split("||").find(|group| group.trim().is_empty()) {
            return Err(improper(empty));
        }
        Ok(constraint.accepts(&parse(&c.str(1))?).into())
    }),
    fixed("semver", &[Str], |c| Ok(Go::Host(Arc::new(Object { version: parse(&c.str(0))?, original: c.str(0), value: false })))),
];

fn improper(text: &str) -> String {
    let group = text.split("||").find(|group| Constraint::parse(group).is_none()).unwrap_or(text);
    format!("improper constraint: {}", quote(group))
}

fn parse(text: &str) -> Result<Version, String> {
    if text.is_empty() {
        return Err("version string empty".to_owned());
    }
    let version = Version::parse(text).ok_or("invalid semantic version")?;
    // A number behind the minus may not start with a zero.
    if version.prerelease.split('.').any(|part| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err("version segment starts with 0".to_owned());
    }
    Ok(version)
}

/// `*semver.Version`.
#[derive(Debug)]
struct Object {
    version: Version,
    original: Arc<str>,
    /// What `IncMajor` and its like give is no pointer.
    value: bool,
}

impl Object {
    /// The version of another number, without prerelease and metadata.
    fn next(&self, major: u64, minor: u64, patch: u64) -> Go {
        let version = Version { major, minor, patch, ..Version::default() };
        let mark = if self.original.starts_with('v') { "v" } else { "" };
        let original = Arc::from(format!("{mark}{}", text(&version)));
        Go::Host(Arc::new(Object { version, original, value: true }))
    }
}

fn text(version: &Version) -> String {
    let part = |mark: &str, text: &str| if text.is_empty() { String::new() } else { format!("{mark}{text}") };
    let Version { major, minor, patch, prerelease, metadata } = version;
    format!("{major}.{minor}.{patch}{}{}", part("-", prerelease), part("+", metadata))
}

fn other(args: &[Go]) -> Result<Version, String> {
    match args.first() {
        Some(Go::Host(host)) if host.type_name() == "*semver.Version" => parse(&host.text()),
        _ => Err("wrong type for value; expected *semver.Version".to_owned()),
    }
}

impl Host for Object {
    fn type_name(&self) -> &'static str {
        if self.value { "semver.Version" } else { "*semver.Version" }
    }

    fn kind(&self) -> &'static str {
        if self.value { "struct" } else { "ptr" }
    }

    fn field(&self, _name: &str) -> Option<Go> {
        None
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let version = &self.version;
        let number = |n: u64| Go::Int(n.cast_signed(), IntKind::Uint64);
        let compare = |wanted: &[std::cmp::Ordering]| other(args).map(|o| wanted.contains(&version.compare(&o)).into());
        Some(match name {
            "Major" => Ok(number(version.major)),
            "Minor" => Ok(number(version.minor)),
            "Patch" => Ok(number(version.patch)),
            "Prerelease" => Ok(version.prerelease.as_str().into()),
            "Metadata" => Ok(version.metadata.as_str().into()),
            "Original" => Ok(Go::Str(Arc::clone(&self.original))),
            "String" => Ok(self.text().into()),
            "IncMajor" => Ok(self.next(version.major.saturating_add(1), 0, 0)),
            "IncMinor" => Ok(self.next(version.major, version.minor.saturating_add(1), 0)),
            // A prerelease is before its own patch.
            "IncPatch" => Ok(self.next(version.major, version.minor, version.patch.saturating_add(u64::from(version.prerelease.is_empty())))),
            "Compare" => other(args).map(|o| Go::int(version.compare(&o) as i8)),
            "Equal" => compare(&[Equal]),
            "LessThan" => compare(&[Less]),
            "LessThanEqual" => compare(&[Less, Equal]),
            "GreaterThan" => compare(&[Greater]),
            "GreaterThanEqual" => compare(&[Greater, Equal]),
            _ => return None,
        })
    }

    fn text(&self) -> String {
        text(&self.version)
    }

    fn json(&self) -> serde_json::Value {
        self.text().into()
    }
}
