//! sprig's regular expressions (regex.go): Go's syntax and errors, matched by the regex crate.

mod check;
mod translate;

use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use super::Kind::{Int, Str};
use super::{Call, Function, fixed};
use crate::chart::gotmpl::quote;
use crate::chart::meter;
use crate::chart::value::{Element, Go, List};

pub(super) const ALL: &[Function] = &[
    fixed("regexMatch", &[Str, Str], |c| Ok(known(c).is_ok_and(|r| r.is_match(&c.str(1))).into())),
    fixed("mustRegexMatch", &[Str, Str], |c| Ok(known(c)?.is_match(&c.str(1)).into())),
    fixed("regexFind", &[Str, Str], |c| find(c, certain)),
    fixed("mustRegexFind", &[Str, Str], |c| find(c, known)),
    fixed("regexFindAll", &[Str, Str, Int], |c| find_all(c, certain)),
    fixed("mustRegexFindAll", &[Str, Str, Int], |c| find_all(c, known)),
    fixed("regexReplaceAll", &[Str, Str, Str], |c| replace(c, certain)),
    fixed("mustRegexReplaceAll", &[Str, Str, Str], |c| replace(c, known)),
    fixed("regexReplaceAllLiteral", &[Str, Str, Str], |c| replace_literal(c, certain)),
    fixed("mustRegexReplaceAllLiteral", &[Str, Str, Str], |c| replace_literal(c, known)),
    fixed("regexSplit", &[Str, Str, Int], |c| split(c, certain)),
    fixed("mustRegexSplit", &[Str, Str, Int], |c| split(c, known)),
    fixed("regexQuoteMeta", &[Str], |c| Ok(quote_meta(&c.str(0)).into())),
];

/// What a value in a list takes.
const PART: u64 = 56;
/// Steps that the shortest expression takes.
const COMPILE: u64 = 200;
/// The most that a compiled expression may take, in bytes: as much as Go's limit of a thousand repetitions allows for text.
const MAX_PROGRAM: usize = 2 << 20;

type Compile = fn(&Call<'_>) -> Result<Rc<Regex>, String>;

/// `regexp.Compile`.
pub(in crate::chart) fn compile(pattern: &str) -> Result<Regex, String> {
    // A compiled expression is up to a thousand times as long; building it takes a microsecond or two for a byte at the least.
    meter::steps(COMPILE + pattern.len() as u64 * 16)?;
    check::check(pattern).map_err(|e| format!("error parsing regexp: {e}"))?;
    regex::RegexBuilder::new(&translate::translate(pattern))
        .size_limit(MAX_PROGRAM)
        .build()
        .map_err(|_| format!("error parsing regexp: expression nests too deeply or is too large: `{pattern}`"))
}

/// The expression that is the first argument, compiled once in a run.
fn known(c: &Call<'_>) -> Result<Rc<Regex>, String> {
    c.run.expression(&c.str(0), compile)
}

/// `regexp.MustCompile`, whose panic is the error.
fn certain(c: &Call<'_>) -> Result<Rc<Regex>, String> {
    let plain = |c: char| c != '`' && (c == '\t' || !c.is_control()) && c != '\u{feff}';
    known(c).map_err(|e| {
        let pattern = c.str(0);
        let shown = if pattern.chars().all(plain) { format!("`{pattern}`") } else { quote(&pattern) };
        format!("regexp: Compile({shown}): {e}")
    })
}

fn find(c: &mut Call<'_>, compiled: Compile) -> Result<Go, String> {
    Ok(compiled(c)?.find(&c.str(1)).map_or("", |m| m.as_str()).into())
}

fn find_all(c: &mut Call<'_>, compiled: Compile) -> Result<Go, String> {
    let limit = usize::try_from(c.int(2)).unwrap_or(usize::MAX);
    let text = c.str(1);
    let found: Vec<Go> = compiled(c)?.find_iter(&text).take(limit).map(|m| part(m.as_str())).collect::<Result<_, _>>()?;
    let element = if found.is_empty() { Element::NilStr } else { Element::Str };
    Ok(Go::List(Arc::new(List::of(element, found))))
}

/// A part of a text as a value.
fn part(text: &str) -> Result<Go, String> {
    meter::bytes(PART + text.len() as u64)?;
    Ok(text.into())
}

/// What a replacement may make: every `$` of it may stand for all that was found.
fn bounded(c: &Call<'_>, expression: &Regex) -> Result<(), String> {
    let (text, new) = (c.str(1), c.str(2));
    let references = new.matches('$').count() as u64;
    expression.find_iter(&text).try_for_each(|found| meter::bytes((new.len() as u64).saturating_add(references.saturating_mul(found.len() as u64))))
}

fn replace(c: &mut Call<'_>, compiled: Compile) -> Result<Go, String> {
    let expression = compiled(c)?;
    bounded(c, &expression)?;
    let (template, groups) = (c.str(2), translate::groups(&c.str(0)));
    let text = c.str(1);
    let replaced = expression.replace_all(&text, |found: &regex::Captures<'_>| expand(&template, &groups, found));
    Ok(replaced.into_owned().into())
}

/// `Regexp.Expand`.
fn expand(template: &str, groups: &[String], found: &regex::Captures<'_>) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = reference(after) else {
            out.push('$');
            rest = after;
            continue;
        };
        rest = after;
        let number = name.parse::<usize>().ok().filter(|_| name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0')));
        let group = match number {
            Some(number) => found.get(number),
            None => groups.iter().enumerate().filter(|(_, group)| *group == name).find_map(|(i, _)| found.get(i + 1)),
        };
        out.push_str(group.map_or("", |group| group.as_str()));
    }
    out + rest
}

/// `extract`: the name behind a `$`, in braces or not, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{');
    let name = inner.unwrap_or(text);
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    if name.is_empty() {
        return None;
    }
    if inner.is_some() { rest.strip_prefix('}').map(|rest| (name, rest)) } else { Some((name, rest)) }
}

fn replace_literal(c: &mut Call<'_>, compiled: Compile) -> Result<Go, String> {
    let expression = compiled(c)?;
    bounded(c, &expression)?;
    Ok(expression.replace_all(&c.str(1), regex::NoExpand(&c.str(2))).into_owned().into())
}

/// `Regexp.Split`.
fn split(c: &mut Call<'_>, compiled: Compile) -> Result<Go, String> {
    let expression = compiled(c)?;
    let (text, limit) = (c.str(1), c.int(2));
    if limit == 0 {
        return Ok(Go::List(Arc::new(List::of(Element::NilStr, Vec::new()))));
    }
    if text.is_empty() && !c.str(0).is_empty() {
        return Ok(Go::strings([""]));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts: Vec<Go> = Vec::new();
    let (mut from, mut end) = (0, 0);
    for found in expression.find_iter(&text).take(limit) {
        if parts.len() + 1 == limit {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(part(&text[from..end])?);
        }
        from = found.end();
    }
    if end != text.len() {
        parts.push(part(&text[from..])?);
    }
    Ok(Go::strings(parts))
}

/// `regexp.QuoteMeta`.
fn quote_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
