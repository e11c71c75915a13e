//! Masterminds/semver for templates: the versions and constraints are those of [`crate::chart::semver`].

use std::sync::Arc;

use super::Kind::{self, Str};
use super::{Function, fixed};
use crate::chart::gotmpl::quote;
use crate::chart::semver::{Constraint, Version, is_written};
use crate::chart::value::{Go, Host, IntKind, Member, Tag};

pub(super) const ALL: &[Function] = &[
    fixed("semverCompare", &[Str, Str], |c| {
        let constraint = Constraint::parse(&c.str(0)).ok_or_else(|| improper(&c.str(0)))?;
        // Unlike in Chart.yaml, every group must say something.
        if let Some(empty) = c.str(0).split("||").find(|group| group.trim().is_empty()) {
            return Err(format!("improper constraint: {}", quote(empty)));
        }
        Ok(constraint.accepts(&parse(&c.str(1))?).into())
    }),
    fixed("semver", &[Str], |c| Ok(Go::Host(Arc::new(Object { version: parse(&c.str(0))?, original: c.str(0), value: false })))),
];

fn improper(text: &str) -> String {
    if is_written(text) {
        return "constraint parser error".to_owned();
    }
    let group = text.split("||").find(|group| Constraint::parse(group).is_none()).unwrap_or(text);
    format!("improper constraint: {}", quote(group))
}

fn parse(text: &str) -> Result<Version, String> {
    if let Some(version) = Version::parse(text) {
        return Ok(version);
    }
    // A number behind the minus may not start with a zero.
    let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
    let body = text.split('+').next().unwrap_or(text);
    if let Some((numbers, prerelease)) = body.split_once('-')
        && prerelease.split('.').any(zero)
        && Version::parse(numbers).is_some()
    {
        return Err("version segment starts with 0".to_owned());
    }
    // A number that is too large is one all the same.
    let large = |part: &&str| part.bytes().all(|b| b.is_ascii_digit()) && part.len() > 19 && part.parse::<u64>().is_err();
    let numbers: Vec<&str> = body.split('-').next().unwrap_or(body).trim_start_matches('v').split('.').collect();
    match numbers.iter().find(|part| large(part)) {
        Some(part) if numbers.len() <= 3 && numbers.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) => {
            Err(format!("error parsing version segment: strconv.ParseUint: parsing {}: value out of range", quote(part)))
        }
        _ => Err("invalid semantic version".to_owned()),
    }
}

/// `*semver.Version`.
#[derive(Debug)]
struct Object {
    version: Version,
    original: Arc<str>,
    /// What `IncMajor` and its like give is no pointer.
    value: bool,
}

/// What copystructure makes of a version: it does not see the fields.
pub(super) fn blank() -> Go {
    Go::Host(Arc::new(Object { version: Version::default(), original: Arc::from(""), value: false }))
}

impl Object {
    fn changed(&self, version: Version) -> Go {
        let mark = if self.original.starts_with('v') { "v" } else { "" };
        let original = Arc::from(format!("{mark}{}", text(&version)));
        Go::Host(Arc::new(Object { version, original, value: true }))
    }

    /// The version of another number, without prerelease and metadata.
    fn next(&self, major: u64, minor: u64, patch: u64) -> Go {
        self.changed(Version { major, minor, patch, ..Version::default() })
    }

    /// `SetPrerelease` and `SetMetadata`.
    fn with(&self, prerelease: &str, metadata: &str) -> Result<Go, String> {
        let Version { major, minor, patch, .. } = self.version;
        let version = Version { major, minor, patch, prerelease: prerelease.to_owned(), metadata: metadata.to_owned() };
        if Version::parse(&text(&version)).is_none() {
            let plain = Version { prerelease: String::new(), ..version.clone() };
            let what = if Version::parse(&text(&plain)).is_none() { "metadata" } else { "prerelease" };
            let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
            if what == "prerelease" && prerelease.split('.').take_while(|part| !part.is_empty()).any(zero) {
                return Err("version segment starts with 0".to_owned());
            }
            return Err(format!("invalid {what} string"));
        }
        Ok(self.changed(version))
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
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
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

    /// What has a pointer for a receiver is not a method of the value.
    fn parameters(&self, method: &str) -> Option<&'static [Kind]> {
        Some(match method {
            "SetPrerelease" | "SetMetadata" => &[Str],
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "String" | "IncMajor" | "IncMinor" | "IncPatch" | "MarshalJSON" | "MarshalText"
            | "Value" => &[],
            _ if self.value => return None,
            "Original" => &[],
            "Compare" | "Equal" | "LessThan" | "LessThanEqual" | "GreaterThan" | "GreaterThanEqual" => &[Kind::Version],
            _ => return None,
        })
    }

    fn members(&self) -> Option<Vec<Member>> {
        let Version { major, minor, patch, prerelease, metadata } = &self.version;
        let number = |name, n: &u64| Member::new(name, Tag::Name(name), Go::Int(n.cast_signed(), IntKind::Uint64));
        let word = |name, text: &str| Member::new(name, Tag::Name(name), text.into());
        Some(vec![
            number("major", major),
            number("minor", minor),
            number("patch", patch),
            word("pre", prerelease),
            word("metadata", metadata),
            word("original", &self.original),
        ])
    }

    fn call(&self, name: &str, args: &[Go]) -> Option<Result<Go, String>> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        self.parameters(name)?;
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
            "String" | "Value" => Ok(self.text().into()),
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
            "SetPrerelease" => self.with(args.first().and_then(Go::as_str).unwrap_or_default(), &version.metadata),
            "SetMetadata" => self.with(&version.prerelease, args.first().and_then(Go::as_str).unwrap_or_default()),
            "MarshalText" => Ok(Go::Bytes(Arc::from(self.text().into_bytes()))),
            "MarshalJSON" => Ok(Go::Bytes(Arc::from(format!("\"{}\"", self.text()).into_bytes()))),
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
