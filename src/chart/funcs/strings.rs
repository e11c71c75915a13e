//! Strings.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Kind::{Any, Int, Str};
use super::{Call, Function, cases, fixed, text_of, texts_of, variadic};
use crate::chart::gotmpl::{printable, quote};
use crate::chart::meter;
use crate::chart::value::{Go, Map, MapType, bytes_of, lossy, println, quote as quote_bytes, sprint, sprintf, stands_for};

/// What a part of a text takes beside its bytes, as a value and on the way there.
const PART: u64 = 96;

pub(super) const ALL: &[Function] = &[
    fixed("upper", &[Str], |c| Ok(cases::upper(&lossy(&c.str(0))).into())),
    fixed("lower", &[Str], |c| Ok(cases::lower(&lossy(&c.str(0))).into())),
    fixed("title", &[Str], |c| Ok(cases::title(&c.str(0)).into())),
    fixed("untitle", &[Str], |c| Ok(cases::untitle(&c.str(0)).into())),
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
    fixed("nospace", &[Str], |c| Ok(no_space(&c.str(0)).into())),
    fixed("trunc", &[Int, Str], |c| Ok(trunc(c))),
    fixed("substr", &[Int, Int, Str], substr),
    fixed("initials", &[Str], |c| {
        Ok(c.str(0).split(char::is_whitespace).filter_map(|w| bytes_of(w).first().copied()).map(char::from).collect::<String>().into())
    }),
    fixed("indent", &[Int, Str], |c| indent(c, "")),
    fixed("nindent", &[Int, Str], |c| indent(c, "\n")),
    variadic("quote", &[Any], |c| Ok(quoted(c, |text| quote_bytes(text, quote)))),
    variadic("squote", &[Any], |c| Ok(quoted(c, |s| format!("'{s}'")))),
    variadic("cat", &[Any], |c| {
        let parts: Vec<String> = c.args.iter().filter(|a| !matches!(a, Go::Nil)).map(|a| sprint(std::slice::from_ref(a))).collect();
        meter::bytes(parts.iter().map(|part| part.len() as u64).sum())?;
        Ok(parts.join(" ").into())
    }),
    fixed("snakecase", &[Str], |c| Ok(cases::separated(&c.str(0), '_').into())),
    fixed("kebabcase", &[Str], |c| Ok(cases::separated(&c.str(0), '-').into())),
    fixed("camelcase", &[Str], |c| Ok(cases::pascal(&c.str(0)).into())),
    fixed("plural", &[Str, Str, Int], |c| Ok(Go::Str(if c.int(2) == 1 { c.str(0) } else { c.str(1) }))),
    fixed("splitList", &[Str, Str], |c| Ok(Go::strings(split(&c.str(0), &c.str(1))?))),
    fixed("split", &[Str, Str], |c| Ok(numbered(split(&c.str(0), &c.str(1))?))),
    fixed("splitn", &[Str, Int, Str], |c| {
        let (separator, text) = (c.str(0), c.str(2));
        Ok(numbered(match usize::try_from(c.int(1)) {
            Err(_) => split(&separator, &text)?,
            Ok(0) => Vec::new(),
            Ok(n) if separator.is_empty() => {
                let cut = text.char_indices().nth(n - 1).map_or(text.len(), |(at, _)| at);
                let rest = (cut < text.len()).then(|| text[cut..].to_owned());
                text[..cut].chars().map(String::from).chain(rest).collect()
            }
            Ok(n) => text.splitn(n, &*separator).map(str::to_owned).collect(),
        }))
    }),
    fixed("join", &[Str, Any], |c| {
        let (texts, separator) = (texts_of(&c.any(1)), c.str(0));
        meter::bytes(texts.iter().map(|text| text.len() as u64 + separator.len() as u64).sum())?;
        Ok(texts.join(&separator).into())
    }),
    fixed("sortAlpha", &[Any], |c| {
        let mut items = match c.any(0) {
            value @ (Go::List(_) | Go::Bytes(_) | Go::Host(_)) => texts_of(&value),
            other => vec![text_of(&other)],
        };
        items.sort();
        Ok(Go::strings(items))
    }),
    fixed("toString", &[Any], |c| Ok(text_of(&c.any(0)).into())),
    fixed("toStrings", &[Any], |c| Ok(Go::strings(texts_of(&c.any(0))))),
    variadic("print", &[Any], |c| Ok(sprint(&c.args).into())),
    variadic("println", &[Any], |c| Ok(println(&c.args).into())),
    variadic("printf", &[Str, Any], |c| Ok(sprintf(&c.str(0), &c.args[1..]).into())),
    variadic("html", &[Any], |c| {
        let text = operands(c);
        meter::bytes(text.len() as u64 * 12)?;
        Ok(html(&text).into())
    }),
    variadic("urlquery", &[Any], |c| Ok(super::encoding::query_escape(&operands(c)).into())),
    fixed("ternary", &[Any, Any, super::Kind::Bool], |c| Ok(if c.any(2).truth() { c.any(0) } else { c.any(1) })),
    fixed("swapcase", &[Str], |c| Ok(cases::swap(&c.str(0)).into())),
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
    fixed("wrap", &[Int, Str], |c| wrap(c, &c.str(1), "", false)),
    fixed("wrapWith", &[Int, Str, Str], |c| wrap(c, &c.str(2), &c.str(1), true)),
];

/// text/template's `evalArgs`.
fn operands(c: &Call<'_>) -> String {
    let shown: Vec<Go> = c.args.iter().map(|a| if matches!(a, Go::Nil) { "<no value>".into() } else { a.clone() }).collect();
    sprint(&shown)
}

/// goutils' `DeleteWhiteSpace`, which takes every byte for a character.
fn no_space(text: &str) -> String {
    bytes_of(text).iter().map(|byte| char::from(*byte)).filter(|c| !c.is_whitespace()).collect()
}

/// The map that `split` gives.
fn numbered(parts: Vec<String>) -> Go {
    let entries = parts.into_iter().enumerate().map(|(i, part)| (format!("_{i}").into(), part.into()));
    Go::Map(Arc::new(Map::of(MapType::Strings, entries.collect())))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('\0', "\u{fffd}").replace('\'', "&#39;").replace('"', "&#34;").replace('<', "&lt;").replace('>', "&gt;")
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
    if text.is_empty() {
        return Ok("".into());
    }
    Ok(text.repeat(count).into())
}

fn bytes(text: &[u8], from: usize, to: usize) -> Go {
    Go::from_bytes(text.get(from..to.min(text.len())).unwrap_or_default())
}

fn trunc(c: &Call<'_>) -> Go {
    let text = c.bytes(1);
    let size = usize::try_from(c.int(0).unsigned_abs()).unwrap_or(usize::MAX);
    if text.len() <= size {
        return Go::Str(c.str(1));
    }
    if c.int(0) < 0 { bytes(&text, text.len() - size, text.len()) } else { bytes(&text, 0, size) }
}

/// sprig's `substring`; what is out of range is what Go's panic says.
fn substr(c: &mut Call<'_>) -> Result<Go, String> {
    let (start, end, text) = (c.int(0), c.int(1), c.bytes(2));
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let out = |what: String| Err(format!("runtime error: slice bounds out of range [{what}]"));
    let (start, end) = match (start, end) {
        (..0, ..0) => return out(format!(":{end}")),
        (..0, end) if end > length => return out(format!(":{end}] with length {length}")).map_err(|e: String| e.trim_end_matches(']').to_owned()),
        (..0, end) => (0, end),
        (start, end) if end < 0 || end > length => {
            if start > length {
                return out(format!("{start}:{length}"));
            }
            (start, length)
        }
        (start, end) if start > end => return out(format!("{start}:{end}")),
        range => range,
    };
    Ok(bytes(&text, usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0)))
}

/// goutils' `WrapCustom`; it counts bytes.
fn wrap(c: &Call<'_>, text: &str, line: &str, long: bool) -> Result<Go, String> {
    let line = if line.is_empty() { "\n" } else { line };
    let width = usize::try_from(c.int(0)).unwrap_or(1).max(1);
    c.run.reserve((text.len() as u64).saturating_add((text.len() / width) as u64 * line.len() as u64))?;
    let (all, line) = (&*bytes_of(text), &*bytes_of(line));
    let mut out: Vec<u8> = Vec::with_capacity(all.len());
    let mut at = 0;
    while all.len() - at > width {
        if all[at] == b' ' {
            at += 1;
            continue;
        }
        if let Some(space) = all[at..=at + width].iter().rposition(|b| *b == b' ') {
            out.extend_from_slice(&all[at..at + space]);
            out.extend_from_slice(line);
            at += space + 1;
        } else if long {
            out.extend_from_slice(&all[at..at + width]);
            out.extend_from_slice(line);
            at += width;
        } else if let Some(space) = all[at + width..].iter().position(|b| *b == b' ') {
            out.extend_from_slice(&all[at..at + width + space]);
            out.extend_from_slice(line);
            at += width + space + 1;
        } else {
            out.extend_from_slice(&all[at..]);
            at = all.len();
        }
    }
    out.extend_from_slice(&all[at..]);
    Ok(Go::from_bytes(&out))
}

/// goutils' `AbbreviateFull`; it counts bytes.
fn abbreviate(text: &str, offset: i64, width: i64) -> Go {
    let all = &*bytes_of(text);
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    if all.len() <= width {
        return text.into();
    }
    let offset = usize::try_from(offset).unwrap_or(0).min(all.len());
    let offset = if all.len() - offset < width - 3 { all.len() - (width - 3) } else { offset };
    let join = |parts: [&[u8]; 3]| Go::from_bytes(&parts.concat());
    if offset <= 4 {
        return join([&all[..width - 3], b"...", b""]);
    }
    if width < 7 {
        return "".into();
    }
    if offset + width - 3 < all.len() {
        return join([b"...", &all[offset..offset + width - 6], b"..."]);
    }
    join([b"...", &all[all.len() - (width - 3)..], b""])
}

fn indent(c: &Call<'_>, before: &str) -> Result<Go, String> {
    let Ok(count) = usize::try_from(c.int(0)) else { return Err("strings: negative Repeat count".to_owned()) };
    let text = c.str(1);
    c.run.reserve((count as u64).saturating_mul(text.matches('\n').count() as u64 + 1).saturating_mul(2))?;
    let pad = " ".repeat(count);
    Ok(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))).into())
}

fn quoted(c: &Call<'_>, one: impl Fn(&str) -> String) -> Go {
    let parts: Vec<String> = c.args.iter().filter(|a| !matches!(a, Go::Nil)).map(|a| one(&text_of(a))).collect();
    parts.join(" ").into()
}

/// Go's `strings.Split`; an empty separator splits into characters.
fn split(separator: &str, text: &str) -> Result<Vec<String>, String> {
    let count = if separator.is_empty() { text.len() } else { text.matches(separator).count() + 1 };
    meter::bytes((count as u64).saturating_mul(PART))?;
    Ok(if separator.is_empty() { text.chars().map(String::from).collect() } else { text.split(separator).map(str::to_owned).collect() })
}

/// text/template's `JSEscapeString`.
fn js(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            c if matches!(c, '<' | '>' | '&' | '=') || u32::from(c) < 0x20 || (!c.is_ascii() && !printable(c) && stands_for(c).is_none()) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
        out
    })
}
