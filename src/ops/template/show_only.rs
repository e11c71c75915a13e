//! `--show-only`: the documents of some templates (cmd/helm, template.go).

use super::TemplateError;
use crate::{chart::engine::Dialect, objects};

/// The documents whose templates match, pattern by pattern. A pattern that matches nothing is an error.
pub(super) fn show(patterns: &[String], text: &str, dialect: Dialect) -> Result<String, TemplateError> {
    let documents = match dialect {
        Dialect::Helm3 => objects::split(text),
        Dialect::Helm4 => objects::split_helm4(text),
    };
    let mut shown = String::new();
    for pattern in patterns {
        let before = shown.len();
        for document in documents.iter().filter(|document| source(document).is_some_and(|path| matches(pattern, path))) {
            shown.push_str("---\n");
            shown.push_str(document);
            shown.push('\n');
        }
        if shown.len() == before {
            return Err(TemplateError::NoTemplate(pattern.clone()));
        }
    }
    Ok(shown)
}

/// `# Source: [^/]+/(.+)`: the template's path in its chart.
fn source(document: &str) -> Option<&str> {
    document.match_indices("# Source: ").find_map(|(at, mark)| {
        // The name of the chart may, as far as the expression goes, run over the end of a line; names do not.
        let line = document[at + mark.len()..].lines().next()?;
        line.split_once('/').filter(|(chart, path)| !chart.is_empty() && !path.is_empty()).map(|(_, path)| path)
    })
}

/// Go's `filepath.Match` on a system with `/`. A malformed pattern matches nothing.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    glob(&pattern, &path).unwrap_or(false)
}

/// None for a malformed pattern.
fn glob(pattern: &[char], text: &[char]) -> Option<bool> {
    let (mut p, mut t) = (0, 0);
    // The last `*` and where it took over: it is enough to go back to that one, as `*` does not cross a `/`.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            None if t == text.len() => return Some(true),
            None => None,
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(_) => one(&pattern[p..], text.get(t).copied())?,
        };
        if let Some(used) = step {
            (p, t) = (p + used, t + 1);
            continue;
        }
        match star {
            Some((after, from)) if text.get(from).is_some_and(|c| *c != '/') => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            _ => return well_formed(&pattern[p..]).then_some(false),
        }
    }
}

/// How much of the pattern one character uses up, if it fits; `None` outside for a malformed pattern.
#[expect(clippy::option_option, reason = "the outer one is Go's ErrBadPattern")]
fn one(pattern: &[char], c: Option<char>) -> Option<Option<usize>> {
    match pattern {
        ['?', ..] => Some(c.filter(|c| *c != '/').map(|_| 1)),
        ['\\', escaped, ..] => Some((c == Some(*escaped)).then_some(2)),
        ['\\'] => None,
        ['[', ..] => {
            let (fits, used) = class(pattern, c)?;
            Some(fits.then_some(used))
        }
        [plain, ..] => Some((c == Some(*plain)).then_some(1)),
        [] => Some(None),
    }
}

/// `[a-z]`, `[^a-z]`: whether it fits and how long it is.
fn class(pattern: &[char], c: Option<char>) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let (mut found, mut ranges) = (false, 0);
    loop {
        if pattern.get(at) == Some(&']') && ranges > 0 {
            break;
        }
        let low = bound(pattern, &mut at)?;
        let high = if pattern.get(at) == Some(&'-') {
            at += 1;
            bound(pattern, &mut at)?
        } else {
            low
        };
        found |= c.is_some_and(|c| low <= c && c <= high);
        ranges += 1;
    }
    Some((c.is_some() && found != negated, at + 1))
}

fn bound(pattern: &[char], at: &mut usize) -> Option<char> {
    if matches!(pattern.get(*at), None | Some('-' | ']')) {
        return None;
    }
    if pattern[*at] == '\\' {
        *at += 1;
    }
    let c = *pattern.get(*at)?;
    *at += 1;
    // A class that is not closed is malformed, even where the rest does not matter.
    (*at < pattern.len()).then_some(c)
}

fn well_formed(pattern: &[char]) -> bool {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '\\' if at + 1 == pattern.len() => return false,
            '\\' => at += 2,
            '[' => match class(&pattern[at..], None) {
                Some((_, used)) => at += used,
                None => return false,
            },
            _ => at += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of Go's `path/filepath/match_test.go`, without what only a backslash tells apart from other systems.
    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, path, want) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "x", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[-x]", "x", false),
            ("[", "a", false),
            ("[^bc", "a", false),
            ("a[", "a", false),
            ("a[", "ab", false),
            ("*x", "xxx", true),
            ("templates/*", "templates/a.yaml", true),
        ] {
            assert_eq!(matches(pattern, path), want, "{pattern} {path}");
        }
    }

    #[test]
    fn sources_are_found() {
        assert_eq!(source("# Source: c/templates/a.yaml\nx: 1"), Some("templates/a.yaml"));
        assert_eq!(source("x: 1\n# Source: c/charts/s/a"), Some("charts/s/a"));
        assert_eq!(source("# Source: c\nx: 1"), None);
    }
}
