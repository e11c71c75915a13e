//! Versions and constraints as Masterminds/semver v3 reads them: lenient versions, `~`, `^`, wildcards, hyphen ranges, `||`.

use std::{cmp::Ordering, fmt::Write as _};

/// Longer constraints are refused, as upstream does.
const MAX_BYTES: usize = 512;
/// Longer versions are refused, as upstream does.
const MAX_VERSION: usize = 256;

/// A version; build metadata does not take part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    /// What follows `-`.
    pub prerelease: String,
    /// What follows `+`.
    pub metadata: String,
}

impl Version {
    /// `NewVersion`: a leading `v`, one or two numbers and leading zeros are accepted.
    pub fn parse(text: &str) -> Option<Self> {
        parse_version(text)
    }

    /// Order by precedence.
    pub fn compare(&self, other: &Self) -> Ordering {
        let numbers = (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch));
        numbers.then_with(|| compare_prerelease(&self.prerelease, &other.prerelease))
    }
}

/// Three numbers or fewer, then what follows `-` and `+`.
fn parse_version(text: &str) -> Option<Version> {
    if text.len() > MAX_VERSION {
        return None;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = text.split_once('+').map_or((text, ""), |(rest, metadata)| (rest, metadata));
    let (numbers, prerelease) = rest.split_once('-').map_or((rest, ""), |(numbers, prerelease)| (numbers, prerelease));
    if (text.contains('+') && !is_identifiers(metadata)) || (rest.contains('-') && !is_prerelease(prerelease)) {
        return None;
    }
    let mut parsed = [0_u64; 3];
    for (at, part) in numbers.split('.').enumerate() {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *parsed.get_mut(at)? = part.parse().ok()?;
    }
    let [major, minor, patch] = parsed;
    Some(Version { major, minor, patch, prerelease: prerelease.to_owned(), metadata: metadata.to_owned() })
}

/// `validatePrerelease`: a number in it has no leading zero.
fn is_prerelease(text: &str) -> bool {
    let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
    is_identifiers(text) && !text.split('.').any(zero)
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

fn compare_prerelease(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (left.split('.'), right.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Go's `\s`.
const SPACE: [char; 5] = ['\t', '\n', '\u{c}', '\r', ' '];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

#[derive(Debug, Clone)]
struct Term {
    operator: Operator,
    version: Version,
    minor_dirty: bool,
    patch_dirty: bool,
    dirty: bool,
}

/// A constraint: any of the groups, of which all terms hold.
#[derive(Debug, Clone)]
pub struct Constraint(Vec<Vec<Term>>);

impl Constraint {
    /// Reads a constraint; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let text = rewrite_ranges(text);
        let groups: Vec<&str> = text.split("||").collect();
        if groups.len() > 32 {
            return None;
        }
        groups.into_iter().map(parse_group).collect::<Option<_>>().map(Self)
    }

    /// Whether a version satisfies it. A prerelease only does where its group names one.
    pub fn accepts(&self, version: &Version) -> bool {
        self.0.iter().any(|group| {
            let names_prerelease = group.iter().any(|term| !term.version.prerelease.is_empty());
            (version.prerelease.is_empty() || names_prerelease) && group.iter().all(|term| term.holds(version))
        })
    }
}

/// `chartutil.IsCompatibleRange`: whatever cannot be read is not compatible.
pub fn is_compatible(constraint: &str, version: &str) -> bool {
    match (Version::parse(version), Constraint::parse(constraint)) {
        (Some(version), Some(constraint)) => constraint.accepts(&version),
        _ => false,
    }
}

/// `rewriteRange`: `1.2 - 2` is `>= 1.2, <= 2`.
fn rewrite_ranges(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((low, high, after)) = range(rest) {
            let _ = write!(out, ">= {low}, <= {high} ");
            rest = after;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The two ends of a range that a text begins with, and what comes after it.
fn range(text: &str) -> Option<(&str, &str, &str)> {
    let spaced = |text: &'_ str| text.starts_with(SPACE);
    let (low, rest) = take_version(text.trim_start_matches(SPACE))?;
    let dash = rest.trim_start_matches(SPACE);
    let after = dash.strip_prefix('-').filter(|after| spaced(rest) && spaced(after))?;
    let (high, rest) = take_version(after.trim_start_matches(SPACE))?;
    Some((low, high, rest.trim_start_matches(SPACE)))
}

/// What `cvRegex` takes from the beginning of a text, and the rest.
fn take_version(text: &str) -> Option<(&str, &str)> {
    let number = |at: usize| text[at..].bytes().take_while(|byte| byte.is_ascii_digit() || b"|xX*".contains(byte)).count();
    let mut end = usize::from(text.starts_with('v'));
    let major = number(end);
    if major == 0 {
        return None;
    }
    end += major;
    for _ in 0..2 {
        let digits = if text[end..].starts_with('.') { number(end + 1) } else { 0 };
        if digits == 0 {
            break;
        }
        end += 1 + digits;
    }
    for sign in ['-', '+'] {
        end += suffix(&text[end..], sign);
    }
    Some(text.split_at(end))
}

/// Bytes of `-a.b` or `+a.b` at the beginning of a text.
fn suffix(text: &str, sign: char) -> usize {
    let part = |at: usize| text[at..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').count();
    let mut end = if text.starts_with(sign) { part(1) } else { 0 };
    if end == 0 {
        return 0;
    }
    end += 1;
    while text[end..].starts_with('.') && part(end + 1) > 0 {
        end += 1 + part(end + 1);
    }
    end
}

/// Terms that all hold, with white space or a comma between them (`validConstraintRegex`).
fn parse_group(text: &str) -> Option<Vec<Term>> {
    split_group(text)?.into_iter().map(|(operator, version)| term(operator, version)).collect()
}

/// Whether a text is written like a constraint, whatever its versions are.
pub(crate) fn is_written(text: &str) -> bool {
    rewrite_ranges(text).split("||").all(|group| split_group(group).is_some())
}

fn split_group(text: &str) -> Option<Vec<(Operator, &str)>> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start_matches(SPACE);
    loop {
        let (operator, after) = operator(rest);
        let (version, after) = take_version(after.trim_start_matches(SPACE))?;
        terms.push((operator, version));
        let next = after.trim_start_matches(SPACE);
        if next.is_empty() {
            return Some(terms);
        }
        rest = match next.strip_prefix(',') {
            Some(next) => next.trim_start_matches(SPACE),
            None if next.len() < after.len() => next,
            None => return None,
        };
    }
}

fn operator(text: &str) -> (Operator, &str) {
    const OPERATORS: [(&str, Operator); 10] = [
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterEqual),
        ("=>", Operator::GreaterEqual),
        ("<=", Operator::LessEqual),
        ("=<", Operator::LessEqual),
        ("~>", Operator::Tilde),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ];
    for (sign, operator) in OPERATORS {
        if let Some(rest) = text.strip_prefix(sign) {
            return (operator, rest);
        }
    }
    (Operator::Equal, text.strip_prefix('=').unwrap_or(text))
}

/// `parseConstraint`: what is left out or a wildcard is zero, and remembered.
fn term(operator: Operator, text: &str) -> Option<Term> {
    let body = text.strip_prefix('v').unwrap_or(text);
    let end = body.find(['-', '+']).unwrap_or(body.len());
    let prerelease = &body[end..][..suffix(&body[end..], '-')];
    let parts: Vec<&str> = body[..end].split('.').collect();
    let open = |at: usize| parts.get(at).is_none_or(|part| matches!(*part, "x" | "X" | "*"));
    let (version, minor_dirty, patch_dirty) = match (open(0), open(1), open(2)) {
        (true, ..) => (format!("0.0.0{prerelease}"), false, false),
        (_, true, _) => (format!("{}.0.0{prerelease}", parts[0]), true, false),
        (_, _, true) => (format!("{}.{}.0{prerelease}", parts[0], parts[1]), false, true),
        _ => (text.to_owned(), false, false),
    };
    let dirty = open(0) || minor_dirty || patch_dirty;
    Some(Term { operator, version: parse_version(&version)?, minor_dirty, patch_dirty, dirty })
}

impl Term {
    fn holds(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator {
            Operator::Equal if self.dirty => self.tilde(version, order),
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual if self.minor_dirty => version.major != self.version.major,
            Operator::NotEqual if self.patch_dirty => {
                let own = &self.version;
                (version.major, version.minor, &version.prerelease) != (own.major, own.minor, &own.prerelease)
            }
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Greater if self.minor_dirty => version.major > self.version.major,
            Operator::Greater if self.patch_dirty => (version.major, version.minor) > (self.version.major, self.version.minor),
            Operator::Greater => order == Ordering::Greater,
            Operator::Less => order == Ordering::Less,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::LessEqual if self.dirty => {
                version.major < self.version.major || (version.major == self.version.major && (self.minor_dirty || version.minor <= self.version.minor))
            }
            Operator::LessEqual => order != Ordering::Greater,
            Operator::Tilde => self.tilde(version, order),
            Operator::Caret => self.caret(version, order),
        }
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if order == Ordering::Less {
            return false;
        }
        // "~0.0.0 is a special case where all constraints are accepted" (constraintTilde).
        if (own.major, own.minor, own.patch) == (0, 0, 0) && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        version.major == own.major && (self.minor_dirty || version.minor == own.minor)
    }

    fn caret(&self, version: &Version, order: Ordering) -> bool {
        let own = &self.version;
        if order == Ordering::Less {
            return false;
        }
        if own.major > 0 || self.minor_dirty {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.patch_dirty {
            return version.minor == own.minor;
        }
        version.minor == 0 && version.patch == own.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_as_masterminds() {
        let rows = [
            (">=1.19-0", "v1.20.3-gke.1", true),
            (">=1.19", "v1.20.3-gke.1", false),
            ("1.2", "1.2.9", true),
            ("1.2", "1.3.0", false),
            (">11", "11.1.0", false),
            (">11", "12.0.0", true),
            ("^0.2.3", "0.2.9", true),
            ("^0.2.3", "0.3.0", false),
            ("~0.0.0", "9.9.9", true),
            ("~15.2", "15.2.7", true),
            ("*", "3.1.0", true),
            ("", "3.1.0", false),
            (" ", "3.1.0", false),
            (">=1.0.0,", "3.1.0", false),
            ("1.2.3 ||", "1.2.3", false),
            (">1.0.0<2.0.0", "1.5.0", false),
            (">1.0.0 ,<2.0.0", "1.5.0", true),
            (">=1 - 2", "1.5.0", false),
            ("<=x", "0.1.0", false),
            ("^*", "1.0.0", false),
            (">=1.0.0-01", "1.0.0", false),
            ("1.x.x", "1.9.0", true),
            ("1.2 - 2", "2.5.0", true),
            (">=1.0, <2.0 || 3.x", "3.4.0", true),
            ("!=1.x", "2.0.0", true),
            ("<=11", "11.5.0", true),
            ("abc", "1.0.0", false),
        ];
        for (constraint, version, want) in rows {
            assert_eq!(is_compatible(constraint, version), want, "{constraint} {version}");
        }
    }

    #[test]
    fn versions_are_lenient() {
        assert!(Version::parse("1.2.3-01").is_none());
        assert!(Version::parse("1.2.3-rc.01x").is_some());
        assert!(Version::parse("01.2.3").is_some());
        assert!(Version::parse("v1").is_some());
        assert!(Version::parse("1.2.3.4").is_none());
        assert!(Version::parse("x").is_none());
    }

    /// Recorded from Masterminds/semver v3.5.0: constraint, version, and whether it fits, or that either is refused (`C`, `V`).
    #[test]
    fn chance_constraints_as_masterminds() {
        for row in include_str!("../tests/fixtures/semver/constraints.tsv").lines() {
            let [constraint, version, want] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            let got = match (Version::parse(version), Constraint::parse(constraint)) {
                (None, _) => "V".to_owned(),
                (_, None) => "C".to_owned(),
                (Some(version), Some(constraint)) => constraint.accepts(&version).to_string(),
            };
            assert_eq!(got, want, "{row}");
        }
    }
}
