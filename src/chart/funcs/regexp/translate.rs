//! From RE2's syntax, as Go reads it, to that of the regex crate.

use std::fmt::Write as _;

/// `\w` and its relatives are ASCII in Go; `[`, `&`, `~` and a `-` behind a class are plain characters in Go's brackets.
pub(in crate::chart) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Where in brackets we are: nothing, or the last thing was a class.
    let (mut inside, mut after_class) = (false, false);
    while let Some(c) = chars.next() {
        let was_class = std::mem::take(&mut after_class);
        match c {
            '\\' => match chars.next() {
                Some('Q') if !inside => {
                    let tail: String = chars.clone().collect();
                    let plain = tail.split_once("\\E").map_or(tail.as_str(), |(plain, _)| plain);
                    out.push_str(&regex::escape(plain));
                    let taken = plain.chars().count() + if plain.len() < tail.len() { 2 } else { 0 };
                    chars.by_ref().take(taken).for_each(drop);
                }
                Some(name @ '0'..='7') => {
                    let mut value = name.to_digit(8).unwrap_or(0);
                    for _ in 0..2 {
                        let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                        value = value * 8 + digit;
                        chars.next();
                    }
                    let _ = write!(out, "\\x{{{value:x}}}");
                }
                Some(name) => match class(name) {
                    Some(set) => {
                        after_class = true;
                        out.push_str(set);
                    }
                    None if matches!(name, '<' | '>') => out.push(name),
                    None if name == 'b' && !inside => out.push_str("(?-u:\\b)"),
                    None => out.extend(['\\', name]),
                },
                None => out.push('\\'),
            },
            '[' if !inside => {
                inside = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
                after_class = true;
            }
            '-' if inside && was_class => out.push_str("\\-"),
            '[' | '&' | '~' if inside => out.extend(['\\', c]),
            ']' if inside => {
                inside = false;
                out.push(']');
            }
            '(' if !inside && chars.clone().take(2).eq("?P".chars()) || c == '(' && !inside && chars.clone().take(2).eq("?<".chars()) => {
                // Names may start with a digit in Go only.
                out.push('(');
                while let Some(c) = chars.next_if(|c| matches!(c, '?' | 'P')) {
                    out.push(c);
                }
                if chars.next_if_eq(&'<').is_some() {
                    out.push('<');
                    if chars.peek().is_some_and(char::is_ascii_digit) {
                        out.push_str("__");
                    }
                }
            }
            '{' if !inside && !repeats(&chars.clone().collect::<String>()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    out
}

/// Go's ASCII classes, as brackets that may stand in brackets.
fn class(name: char) -> Option<&'static str> {
    Some(match name {
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\x0c\\r\\x20]",
        'S' => "[^\\t\\n\\x0c\\r\\x20]",
        _ => return None,
    })
}

/// Whether what follows a `{` makes it a repetition, or the name of `\p{…}`.
fn repeats(rest: &str) -> bool {
    let Some((body, _)) = rest.split_once('}') else { return false };
    !body.is_empty() && !body.starts_with(',') && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b',' | b'^' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let rows = [
            (r"^[\w-\.]+$", "my-master.1", true),
            (r"^[\w-\.]+$", "my master", false),
            (r"^\d+$", "٣", false),
            (r"^[[&~]+$", "[&~", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^\s/]+$", "a b", false),
            (r"^[[:alpha:]-]+$", "a-b", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^{{ \.x }}$", "{{ .x }}", true),
            (r"^a{2,3}\p{Lu}$", "aaaB", true),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a-b.c", true),
        ];
        for (pattern, text, wanted) in rows {
            let found = regex::Regex::new(&translate(pattern)).map(|r| r.is_match(text));
            assert_eq!(found, Ok(wanted), "{pattern} {text}");
        }
    }
}
