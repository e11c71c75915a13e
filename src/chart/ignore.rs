//! .helmignore: Helm's pkg/ignore, its quirks included.

use super::ChartError;

/// The rules of a .helmignore and the one Helm always adds.
#[derive(Debug, Clone)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    negate: bool,
    only_directories: bool,
    /// Whether the whole path is matched; else its last part.
    whole: bool,
}

impl Rules {
    /// Reads a .helmignore.
    pub(super) fn parse(text: &str) -> Result<Self, ChartError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for line in text.lines().chain(["templates/.?*"]) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") {
                return Err(ChartError::Ignore("double-star (**) syntax is not supported".to_owned()));
            }
            let (negate, line) = line.strip_prefix('!').map_or((false, line), |line| (true, line));
            let (only_directories, line) = line.strip_suffix('/').map_or((false, line), |line| (true, line));
            let whole = line.contains('/');
            let pattern = line.strip_prefix('/').unwrap_or(line);
            let Some(pattern) = Pattern::new(pattern) else {
                return Err(ChartError::Ignore(format!("syntax error in pattern `{pattern}`")));
            };
            rules.push(Rule { pattern, negate, only_directories, whole });
        }
        Ok(Self(rules))
    }

    /// Whether a file is left out, itself or with a folder above it.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.into_iter().any(|folder| self.ignores_entry(folder, true)) || self.ignores_entry(path, false)
    }

    /// The first rule that matches decides; a negated one that does not match ignores.
    fn ignores_entry(&self, path: &str, directory: bool) -> bool {
        for rule in &self.0 {
            let wrong_kind = rule.only_directories && !directory;
            let hit = !wrong_kind && rule.matches(path);
            if rule.negate != hit {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let subject = if self.whole { path } else { path.rsplit('/').next().unwrap_or(path) };
        self.pattern.matches(subject)
    }
}

/// A pattern of Go's `filepath.Match`. Charts have dozens, and each meets every file and folder: most are decided without walking
/// through them.
#[derive(Debug, Clone)]
enum Pattern {
    /// Nothing in it stands for anything else.
    Literal(String),
    /// `*` and a literal.
    Ending(String),
    /// What it begins with, and all of it.
    Glob(String, Vec<char>),
}

const SPECIAL: [char; 4] = ['*', '?', '[', '\\'];

impl Pattern {
    /// None if it is malformed.
    fn new(text: &str) -> Option<Self> {
        let all: Vec<char> = text.chars().collect();
        valid(&all)?;
        Some(match text.find(SPECIAL) {
            None => Self::Literal(text.to_owned()),
            Some(0) if text.starts_with('*') && !text[1..].contains(SPECIAL) => Self::Ending(text[1..].to_owned()),
            Some(at) => Self::Glob(text[..at].to_owned(), all),
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => name == text,
            Self::Ending(text) => name.strip_suffix(text.as_str()).is_some_and(|head| !head.contains('/')),
            Self::Glob(head, all) => name.starts_with(head.as_str()) && matches_from(all, &name.chars().collect::<Vec<char>>()),
        }
    }
}

fn valid(pattern: &[char]) -> Option<()> {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' => {
                pattern.get(at + 1)?;
                at += 2;
            }
            '[' => at = class(pattern, at, '\0')?.1,
            _ => at += 1,
        }
    }
    Some(())
}

/// Whether a class at `at` holds a character, and where the class ends.
fn class(pattern: &[char], at: usize, c: char) -> Option<(bool, usize)> {
    let mut at = at + 1;
    let negate = pattern.get(at) == Some(&'^');
    at += usize::from(negate);
    let (mut hit, mut ranges) = (false, 0);
    while pattern.get(at) != Some(&']') || ranges == 0 {
        let low = class_character(pattern, &mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            class_character(pattern, &mut at)?
        } else {
            low
        };
        hit |= (low..=high).contains(&c);
        ranges += 1;
    }
    Some((hit != negate, at + 1))
}

fn class_character(pattern: &[char], at: &mut usize) -> Option<char> {
    let mut c = *pattern.get(*at)?;
    if c == '-' || c == ']' {
        return None;
    }
    if c == '\\' {
        *at += 1;
        c = *pattern.get(*at)?;
    }
    *at += 1;
    Some(c)
}

/// Greedy with one point to return to, so that time stays bounded by the product of the lengths.
fn matches_from(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        if p == pattern.len() && n == name.len() {
            return true;
        }
        let step = match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
                continue;
            }
            Some('?') => name.get(n).filter(|c| **c != '/').map(|_| p + 1),
            Some('[') => name.get(n).and_then(|c| class(pattern, p, *c)).filter(|(hit, _)| *hit).map(|(_, end)| end),
            Some('\\') => name.get(n).filter(|c| pattern.get(p + 1) == Some(c)).map(|_| p + 2),
            Some(c) => name.get(n).filter(|found| *found == c).map(|_| p + 1),
            None => None,
        };
        if let Some(next) = step {
            (p, n) = (next, n + 1);
        } else if let Some((star, from)) = back {
            if name.get(from).is_none_or(|c| *c == '/') {
                return false;
            }
            back = Some((star, from + 1));
            (p, n) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_match_wins_and_negation_inverts() {
        let rules = Rules::parse("# c\n*.txt\n/top\nsub/\na/*.md\n").unwrap();
        for (path, ignored) in [
            ("x.txt", true),
            ("d/x.txt", true),
            ("top", true),
            ("d/top", false),
            ("sub/f", true),
            ("a/b.md", true),
            ("a/b/c.md", false),
            ("sub", false),
            ("templates/.x", true),
        ] {
            assert_eq!(rules.ignores(path), ignored, "{path}");
        }
        assert!(Rules::parse("!x").unwrap().ignores("Chart.yaml"));
        assert!(Rules::parse("a/**").is_err());
    }

    #[test]
    fn globs_as_filepath_match() {
        for (pattern, name, want) in [
            ("a*c", "abc", Some(true)),
            ("a*c", "ab/c", Some(false)),
            ("[a-c]?", "bz", Some(true)),
            ("[^a]", "a", Some(false)),
            ("[", "a", None),
            ("\\*", "*", Some(true)),
            ("*a*b*", "xxaxxb", Some(true)),
            ("*.md", "a.md", Some(true)),
            ("*.md", ".md", Some(true)),
            ("*.md", "a/b.md", Some(false)),
            ("*", "", Some(true)),
            ("*", "a/b", Some(false)),
            ("abc", "abcd", Some(false)),
            ("a.?*", "a.", Some(false)),
        ] {
            assert_eq!(Pattern::new(pattern).map(|pattern| pattern.matches(name)), want, "{pattern} {name}");
        }
    }
}
