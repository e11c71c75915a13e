//! Upper and lower case as Go, goutils and huandu/xstrings v1.5 have them: one character for one.

fn one(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(found), None) => found,
        // Go has no upper case for what would become several letters.
        _ => c,
    }
}

fn up(c: char) -> char {
    one(c, c.to_uppercase())
}

fn low(c: char) -> char {
    if c == '\u{130}' { 'i' } else { one(c, c.to_lowercase()) }
}

/// `unicode.ToTitle`: only the digraphs differ from upper case.
fn titled(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        c => up(c),
    }
}

fn is_title(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

pub(super) fn upper(text: &str) -> String {
    text.chars().map(up).collect()
}

pub(super) fn lower(text: &str) -> String {
    text.chars().map(low).collect()
}

/// Go's `strings.Title`: the first letter of each word, where words are separated by what is neither letter, digit nor `_`, and
/// beyond ASCII only by spaces.
pub(super) fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let out = if start { titled(c) } else { c };
            start = if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { !c.is_alphanumeric() && c.is_whitespace() };
            out
        })
        .collect()
}

/// goutils' `Uncapitalize`.
pub(super) fn untitle(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let space = c.is_whitespace();
            let out = if start && !space { low(c) } else { c };
            start = space;
            out
        })
        .collect()
}

/// goutils' `SwapCase`.
pub(super) fn swap(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            if c.is_uppercase() || is_title(c) {
                start = false;
                low(c)
            } else if c.is_lowercase() {
                if std::mem::take(&mut start) { titled(c) } else { up(c) }
            } else {
                start = c.is_whitespace();
                c
            }
        })
        .collect()
}

fn connects(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// xstrings' `ToPascalCase`.
pub(super) fn pascal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    let (mut last, mut first_upper) = (None, false);
    for c in rest.by_ref() {
        if connects(c) {
            out.push(c);
            last = Some(c);
            continue;
        }
        first_upper = c.is_uppercase();
        last = Some(up(c));
        break;
    }
    let Some(mut current) = last else { return out };
    if rest.as_str().is_empty() {
        // One that only connects is written twice, as there.
        out.push(current);
        return out;
    }
    for c in rest {
        let previous = std::mem::replace(&mut current, c);
        if connects(c) && connects(previous) {
            out.push(previous);
        } else if connects(previous) {
            first_upper = c.is_uppercase();
            current = up(c);
        } else {
            if first_upper {
                if c.is_uppercase() {
                    current = low(c);
                } else {
                    first_upper = false;
                }
            }
            out.push(previous);
        }
    }
    out.push(current);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Invalid,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

/// `unicode.IsPunct` for what is likely in names.
fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
}

fn is_alphabet(c: char) -> bool {
    c.is_alphabetic() && !is_ideograph(c)
}

/// What xstrings takes for no alphabet.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2ff0}'..='\u{2ffb}' | '\u{3000}'..='\u{303f}' | '\u{3040}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{31c0}'..='\u{31ef}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

/// `nextWord`: what kind of word the text starts with, the word, and what follows.
fn next_word(text: &str) -> (Word, &str, &str) {
    let Some(first) = text.chars().next() else { return (Word::Invalid, "", "") };
    let (word, length) = if connects(first) {
        (Word::Connector, run(text, connects))
    } else if is_punctuation(first) {
        (Word::Punctuation, run(text, is_punctuation))
    } else if first.is_uppercase() {
        let tail = &text[first.len_utf8()..];
        let length = match tail.chars().next() {
            Some(second) if second.is_uppercase() => {
                let length = run(text, char::is_uppercase);
                // "HTTPStatus" is "HTTP" and "Status".
                match text[length..].chars().next() {
                    Some(c) if is_alphabet(c) => length - text[..length].chars().next_back().map_or(0, char::len_utf8),
                    _ => length,
                }
            }
            Some(second) if is_alphabet(second) => first.len_utf8() + run(tail, |c| is_alphabet(c) && !c.is_uppercase()),
            _ => first.len_utf8(),
        };
        (Word::Upper, length)
    } else if is_alphabet(first) {
        (Word::Alphabet, run(text, |c| is_alphabet(c) && !c.is_uppercase()))
    } else if first.is_numeric() {
        (Word::Number, run(text, char::is_numeric))
    } else {
        (Word::Other, run(text, |c| !(connects(c) || is_alphabet(c) || c.is_numeric() || is_punctuation(c))))
    };
    (word, &text[..length], &text[length..])
}

fn write(out: &mut String, word: Word, text: &str, mark: char) {
    match word {
        Word::Upper | Word::Connector => out.extend(text.chars().map(|c| if connects(c) { mark } else { low(c) })),
        _ => out.push_str(text),
    }
}

/// xstrings' `camelCaseToLowerCase`.
pub(super) fn separated(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Word::Connector {
            write(&mut out, kind, word, mark);
        }
        let (before, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match before {
            Word::Number => {
                (kind, word, rest) = letters(&mut out, (kind, word, rest), mark);
                if !matches!(kind, Word::Invalid | Word::Punctuation | Word::Connector) {
                    out.push(mark);
                }
            }
            Word::Connector => write(&mut out, before, last, mark),
            Word::Punctuation => {}
            _ if kind != Word::Number => {
                if !matches!(kind, Word::Connector | Word::Punctuation) {
                    out.push(mark);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                // A number belongs to the word before it: "bld4_floor".
                if kind != Word::Alphabet {
                    write(&mut out, Word::Number, number, mark);
                    if !matches!(kind, Word::Connector | Word::Punctuation) {
                        out.push(mark);
                    }
                    continue;
                }
                // Unless lower case follows: "http_2xx".
                out.push(mark);
                write(&mut out, Word::Number, number, mark);
                (kind, word, rest) = letters(&mut out, (kind, word, rest), mark);
                if !matches!(kind, Word::Invalid | Word::Connector | Word::Punctuation) {
                    out.push(mark);
                }
            }
        }
    }
    write(&mut out, kind, word, mark);
    out
}

/// Writes lower case words and numbers, and gives what follows them.
fn letters<'t>(out: &mut String, mut next: (Word, &'t str, &'t str), mark: char) -> (Word, &'t str, &'t str) {
    while matches!(next.0, Word::Alphabet | Word::Number) {
        write(out, next.0, next.1, mark);
        next = next_word(next.2);
    }
    next
}
