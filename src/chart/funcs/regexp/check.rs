//! What Go's regexp/syntax refuses, in its words (regexp/syntax/parse.go). What passes here is valid there.

/// Go's limits on the counts of repetitions.
const MAX_REPEAT: u32 = 1000;

/// The names of classes in brackets.
const NAMES: [&str; 14] = ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

struct Checker<'a> {
    whole: &'a str,
    rest: &'a str,
    depth: usize,
    /// The product of the counts of the repetition that ended last, and of what is open.
    repeat: Vec<u64>,
    last_repeat: u64,
}

/// The reason, and the part of the pattern it is about.
fn fail<T>(reason: &str, at: &str) -> Result<T, String> {
    Err(format!("{reason}: `{at}`"))
}

/// `syntax.Parse`, for its errors.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    Checker { whole: pattern, rest: pattern, depth: 0, repeat: Vec::new(), last_repeat: 1 }.run()
}

impl<'a> Checker<'a> {
    fn run(&mut self) -> Result<(), String> {
        // Whether something stands before that can be repeated, and the text of a repetition just read.
        let (mut operand, mut repeated): (bool, Option<&'a str>) = (false, None);
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repetition = None;
            match c {
                '(' => {
                    operand = self.group()?;
                }
                ')' => {
                    if self.depth == 0 {
                        return fail("unexpected )", self.whole);
                    }
                    self.depth -= 1;
                    self.last_repeat = self.repeat.pop().unwrap_or(1).max(self.last_repeat);
                    self.rest = &self.rest[1..];
                    operand = true;
                }
                '|' => {
                    self.rest = &self.rest[1..];
                    operand = false;
                }
                '[' => {
                    self.class()?;
                    operand = true;
                    self.last_repeat = 1;
                }
                '*' | '+' | '?' => {
                    self.rest = &self.rest[1..];
                    repetition = Some(());
                }
                '{' => {
                    if let Some(count) = self.counts()? {
                        self.last_repeat = self.last_repeat.saturating_mul(u64::from(count.max(1)));
                        repetition = Some(());
                    } else {
                        self.rest = &self.rest[1..];
                        operand = true;
                        self.last_repeat = 1;
                    }
                }
                '\\' => {
                    if let Some(rest) = self.rest.strip_prefix("\\Q") {
                        self.rest = rest.split_once("\\E").map_or("", |(_, rest)| rest);
                    } else {
                        self.rest = escape(self.rest, false)?;
                    }
                    operand = true;
                    self.last_repeat = 1;
                }
                c => {
                    self.rest = &self.rest[c.len_utf8()..];
                    operand = true;
                    self.last_repeat = 1;
                }
            }
            if repetition.is_none() {
                repeated = None;
                continue;
            }
            if !operand {
                return fail("missing argument to repetition operator", &before[..before.len() - self.rest.len()]);
            }
            self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
            if let Some(first) = repeated {
                return fail("invalid nested repetition operator", &first[..first.len() - self.rest.len()]);
            }
            if self.last_repeat > u64::from(MAX_REPEAT) {
                return fail("invalid repeat count", &before[..before.len() - self.rest.len()]);
            }
            repeated = Some(before);
        }
        if self.depth > 0 {
            return fail("missing closing )", self.whole);
        }
        Ok(())
    }

    /// A `(`; true if what it stands for can be repeated, as flags alone can not.
    fn group(&mut self) -> Result<bool, String> {
        let open = self.rest;
        let Some(inner) = open.strip_prefix("(?") else {
            self.rest = &open[1..];
            self.enter();
            return Ok(false);
        };
        let named = open.strip_prefix("(?P<").or_else(|| open.strip_prefix("(?<"));
        if let Some(named) = named {
            let Some((name, rest)) = named.split_once('>') else { return fail("invalid named capture", open) };
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                // The name is checked behind the bracket that ends it.
                return fail("invalid named capture", &open[..open.len() - rest.len()]);
            }
            self.rest = rest;
            self.enter();
            return Ok(false);
        }
        let (mut minus, mut flag) = (false, false);
        for (at, c) in inner.char_indices() {
            let end = 2 + at + c.len_utf8();
            let wrong = || fail("invalid or unsupported Perl syntax", &open[..end]);
            match c {
                'i' | 'm' | 's' | 'U' => flag = true,
                '-' if !minus => (minus, flag) = (true, false),
                ':' | ')' if minus && !flag => return wrong(),
                ':' => {
                    self.rest = &open[end..];
                    self.enter();
                    return Ok(false);
                }
                ')' => {
                    self.rest = &open[end..];
                    return Ok(false);
                }
                _ => return wrong(),
            }
        }
        fail("missing closing )", self.whole).or_else(|_: String| fail("invalid or unsupported Perl syntax", open))
    }

    fn enter(&mut self) {
        self.depth += 1;
        self.repeat.push(1);
        self.last_repeat = 1;
    }

    /// `{n}`, `{n,}` and `{n,m}`; anything else is text.
    fn counts(&mut self) -> Result<Option<u32>, String> {
        let Some((body, rest)) = self.rest[1..].split_once('}') else { return Ok(None) };
        let number = |text: &str| {
            let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
            good.then(|| text.parse::<u32>().ok().filter(|n| *n < 100_000_000).unwrap_or(u32::MAX))
        };
        let (least, most) = match body.split_once(',') {
            None => (number(body), number(body)),
            Some((least, "")) => (number(least), number(least)),
            Some((least, most)) => (number(least), number(most)),
        };
        let (Some(least), Some(most)) = (least, most) else { return Ok(None) };
        if least > MAX_REPEAT || most > MAX_REPEAT || least > most {
            return fail("invalid repeat count", &self.rest[..body.len() + 2]);
        }
        self.rest = rest;
        Ok(Some(most))
    }

    /// `[…]`.
    fn class(&mut self) -> Result<(), String> {
        let open = self.rest;
        let mut rest = &open[1..];
        rest = rest.strip_prefix('^').unwrap_or(rest);
        let mut first = true;
        loop {
            let Some(c) = rest.chars().next() else { return fail("missing closing ]", open) };
            if c == ']' && !first {
                self.rest = &rest[1..];
                return Ok(());
            }
            first = false;
            if let Some(named) = rest.strip_prefix("[:")
                && let Some(end) = named.find(":]")
            {
                let name = &rest[..end + 4];
                if !NAMES.contains(&named[..end].strip_prefix('^').unwrap_or(&named[..end])) {
                    return fail("invalid character class range", name);
                }
                rest = &rest[name.len()..];
                continue;
            }
            if rest.starts_with("\\p") || rest.starts_with("\\P") || matches!(rest.as_bytes(), [b'\\', b'd' | b'D' | b's' | b'S' | b'w' | b'W', ..]) {
                rest = escape(rest, false)?;
                continue;
            }
            let start = rest;
            let (low, after) = single(rest, open)?;
            rest = after;
            if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
                let (high, after) = single(&rest[1..], open)?;
                rest = after;
                if high < low {
                    return fail("invalid character class range", &start[..start.len() - rest.len()]);
                }
            }
        }
    }
}

/// One character in brackets.
fn single<'a>(rest: &'a str, open: &str) -> Result<(u32, &'a str), String> {
    let Some(c) = rest.chars().next() else { return fail("missing closing ]", open) };
    if c != '\\' {
        return Ok((u32::from(c), &rest[c.len_utf8()..]));
    }
    let after = escape(rest, true)?;
    let text = &rest[1..rest.len() - after.len()];
    let value = match text.chars().next() {
        Some('x') => u32::from_str_radix(text[1..].trim_matches(['{', '}']), 16).unwrap_or(0),
        Some('a') => 7,
        Some('f') => 12,
        Some('n') => 10,
        Some('r') => 13,
        Some('t') => 9,
        Some('v') => 11,
        Some('0'..='7') => u32::from_str_radix(text, 8).unwrap_or(0),
        Some(c) => u32::from(c),
        None => 0,
    };
    Ok((value, after))
}

/// What follows an escape; `character` is one that stands for a single character.
fn escape(rest: &str, character: bool) -> Result<&str, String> {
    let mut chars = rest.char_indices().skip(1);
    let Some((_, c)) = chars.next() else { return fail("trailing backslash at end of expression", "") };
    let end = 1 + c.len_utf8();
    let bad = |end: usize| fail("invalid escape sequence", &rest[..end.min(rest.len())]);
    match c {
        'A' | 'b' | 'B' | 'z' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' if !character => Ok(&rest[end..]),
        'p' | 'P' if !character => property(rest),
        '1'..='7' if !rest[end..].starts_with(|c: char| ('0'..='7').contains(&c)) => bad(end),
        '0'..='7' => {
            let digits = rest[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            Ok(&rest[1 + digits..])
        }
        'x' => {
            if let Some(body) = rest[end..].strip_prefix('{') {
                let digits = body.bytes().take_while(u8::is_ascii_hexdigit).count();
                let large = (1..=digits).find(|n| u32::from_str_radix(&body[..*n], 16).map_or(true, |value| value > 0x0010_ffff));
                return match large {
                    Some(n) => bad(3 + n),
                    None if digits > 0 && body[digits..].starts_with('}') => Ok(&body[digits + 1..]),
                    None => bad(3 + digits + body[digits..].chars().next().map_or(0, char::len_utf8)),
                };
            }
            let digits = rest[end..].bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
            if digits == 2 { Ok(&rest[4..]) } else { bad(end + digits + rest[end + digits..].chars().next().map_or(0, char::len_utf8)) }
        }
        'a' | 'f' | 'n' | 'r' | 't' | 'v' => Ok(&rest[end..]),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(&rest[end..]),
        _ => bad(end),
    }
}

/// `\pN` and `\p{Name}`.
fn property(rest: &str) -> Result<&str, String> {
    let tail = &rest[2..];
    let length = match tail.chars().next() {
        Some('{') => match tail.find('}') {
            Some(end) => end + 1,
            None => return fail("invalid character class range", rest),
        },
        Some(c) => c.len_utf8(),
        None => return fail("invalid escape sequence", rest).or_else(|_: String| fail("invalid character class range", rest)),
    };
    let (name, after) = tail.split_at(length);
    let body = name.trim_start_matches('{').trim_end_matches('}');
    let body = body.strip_prefix('^').unwrap_or(body);
    if body == "Any" || regex_syntax_knows(body) {
        return Ok(after);
    }
    fail("invalid character class range", &rest[..2 + length])
}

/// Whether there is a category or script of this very name; Go takes no other spelling.
fn regex_syntax_knows(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && regex::Regex::new(&format!("\\p{{{name}}}")).is_ok()
}
