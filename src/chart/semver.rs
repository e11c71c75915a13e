//! Versions and constraints as Masterminds/semver v3 reads them: lenient versions, `~`, `^`, wildcards, hyphen ranges, `||`.

use std::cmp::Ordering;

/// Longer texts are refused, as upstream does.
const MAX_BYTES: usize = 512;

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
        let (version, parts) = parse_parts(text, false)?;
        (parts > 0).then_some(version)
    }

    /// Order by precedence.
    pub fn compare(&self, other: &Self) -> Ordering {
        let numbers = (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch));
        numbers.then_with(|| compare_prerelease(&self.prerelease, &other.prerelease))
    }
}

/// Numbers may be `x`, `X` or `*` if `wild`; how many were given before the first wildcard.
fn parse_parts(text: &str, wild: bool) -> Option<(Version, usize)> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = text.split_once('+').map_or((text, ""), |(rest, metadata)| (rest, metadata));
    let (numbers, prerelease) = rest.split_once('-').map_or((rest, ""), |(numbers, prerelease)| (numbers, prerelease));
    if (text.contains('+') && !is_identifiers(metadata)) || (rest.contains('-') && !is_identifiers(prerelease)) {
        return None;
    }
    let mut parsed = [0_u64; 3];
    let mut given = 0;
    let mut wildcard = false;
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    for (at, part) in parts.iter().enumerate() {
        if wild && matches!(*part, "x" | "X" | "*") {
            wildcard = true;
        } else {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            parsed[at] = if wildcard { 0 } else { part.parse().ok()? };
            given += usize::from(!wildcard);
        }
    }
    let [major, minor, patch] = parsed;
    let prerelease = if wildcard { String::new() } else { prerelease.to_owned() };
    Some((Version { major, minor, patch, prerelease, metadata: metadata.to_owned() }, given))
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
        let groups: Vec<&str> = text.split("||").collect();
        if text.len() > MAX_BYTES || groups.len() > 32 {
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

fn parse_group(text: &str) -> Option<Vec<Term>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(vec![Term { operator: Operator::GreaterEqual, version: Version::default(), minor_dirty: true, patch_dirty: true, dirty: true }]);
    }
    if let Some((low, high)) = text.split_once(" - ") {
        let terms = parse_group(&format!(">={}", low.trim()))?;
        return parse_group(&format!("<={}", high.trim())).map(|high| terms.into_iter().chain(high).collect());
    }
    let mut terms = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (operator, after) = operator(rest);
        let after = after.trim_start();
        let end = after.find([' ', ',', '\t', '<', '>', '=', '!', '~', '^']).unwrap_or(after.len());
        terms.push(term(operator, &after[..end])?);
        rest = after[end..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(terms)
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

fn term(operator: Operator, text: &str) -> Option<Term> {
    let (version, given) = parse_parts(text, true)?;
    // `*` is `>=0.0.0`.
    let operator = if given == 0 && operator != Operator::NotEqual { Operator::GreaterEqual } else { operator };
    Some(Term { operator, version, minor_dirty: given < 2, patch_dirty: given < 3, dirty: given < 3 })
}

impl Term {
    fn holds(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator {
            Operator::Equal if self.dirty => self.tilde(version, order),
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual if self.dirty => {
                let own = &self.version;
                version.major != own.major || (!self.minor_dirty && (version.minor != own.minor || (!self.patch_dirty && version.patch != own.patch)))
            }
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Greater if self.dirty && version.major == self.version.major => !self.minor_dirty && version.minor > self.version.minor,
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
            ("", "3.1.0", true),
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
        assert!(Version::parse("01.2.3").is_some());
        assert!(Version::parse("v1").is_some());
        assert!(Version::parse("1.2.3.4").is_none());
        assert!(Version::parse("x").is_none());
    }
}
