//! gobwas/glob with `/` as separator, as `.Files.Glob` uses it.

use regex::Regex;

use crate::chart::meter;

/// Steps that the shortest pattern takes.
const COMPILE: u64 = 200;
/// The most that a compiled pattern may take, in bytes.
const MAX_PROGRAM: usize = 2 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Glob(Option<Regex>);

impl Glob {
    /// An invalid pattern matches everything, as in Helm.
    pub(crate) fn new(pattern: &str) -> Self {
        let fits = meter::steps(COMPILE + pattern.len() as u64 * 16).is_ok();
        Glob(translate(pattern).filter(|_| fits).and_then(|text| regex::RegexBuilder::new(&text).size_limit(MAX_PROGRAM).build().ok()))
    }

    /// Whether a path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|r| r.is_match(path))
    }
}

fn translate(pattern: &str) -> Option<String> {
    let mut out = String::from("^(?s:");
    let mut chars = pattern.chars().peekable();
    let mut depth = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'!').is_some() {
                    out.push('^');
                }
                loop {
                    match chars.next()? {
                        ']' => break,
                        c @ ('\\' | '[' | '&' | '~') => out.extend(['\\', c]),
                        c => out.push(c),
                    }
                }
                out.push(']');
            }
            '\\' => out.push_str(&regex::escape(&chars.next()?.to_string())),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out.push_str(")$");
    (depth == 0).then_some(out)
}
