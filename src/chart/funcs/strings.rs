//! Strings and regular expressions.

use std::fmt::Write as _;

use super::Kind::{Any, Int, Str};
use super::{Call, Function, fixed, text_of, texts_of, variadic};
use crate::chart::gotmpl::quote;
use crate::chart::value::{Go, print, println, sprint, sprintf};

pub(super) const ALL: &[Function] = &[
    fixed("upper", &[Str], |c| Ok(c.str(0).to_uppercase().into())),
    fixed("lower", &[Str], |c| Ok(c.str(0).to_lowercase().into())),
    fixed("title", &[Str], |c| Ok(title(&c.str(0)).into())),
    fixed("untitle", &[Str], |c| Ok(untitle(&c.str(0)).into())),
    fixed("trim", &[Str], |c| Ok(c.str(0).trim().into())),
    fixed("trimAll", &[Str, Str], |c| Ok(c.str(1).trim_matches(|x| c.str(0).contains(x)).into())),
    fixed("trimall", &[Str, Str], |c| Ok(c.str(1).trim_matches(|x| c.str(0).contains(x)).into())),
    fixed("trimSuffix", &[Str, Str], |c| Ok(c.str(1).strip_suffix(&*c.str(0)).unwrap_or(&c.str(1)).into())),
    fixed("trimPrefix", &[Str, Str], |c| Ok(c.str(1).strip_prefix(&*c.str(0)).unwrap_or(&c.str(1)).into())),
    fixed("hasPrefix", &[Str, Str], |c| Ok(c.str(1).starts_with(&*c.str(0)).into())),
    fixed("hasSuffix", &[Str, Str], |c| Ok(c.str(1).ends_with(&*c.str(0)).into())),
    fixed("contains", &[Str, Str], |c| Ok(c.str(1).contains(&*c.str(0)).into())),
    fixed("replace", &[Str, Str, Str], replace),
    fixed("repeat", &[Int, Str], repeat),
    fixed("nospace", &[Str], |c| Ok(c.str(0).replace(char::is_whitespace, "").into())),
    fixed("trunc", &[Int, Str], |c| Ok(trunc(c))),
    fixed("substr", &[Int, Int, Str], substr),
    fixed("initials", &[Str], |c| Ok(c.str(0).split_whitespace().filter_map(|w| w.chars().next()).collect::<String>().into())),
    fixed("indent", &[Int, Str], |c| indent(c, "")),
    fixed("nindent", &[Int, Str], |c| indent(c, "\n")),
    variadic("quote", &[Any], |c| Ok(quoted(c, quote))),
    variadic("squote", &[Any], |c| Ok(quoted(c, |s| format!("'{s}'")))),
    variadic("cat", &[Any], |c| {
        let parts: Vec<String> = c.args.iter().filter(|a| !matches!(a, Go::Nil)).map(|a| sprint(std::slice::from_ref(a))).collect();
        Ok(parts.join(" ").into())
    }),
    fixed("snakecase", &[Str], |c| Ok(separated(&c.str(0), '_').into())),
    fixed("kebabcase", &[Str], |c| Ok(separated(&c.str(0), '-').into())),
    fixed("camelcase", &[Str], |c| Ok(c.str(0).split(['_', '-', ' ']).map(title).collect::<String>().into())),
    fixed("plural", &[Str, Str, Int], |c| Ok(Go::Str(if c.int(2) == 1 { c.str(0) } else { c.str(1) }))),
    fixed("splitList", &[Str, Str], |c| Ok(Go::strings(split(&c.str(0), &c.str(1))))),
    fixed("split", &[Str, Str], |c| {
        let parts = split(&c.str(0), &c.str(1));
        Ok(Go::map(parts.into_iter().enumerate().map(|(i, p)| (format!("_{i}").into(), p.into())).collect()))
    }),
    fixed("splitn", &[Str, Int, Str], |c| {
        let (separator, text) = (c.str(0), c.str(2));
        let parts = text.splitn(usize::try_from(c.int(1)).unwrap_or(usize::MAX), &*separator);
        Ok(Go::map(parts.enumerate().map(|(i, p)| (format!("_{i}").into(), p.into())).collect()))
    }),
    fixed("join", &[Str, Any], |c| Ok(texts_of(&c.any(1)).join(&c.str(0)).into())),
    fixed("sortAlpha", &[Any], |c| {
        let mut items = texts_of(&c.any(0));
        items.sort();
        Ok(Go::strings(items))
    }),
    fixed("toString", &[Any], |c| {
        Ok(match c.any(0) {
            Go::Nil => "<nil>".into(),
            other => text_of(&other).into(),
        })
    }),
    fixed("toStrings", &[Any], |c| Ok(Go::strings(texts_of(&c.any(0))))),
    variadic("print", &[Any], |c| Ok(sprint(&c.args).into())),
    variadic("println", &[Any], |c| Ok(println(&c.args).into())),
    variadic("printf", &[Str, Any], |c| Ok(sprintf(&c.str(0), &c.args[1..]).into())),
    variadic("html", &[Any], |c| Ok(html(&operands(c)).into())),
    variadic("urlquery", &[Any], |c| Ok(super::encoding::query_escape(&operands(c)).into())),
    fixed("regexMatch", &[Str, Str], |c| Ok(compile(&c.str(0)).is_ok_and(|r| r.is_match(&c.str(1))).into())),
    fixed("mustRegexMatch", &[Str, Str], |c| Ok(compile(&c.str(0))?.is_match(&c.str(1)).into())),
    fixed("regexFind", &[Str, Str], |c| Ok(certain(&c.str(0))?.find(&c.str(1)).map_or("", |m| m.as_str()).into())),
    fixed("mustRegexFind", &[Str, Str], |c| Ok(compile(&c.str(0))?.find(&c.str(1)).map_or("", |m| m.as_str()).into())),
    fixed("regexFindAll", &[Str, Str, Int], |c| {
        let limit = usize::try_from(c.int(2)).unwrap_or(usize::MAX);
        let text = c.str(1);
        Ok(Go::strings(certain(&c.str(0))?.find_iter(&text).take(limit).map(|m| m.as_str())))
    }),
    fixed("mustRegexFindAll", &[Str, Str, Int], |c| {
        let limit = usize::try_from(c.int(2)).unwrap_or(usize::MAX);
        let text = c.str(1);
        Ok(Go::strings(compile(&c.str(0))?.find_iter(&text).take(limit).map(|m| m.as_str())))
    }),
    fixed("regexReplaceAll", &[Str, Str, Str], regex_replace),
    fixed("mustRegexReplaceAll", &[Str, Str, Str], regex_replace),
    fixed("regexReplaceAllLiteral", &[Str, Str, Str], |c| Ok(certain(&c.str(0))?.replace_all(&c.str(1), regex::NoExpand(&c.str(2))).into_owned().into())),
    fixed("mustRegexReplaceAllLiteral", &[Str, Str, Str], |c| Ok(compile(&c.str(0))?.replace_all(&c.str(1), regex::NoExpand(&c.str(2))).into_owned().into())),
    fixed("regexSplit", &[Str, Str, Int], |c| {
        let text = c.str(1);
        let expression = certain(&c.str(0))?;
        Ok(match usize::try_from(c.int(2)) {
            Ok(n) => Go::strings(expression.splitn(&text, n)),
            Err(_) => Go::strings(expression.split(&text)),
        })
    }),
    fixed("mustRegexSplit", &[Str, Str, Int], |c| {
        let text = c.str(1);
        let expression = compile(&c.str(0))?;
        Ok(match usize::try_from(c.int(2)) {
            Ok(n) => Go::strings(expression.splitn(&text, n)),
            Err(_) => Go::strings(expression.split(&text)),
        })
    }),
    fixed("regexQuoteMeta", &[Str], |c| Ok(regex::escape(&c.str(0)).into())),
    fixed("ternary", &[Any, Any, super::Kind::Bool], |c| Ok(if c.any(2).truth() { c.any(0) } else { c.any(1) })),
    fixed("sha256sum", &[Str], |c| Ok(super::encoding::sha256(c.str(0).as_bytes()).into())),
    fixed("swapcase", &[Str], |c| Ok(swap_case(&c.str(0)).into())),
    fixed("hello", &[], |_| Ok("Hello!".into())),
    variadic("js", &[Any], |c| Ok(js(&operands(c)).into())),
    fixed("abbrev", &[Int, Str], |c| {
        let (width, text) = (c.int(0), c.str(1));
        Ok(if width < 4 { Go::Str(text) } else { abbreviate(&text, 0, width) })
    }),
    fixed("abbrevboth", &[Int, Int, Str], |c| {
        let (left, right, text) = (c.int(0), c.int(1), c.str(2));
        Ok(if right < 4 || (left > 0 && right < 7) { Go::Str(text) } else { abbreviate(&text, left, right) })
    }),
    fixed("wrap", &[Int, Str], |c| Ok(wrap(&c.str(1), usize::try_from(c.int(0)).unwrap_or(1)).into())),
];

fn operands(c: &Call<'_>) -> String {
    match c.args.as_slice() {
        [one] => {
            let mut out = String::new();
            print(one, &mut out);
            out
        }
        many => sprint(many),
    }
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('\'', "&#39;").replace('"', "&#34;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Go's `strings.Title`: the first letter of each word, where words are separated by what is neither letter, digit nor `_`.
fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|ch| {
            let out = if start { ch.to_uppercase().next().unwrap_or(ch) } else { ch };
            start = !(ch.is_alphanumeric() || ch == '_' || ch == '\'');
            out
        })
        .collect()
}

fn untitle(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|ch| {
            let out = if start { ch.to_lowercase().next().unwrap_or(ch) } else { ch };
            start = ch.is_whitespace();
            out
        })
        .collect()
}

fn replace(c: &mut Call<'_>) -> Result<Go, String> {
    let (old, new, text) = (c.str(0), c.str(1), c.str(2));
    c.run.reserve((text.matches(&*old).count() * new.len()) as u64)?;
    Ok(text.replace(&*old, &new).into())
}

fn repeat(c: &mut Call<'_>) -> Result<Go, String> {
    let Ok(count) = usize::try_from(c.int(0)) else { return Err("strings: negative Repeat count".to_owned()) };
    let text = c.str(1);
    c.run.reserve((text.len() as u64).saturating_mul(count as u64))?;
    Ok(text.repeat(count).into())
}

fn bytes(text: &str, from: usize, to: usize) -> Go {
    Go::from_bytes(text.as_bytes().get(from..to.min(text.len())).unwrap_or_default().to_vec())
}

fn trunc(c: &Call<'_>) -> Go {
    let text = c.str(1);
    let n = c.int(0);
    let size = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    match n {
        n if n < 0 && text.len() > size => bytes(&text, text.len() - size, text.len()),
        n if n >= 0 && text.len() > size => bytes(&text, 0, size),
        _ => Go::Str(text),
    }
}

fn substr(c: &mut Call<'_>) -> Result<Go, String> {
    let text = c.str(2);
    let start = usize::try_from(c.int(0)).unwrap_or(0);
    let end = usize::try_from(c.int(1)).unwrap_or(text.len()).min(text.len());
    if start > end {
        return Err(format!("runtime error: slice bounds out of range [{start}:{end}]"));
    }
    Ok(bytes(&text, start, end))
}

fn indent(c: &Call<'_>, before: &str) -> Result<Go, String> {
    let Ok(count) = usize::try_from(c.int(0)) else { return Err("strings: negative Repeat count".to_owned()) };
    let text = c.str(1);
    c.run.reserve((count as u64).saturating_mul(text.matches('\n').count() as u64 + 1))?;
    let pad = " ".repeat(count);
    Ok(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))).into())
}

fn quoted(c: &Call<'_>, one: impl Fn(&str) -> String) -> Go {
    let parts: Vec<String> = c.args.iter().filter(|a| !matches!(a, Go::Nil)).map(|a| one(&text_of(a))).collect();
    parts.join(" ").into()
}

fn separated(text: &str, mark: char) -> String {
    let mut out = String::new();
    let mut lower = false;
    for ch in text.chars() {
        if matches!(ch, '_' | '-' | ' ') {
            out.push(mark);
            lower = false;
            continue;
        }
        if ch.is_uppercase() && lower {
            out.push(mark);
        }
        lower = ch.is_lowercase() || ch.is_numeric();
        out.extend(ch.to_lowercase());
    }
    out
}

/// Go's `strings.Split`; an empty separator splits into characters.
fn split(separator: &str, text: &str) -> Vec<String> {
    if separator.is_empty() { text.chars().map(String::from).collect() } else { text.split(separator).map(str::to_owned).collect() }
}

fn compile(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&super::regexp::translate(pattern)).size_limit(1 << 20).build().map_err(|error| {
        // The two mistakes people make, in the words of Go's regexp.
        let text = error.to_string();
        let reason = if text.contains("unclosed group") {
            "missing closing ): "
        } else if text.contains("unclosed character class") {
            "missing closing ]: "
        } else {
            ""
        };
        format!("error parsing regexp: {reason}`{pattern}`")
    })
}

/// `regexp.MustCompile`, whose panic is the error.
fn certain(pattern: &str) -> Result<regex::Regex, String> {
    compile(pattern).map_err(|e| format!("regexp: Compile(`{pattern}`): {e}"))
}

fn regex_replace(c: &mut Call<'_>) -> Result<Go, String> {
    let text = c.str(1);
    let out = compile(&c.str(0))?.replace_all(&text, &*c.str(2)).into_owned();
    Ok(out.into())
}

fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// goutils' `SwapCase`.
fn swap_case(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        out
    })
}

/// goutils' `AbbreviateFull`; it counts bytes.
fn abbreviate(text: &str, offset: i64, width: i64) -> Go {
    let all = text.as_bytes();
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    if all.len() <= width {
        return text.into();
    }
    let offset = usize::try_from(offset).unwrap_or(0).min(all.len());
    let offset = if all.len() - offset < width - 3 { all.len() - (width - 3) } else { offset };
    let join = |parts: [&[u8]; 3]| Go::from_bytes(parts.concat());
    if offset <= 4 {
        return join([&all[..width - 3], b"...", b""]);
    }
    if width >= 6 && offset + width - 3 < all.len() {
        return join([b"...", &all[offset..offset + width - 6], b"..."]);
    }
    join([b"...", &all[all.len() - (width - 3)..], b""])
}

/// text/template's `JSEscapeString`.
fn js(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            c if matches!(c, '<' | '>' | '&' | '=') || u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}
