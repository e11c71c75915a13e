//! From RE2's syntax, as Go reads it, to that of the regex crate.

use std::fmt::Write as _;

/// `\w` and its relatives are ASCII in Go; `[`, `&`, `~` and a `-` behind a class are plain characters in Go's brackets.
pub(super) fn translate(pattern: &str) -> String {
    read(pattern).0
}

/// The names of the groups, from the first; those without have an empty one.
pub(super) fn groups(pattern: &str) -> Vec<String> {
    read(pattern).1
}

/// The name in what follows the parenthesis of a group, up to its `>`.
fn name(rest: &str) -> Option<&str> {
    rest.strip_prefix("?P<").or_else(|| rest.strip_prefix("?<"))
}

fn read(pattern: &str) -> (String, Vec<String>) {
    let mut groups = Vec::new();
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
                    // `\p{^Greek}` is `\P{Greek}`.
                    None if matches!(name, 'p' | 'P') && chars.clone().take(2).eq("{^".chars()) => {
                        chars.by_ref().take(2).for_each(drop);
                        out.extend(['\\', if name == 'p' { 'P' } else { 'p' }, '{']);
                    }
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
            '(' if !inside => {
                out.push('(');
                // Groups are known by number: in Go, two may have one name, and names may start with a digit.
                let rest: String = chars.clone().take_while(|c| *c != '>').collect();
                if let Some(name) = name(&rest) {
                    groups.push(name.to_owned());
                    chars.by_ref().take(rest.chars().count() + 1).for_each(drop);
                } else if chars.peek() != Some(&'?') {
                    groups.push(String::new());
                }
            }
            '{' if !inside && !repeats(&chars.clone().collect::<String>()) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    (out, groups)
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
