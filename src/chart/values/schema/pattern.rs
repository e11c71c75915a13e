//! Patterns as Go's regexp takes them, and what regexp/syntax says of those that it does not take.

use regex::Regex;

use crate::chart::funcs::regexp;

/// Repetitions beyond this are refused (regexp/syntax).
const MAX_REPEAT: u32 = 1000;
/// The names of POSIX classes.
const POSIX: [&str; 14] = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

/// A pattern as Go compiles it.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let wrong = |fault: String| format!("error parsing regexp: {fault}");
    if let Some(fault) = (Reader { chars: text.chars().collect(), at: 0 }).fault() {
        return Err(wrong(fault));
    }
    Regex::new(&regexp::translate(text)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => wrong(format!("expression too large: `{text}`")),
        _ => wrong(format!("invalid pattern: `{text}`")),
    })
}

/// Looks for the first fault from the left, as Go's parser does.
struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn text(&self, from: usize, to: usize) -> String {
        self.chars[from..to.min(self.chars.len())].iter().collect()
    }

    fn rest(&self, from: usize) -> String {
        self.text(from, self.chars.len())
    }

    fn fault(mut self) -> Option<String> {
        let mut depth = 0_usize;
        // Whether something stands before that can be repeated, and where the last repetition began.
        let (mut repeatable, mut repeated) = (false, None);
        while let Some(c) = self.chars.get(self.at).copied() {
            let from = self.at;
            let mut repetition = None;
            match c {
                '\\' => {
                    if let Some(fault) = self.escape(false) {
                        return Some(fault);
                    }
                    repeatable = true;
                }
                '[' => {
                    if let Some(fault) = self.class() {
                        return Some(fault);
                    }
                    repeatable = true;
                }
                '(' => {
                    depth += 1;
                    if let Some(fault) = self.group() {
                        return Some(fault);
                    }
                    repeatable = false;
                }
                ')' if depth == 0 => return Some(format!("unexpected ): `{}`", self.rest(0))),
                ')' => {
                    depth -= 1;
                    repeatable = true;
                }
                '|' => repeatable = false,
                '*' | '+' | '?' => repetition = Some(1),
                '{' => match self.count() {
                    Some((length, true)) => repetition = Some(length),
                    Some((length, false)) => return Some(format!("invalid repeat count: `{}`", self.text(from, from + length))),
                    None => repeatable = true,
                },
                _ => repeatable = true,
            }
            self.at = self.at.max(from + 1);
            let Some(length) = repetition else {
                repeated = None;
                continue;
            };
            if !repeatable {
                return Some(format!("missing argument to repetition operator: `{}`", self.text(from, from + length)));
            }
            self.at = from + length;
            self.at += usize::from(self.chars.get(self.at) == Some(&'?'));
            if let Some(before) = repeated {
                return Some(format!("invalid nested repetition operator: `{}`", self.text(before, self.at)));
            }
            repeated = Some(from);
        }
        (depth > 0).then(|| format!("missing closing ): `{}`", self.rest(0)))
    }

    /// Behind `\\`; `\\Q` quotes up to `\\E`.
    fn escape(&mut self, inside: bool) -> Option<String> {
        let from = self.at;
        let Some(c) = self.chars.get(from + 1).copied() else { return Some("trailing backslash at end of expression: ``".to_owned()) };
        self.at = from + 2;
        match c {
            'p' | 'P' => self.property(from),
            'Q' if !inside => {
                let end = (self.at..self.chars.len()).find(|at| self.chars[*at] == '\\' && self.chars.get(at + 1) == Some(&'E'));
                self.at = end.map_or(self.chars.len(), |end| end + 2);
                None
            }
            'x' => self.hexadecimal(from),
            '1'..='7' if !self.chars.get(self.at).is_some_and(|c| ('0'..='7').contains(c)) => Some(format!("invalid escape sequence: `\\{c}`")),
            'A' | 'b' | 'B' | 'C' | 'z' if !inside => None,
            c if c.is_ascii_alphanumeric() && !"01234567aftnrvdswDSW".contains(c) => Some(format!("invalid escape sequence: `\\{c}`")),
            _ => None,
        }
    }

    fn hexadecimal(&mut self, from: usize) -> Option<String> {
        let digits = if self.chars.get(self.at) == Some(&'{') {
            let end = (self.at..self.chars.len()).find(|at| self.chars[*at] == '}')?;
            let digits = self.text(self.at + 1, end);
            self.at = end + 1;
            digits
        } else {
            self.at += 2;
            self.text(self.at - 2, self.at)
        };
        let fits = !digits.is_empty() && u32::from_str_radix(&digits, 16).is_ok_and(|code| code <= 0x0010_ffff);
        (!fits).then(|| format!("invalid escape sequence: `{}`", self.text(from, self.at)))
    }

    /// `\\pL` or `\\p{Greek}`: what the regex crate knows, Go knows under the same name.
    fn property(&mut self, from: usize) -> Option<String> {
        let end = if self.chars.get(self.at) == Some(&'{') {
            (self.at..self.chars.len()).find(|at| self.chars[*at] == '}').map_or(self.chars.len(), |end| end + 1)
        } else {
            self.at + 1
        };
        self.at = end;
        let text = self.text(from, end);
        Regex::new(&text).is_err().then(|| format!("invalid character class range: `{text}`"))
    }

    fn class(&mut self) -> Option<String> {
        let from = self.at;
        self.at += 1;
        self.at += usize::from(self.chars.get(self.at) == Some(&'^'));
        let mut first = true;
        loop {
            let start = self.at;
            match self.chars.get(start).copied() {
                None => return Some(format!("missing closing ]: `{}`", self.rest(from))),
                Some(']') if !first => {
                    self.at += 1;
                    return None;
                }
                Some('[') if self.chars.get(start + 1) == Some(&':') => {
                    let rest = self.rest(start + 2);
                    if let Some((name, _)) = rest.split_once(":]") {
                        self.at = start + 4 + name.chars().count();
                        if !POSIX.contains(&name.trim_start_matches('^')) {
                            return Some(format!("invalid character class range: `{}`", self.text(start, self.at)));
                        }
                        first = false;
                        continue;
                    }
                    self.at += 1;
                }
                Some('\\') => {
                    let set = self.chars.get(start + 1).is_some_and(|c| "dswDSWpP".contains(*c));
                    if let Some(fault) = self.escape(true) {
                        return Some(fault);
                    }
                    if set {
                        first = false;
                        continue;
                    }
                }
                Some(_) => self.at += 1,
            }
            first = false;
            if let Some(fault) = self.range(start) {
                return Some(fault);
            }
        }
    }

    /// `a-z` in brackets: must not go backwards.
    fn range(&mut self, start: usize) -> Option<String> {
        let low = self.chars.get(self.at.checked_sub(1)?).copied()?;
        let high = self.chars.get(self.at + 1).copied()?;
        if self.chars.get(self.at) != Some(&'-') || high == ']' {
            return None;
        }
        self.at += 1;
        let escaped = high == '\\';
        if escaped {
            if let Some(fault) = self.escape(true) {
                return Some(fault);
            }
        } else {
            self.at += 1;
        }
        (!escaped && self.chars[start] != '\\' && high < low).then(|| format!("invalid character class range: `{}`", self.text(start, self.at)))
    }

    /// Behind `(`: flags, names, and what Perl has and Go has not.
    fn group(&mut self) -> Option<String> {
        let from = self.at;
        self.at += 1;
        if self.chars.get(self.at) != Some(&'?') {
            return None;
        }
        let rest = self.rest(from);
        let name = rest.strip_prefix("(?P<").or_else(|| rest.strip_prefix("(?<"));
        if let Some(after) = name {
            let Some((name, _)) = after.split_once('>') else { return Some(format!("invalid named capture: `{rest}`")) };
            self.at = from + (rest.chars().count() - after.chars().count()) + name.chars().count() + 1;
            let fits = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            return (!fits)
                .then(|| format!("invalid named capture: `{}`", if after.starts_with(['=', '!']) { rest.clone() } else { self.text(from, self.at) }));
        }
        let mut at = from + 2;
        loop {
            match self.chars.get(at) {
                Some('i' | 'm' | 's' | 'U' | '-') => at += 1,
                Some(':' | ')') if at > from + 2 || self.chars.get(at) == Some(&':') => {
                    // `(?i)` is over at once, `(?i:` is open.
                    self.at = if self.chars[at] == ':' { at + 1 } else { at };
                    return None;
                }
                _ => return Some(format!("invalid or unsupported Perl syntax: `{}`", self.text(from, at + 1))),
            }
        }
    }

    /// `{2}`, `{2,}` or `{2,3}`: its length and whether Go takes it; none if it is plain text.
    fn count(&self) -> Option<(usize, bool)> {
        let rest = self.rest(self.at + 1);
        let (body, _) = rest.split_once('}')?;
        let (low, high) = body.split_once(',').map_or((body, Some(body)), |(low, high)| (low, (!high.is_empty()).then_some(high)));
        let number = |text: &str| (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u32>().unwrap_or(u32::MAX));
        let low = number(low)?;
        let high = match high {
            None => low,
            Some(high) => number(high)?,
        };
        Some((body.chars().count() + 2, low <= MAX_REPEAT && high <= MAX_REPEAT && low <= high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_takes_is_taken() {
        for text in [
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "(?i)a(?:b|c)+?",
            "(?P<n>a)(?<m>b)",
            "^\\d+(\\.\\d+)?(m|Mi|Gi)?$",
            "[]a]|[^]]",
            "a{,2}|{",
            "^(?:[\\w-]+[:/]?){1,3}\\z",
            "[[:alpha:]\\pL-]",
            "\\x41\\x{42}",
            "",
            "^$|^\\S+$",
            "(|a)*",
        ] {
            assert!(pattern(text).is_ok(), "{text}: {:?}", pattern(text));
        }
    }
}
