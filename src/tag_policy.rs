//! Which of many tags, or versions, is meant: `tagPolicy` of delivery.yaml. Nothing is asked here; who chooses by time brings the times.

use std::cmp::Ordering;

use jiff::Timestamp;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use crate::semver::Version;

/// The longest expression that is read, in bytes.
const PATTERN_MAX: usize = 1024;
/// The largest program that an expression may become, in bytes.
const PROGRAM_MAX: usize = 1 << 20;

/// Which tag of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pick {
    /// The highest by semantic versioning.
    #[default]
    Semver,
    /// The one that was made last.
    Newest,
    /// The last in the order of characters.
    Lexical,
}

impl Pick {
    /// In words, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Semver => "highest version",
            Self::Newest => "newest",
            Self::Lexical => "last",
        }
    }
}

/// An expression that matches whole words, as registries' own consoles read theirs.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    compiled: Regex,
    names_hyphen: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// An expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no regular expression that can be used: {reason}")]
pub struct PatternError {
    /// The expression.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pattern {
    /// Reads an expression in the syntax of Rust's regex crate, which is RE2's but for details.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let bad = |reason: String| PatternError { text: text.chars().take(200).collect(), reason };
        if text.len() > PATTERN_MAX {
            return Err(bad(format!("it has {} bytes, at most {PATTERN_MAX} are read", text.len())));
        }
        // Alone first: a bracket too many would close the one that is put around it.
        let hir = regex_syntax::parse(text).map_err(|error| bad(last_line(&error.to_string())))?;
        let whole = RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(PROGRAM_MAX).dfa_size_limit(PROGRAM_MAX).build();
        let compiled = whole.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => bad("it becomes too large when its repetitions are written out".to_owned()),
            error => bad(last_line(&error.to_string())),
        })?;
        Ok(Self { text: text.to_owned(), compiled, names_hyphen: names_hyphen(&hir) })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of a word matches.
    pub fn matches(&self, word: &str) -> bool {
        self.compiled.is_match(word)
    }
}

/// The errors of the regex crate draw a picture; their last line says what it is.
fn last_line(error: &str) -> String {
    let line = error.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(error).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Whether an expression has a `-` of its own; a class such as `.` or `[a-z.-]` names none in particular.
fn names_hyphen(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.contains(&b'-'),
        HirKind::Repetition(repetition) => names_hyphen(&repetition.sub),
        HirKind::Capture(capture) => names_hyphen(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(names_hyphen),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// Chooses a tag among those of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPolicy {
    /// What the whole tag must match.
    pub regex: Pattern,
    /// What it must not match.
    pub not: Option<Pattern>,
    /// Which of those that are left.
    pub pick: Pick,
}

impl std::fmt::Display for TagPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} of `{}`", self.pick.as_str(), self.regex.as_str())?;
        if let Some(not) = &self.not {
            write!(f, " without `{}`", not.as_str())?;
        }
        Ok(())
    }
}

/// No tag is what a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTag {
    /// The repository has none.
    #[error("there is no tag at all")]
    Empty,
    /// The expression matches none.
    #[error("none of its {tags} tags matches `{regex}` whole{}", near.as_ref().map(|tag| format!("; `{tag}` matches in part")).unwrap_or_default())]
    NoMatch {
        /// Tags that there are.
        tags: usize,
        /// The expression.
        regex: String,
        /// One that has a part that matches.
        near: Option<String>,
    },
    /// Everything that matches is ruled out.
    #[error("all {matched} tags that match `{regex}` match `{not}` as well, which rules them out")]
    RuledOut {
        /// Tags that match.
        matched: usize,
        /// The expression.
        regex: String,
        /// The expression that rules out.
        not: String,
    },
    /// What is left are no versions.
    #[error("of the {matched} tags that match, as `{example}`, none is a version; `pick: lexical` or `pick: newest` choose others")]
    NoVersion {
        /// Tags that match.
        matched: usize,
        /// One of them.
        example: String,
    },
    /// What is left are prereleases.
    #[error("the {matched} tags that match, as `{example}`, are prereleases, which are taken only where the expression has a `-` of its own, as `.*-rc.*`")]
    Prereleases {
        /// Tags that match.
        matched: usize,
        /// One of them.
        example: String,
    },
}

impl TagPolicy {
    /// Whether a tag may be chosen, as far as the expressions say.
    pub fn admits(&self, tag: &str) -> bool {
        self.regex.matches(tag) && !self.not.as_ref().is_some_and(|not| not.matches(tag))
    }

    /// Whether a tag may ever be chosen: the expressions admit it, and under `semver` it is a version that counts.
    pub fn may_choose(&self, tag: &str) -> bool {
        self.admits(tag) && (self.pick != Pick::Semver || version(tag).is_some_and(|version| self.counts(&version)))
    }

    /// The tags that may be chosen, the one to choose last. Under `newest` they are in the order of characters: times decide, see [`newest`].
    pub fn candidates<'t>(&self, tags: &'t [String]) -> Result<Vec<&'t str>, NoTag> {
        if tags.is_empty() {
            return Err(NoTag::Empty);
        }
        let regex = || self.regex.as_str().to_owned();
        let matched: Vec<&str> = tags.iter().map(String::as_str).filter(|tag| self.regex.matches(tag)).collect();
        if matched.is_empty() {
            let part = Regex::new(self.regex.as_str()).ok();
            let near = part.and_then(|part| tags.iter().filter(|tag| part.find(tag).is_some_and(|found| !found.is_empty())).max().cloned());
            return Err(NoTag::NoMatch { tags: tags.len(), regex: regex(), near });
        }
        let mut left: Vec<&str> = matched.iter().copied().filter(|tag| self.admits(tag)).collect();
        if left.is_empty() {
            let not = self.not.as_ref().map_or_else(String::new, |not| not.as_str().to_owned());
            return Err(NoTag::RuledOut { matched: matched.len(), regex: regex(), not });
        }
        left.sort_unstable();
        left.dedup();
        if self.pick == Pick::Semver { self.versions(&left) } else { Ok(left) }
    }

    fn versions<'t>(&self, left: &[&'t str]) -> Result<Vec<&'t str>, NoTag> {
        let versions: Vec<(Version, &str)> = left.iter().filter_map(|tag| Some((version(tag)?, *tag))).collect();
        let example = |tags: &[(Version, &str)]| tags.last().map_or_else(String::new, |(_, tag)| (*tag).to_owned());
        if versions.is_empty() {
            return Err(NoTag::NoVersion { matched: left.len(), example: left.last().map_or_else(String::new, |tag| (*tag).to_owned()) });
        }
        let (all, last) = (versions.len(), example(&versions));
        let mut counted: Vec<(Version, &str)> = versions.into_iter().filter(|(version, _)| self.counts(version)).collect();
        if counted.is_empty() {
            return Err(NoTag::Prereleases { matched: all, example: last });
        }
        // Equal versions, as `1.2` and `1.2.0` or what differs in build metadata, stay in the order of characters.
        counted.sort_by(|(a, left), (b, right)| a.compare(b).then_with(|| left.cmp(right)));
        Ok(counted.into_iter().map(|(_, tag)| tag).collect())
    }

    /// Prereleases are taken only where the expression asks for them.
    fn counts(&self, version: &Version) -> bool {
        version.prerelease.is_empty() || self.regex.names_hyphen
    }
}

/// A tag as a version. `+` is not allowed in tags; Helm and others write `_` for it.
fn version(tag: &str) -> Option<Version> {
    Version::parse(tag).or_else(|| Version::parse(&tag.replacen('_', "+", 1)))
}

/// The tag that was made last; one of unknown time counts as older than all others, ties are broken by the order of characters.
pub fn newest(times: &[(String, Option<Timestamp>)]) -> Option<&str> {
    let order = |a: &&(String, Option<Timestamp>), b: &&(String, Option<Timestamp>)| -> Ordering { a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)) };
    times.iter().max_by(order).map(|(tag, _)| tag.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(regex: &str, not: Option<&str>, pick: Pick) -> TagPolicy {
        TagPolicy { regex: Pattern::new(regex).unwrap(), not: not.map(|not| Pattern::new(not).unwrap()), pick }
    }

    fn tags(text: &str) -> Vec<String> {
        text.split(' ').filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn the_highest_version_of_whole_matches() {
        for (have, regex, not, wanted) in [
            ("1.2.0 1.10.0 1.9.9", ".*", None, "1.10.0"),
            ("v5.1 v5.10 v6.0 xv5.99", "v5.*", None, "v5.10"),
            // Whole words: `5` alone would match all of them in part.
            ("15.0.0 5.0.0 5.0.1", r"5\.\d+\.\d+", None, "5.0.1"),
            // An alternative counts as one, not each for its end of the word.
            ("a1 1b 1 2", "1|2", None, "2"),
            ("1.0.0-rc.1 1.0.0 1.1.0-rc.1", "1.*", None, "1.0.0"),
            ("1.0.0 1.1.0-rc.1 1.1.0-rc.2", "1.*-rc.*", None, "1.1.0-rc.2"),
            ("1.0.0 1.1.0-rc.1", r"1\..*(-rc\.\d+)?", None, "1.1.0-rc.1"),
            ("1.0.0 1.1.0-rc.1", "[0-9a-z.-]+", None, "1.0.0"),
            ("1.25.3-alpine 1.25.10-alpine 1.26.0", r"1\.\d+\.\d+-alpine", None, "1.25.10-alpine"),
            ("1.0.0 1.1.0 1.2.0", ".*", Some("1.2.*"), "1.1.0"),
            ("1.0.0 latest main 2024 7", r"\D+|1.*", None, "1.0.0"),
            // Equal as versions: the order of characters.
            ("1.2 1.2.0 v1.2.0", ".*", None, "v1.2.0"),
            ("1.0.0_a 1.0.0_b 1.0.0", ".*", None, "1.0.0_b"),
            ("1.0.0+a 1.0.0+b", ".*", None, "1.0.0+b"),
            ("2.0.0-alpha 2.0.0-alpha.1 2.0.0-beta.2 2.0.0-beta.11", "2.*-.*", None, "2.0.0-beta.11"),
        ] {
            let tags = tags(have);
            assert_eq!(policy(regex, not, Pick::Semver).candidates(&tags).unwrap().last(), Some(&wanted), "{have} {regex}");
        }
    }

    #[test]
    fn the_last_in_the_order_of_characters() {
        for (have, regex, wanted) in [("b a c", ".*", "c"), ("2024-01-31 2024-02-01 2023-12-31", r"\d{4}-\d\d-\d\d", "2024-02-01"), ("v9 v10", "v.*", "v9")] {
            let tags = tags(have);
            assert_eq!(policy(regex, None, Pick::Lexical).candidates(&tags).unwrap().last(), Some(&wanted), "{have} {regex}");
        }
    }

    #[test]
    fn the_newest_by_time_then_by_characters() {
        let at = |second: i64| Some(Timestamp::from_second(second).unwrap());
        let of = |times: &[(&str, Option<Timestamp>)]| {
            let times: Vec<_> = times.iter().map(|(tag, time)| ((*tag).to_owned(), *time)).collect();
            newest(&times).map(str::to_owned)
        };
        assert_eq!(of(&[("b", at(1)), ("a", at(2)), ("c", None)]).as_deref(), Some("a"));
        assert_eq!(of(&[("a", at(0)), ("b", at(0))]).as_deref(), Some("b"));
        assert_eq!(of(&[("a", None), ("b", None)]).as_deref(), Some("b"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn why_there_is_none() {
        for (have, regex, not, pick, wanted) in [
            ("", ".*", None, Pick::Semver, "there is no tag at all"),
            ("v1 v2", "1", None, Pick::Semver, "none of its 2 tags matches `1` whole; `v1` matches in part"),
            ("v1 v2", "w.*", None, Pick::Lexical, "none of its 2 tags matches `w.*` whole"),
            ("v1 v2", "v.*", Some("v.*"), Pick::Newest, "all 2 tags that match `v.*` match `v.*` as well"),
            ("main edge", ".*", None, Pick::Semver, "of the 2 tags that match, as `main`, none is a version"),
            ("1.0.0-rc1", ".*", None, Pick::Semver, "are prereleases, which are taken only where the expression has a `-` of its own"),
        ] {
            let error = policy(regex, not, pick).candidates(&tags(have)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{have} {regex}: {error}");
        }
    }

    #[test]
    fn what_is_no_expression() {
        for (bad, wanted) in [
            ("v(", "unclosed group"),
            ("a)|(b", "unopened group"),
            (r"v\p{Nonsense}", "property not found"),
            ("(?x)a # the rest", "unclosed group"),
            ("((a{99}){99}){99}", "too large"),
            ("(?=a)b", "look-around"),
        ] {
            let error = Pattern::new(bad).unwrap_err().to_string();
            assert!(error.contains(wanted) && !error.contains('\n'), "{bad}: {error}");
        }
        assert!(Pattern::new(&"a".repeat(PATTERN_MAX + 1)).is_err());
    }

    #[test]
    fn ten_thousand_tags_take_no_time() {
        let tags: Vec<String> = (0..10_000).map(|n| format!("v{}.{}.{}", n / 1000, n / 100 % 10, n % 100)).collect();
        let begun = std::time::Instant::now();
        assert_eq!(policy(r"v[0-8]\..*", Some(r".*9"), Pick::Semver).candidates(&tags).unwrap().last(), Some(&"v8.9.98"));
        assert!(begun.elapsed().as_secs() < 2);
    }
}
